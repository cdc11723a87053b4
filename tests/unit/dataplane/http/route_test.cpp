// Which hosts and paths a route takes.
#include "dataplane/http/route.h"

#include <gtest/gtest.h>

namespace millrace::http {
namespace {

TEST(HostMatch, Exact) {
    EXPECT_TRUE(host_matches("a.example", "a.example"));
    EXPECT_TRUE(host_matches("A.Example", "a.eXAMPLE"));
    EXPECT_FALSE(host_matches("b.a.example", "a.example"));
    EXPECT_FALSE(host_matches("a.example.org", "a.example"));
    EXPECT_FALSE(host_matches("", "a.example"));
    EXPECT_TRUE(host_matches("[2001:db8::1]", "[2001:DB8::1]"));
}

TEST(HostMatch, AnyHost) {
    EXPECT_TRUE(host_matches("a.example", ""));
    EXPECT_TRUE(host_matches("", ""));
}

TEST(HostMatch, Wildcard) {
    EXPECT_TRUE(host_matches("b.a.example", "*.a.example"));
    EXPECT_TRUE(host_matches("c.B.A.example", "*.a.Example"));
    EXPECT_FALSE(host_matches("a.example", "*.a.example"));
    EXPECT_FALSE(host_matches(".a.example", "*.a.example")) << "an empty label";
    EXPECT_FALSE(host_matches("b..a.example", "*.a.example")) << "an empty label";
    EXPECT_FALSE(host_matches(".b.a.example", "*.a.example")) << "an empty label";
    EXPECT_FALSE(host_matches("ba.example", "*.a.example"));
    EXPECT_FALSE(host_matches("", "*.a.example"));
    EXPECT_FALSE(host_matches("b.a.example.org", "*.a.example"));
}

TEST(PathMatch, EndsAtASegment) {
    EXPECT_TRUE(path_matches("/a", "/a"));
    EXPECT_TRUE(path_matches("/a/", "/a"));
    EXPECT_TRUE(path_matches("/a/b", "/a"));
    EXPECT_TRUE(path_matches("/a?x", "/a"));
    EXPECT_FALSE(path_matches("/ab", "/a"));
    EXPECT_FALSE(path_matches("/A", "/a"));
    EXPECT_FALSE(path_matches("/", "/a"));
    EXPECT_FALSE(path_matches("/b/a", "/a"));
}

TEST(PathMatch, WithAFinalSlashNeedsIt) {
    EXPECT_TRUE(path_matches("/a/", "/a/"));
    EXPECT_TRUE(path_matches("/a/b", "/a/"));
    EXPECT_FALSE(path_matches("/a", "/a/"));
}

TEST(PathMatch, EveryPath) {
    EXPECT_TRUE(path_matches("/a/b?c", ""));
    EXPECT_TRUE(path_matches("/a/b?c", "/"));
}

TEST(RouteMatch, NeedsBoth) {
    EXPECT_TRUE(route_matches("b.a.example", "/x/y", "*.a.example", "/x"));
    EXPECT_FALSE(route_matches("b.a.example", "/y", "*.a.example", "/x"));
    EXPECT_FALSE(route_matches("a.example", "/x/y", "*.a.example", "/x"));
}

}  // namespace
}  // namespace millrace::http
