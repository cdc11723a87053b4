// Next hops: prefixes of both families, their order, and how many of them a lookup has to walk.
#include "dataplane/config/routing_table.h"

#include <gtest/gtest.h>

#include "config/compiled.h"

namespace millrace::config {
namespace {

using test::compiled;
using test::ip;

/// The sample's interfaces: 0 with 198.18.0.1/24 and 2001:db8::1/64, 1 with 198.18.1.1/24; a default route by 0.
class RoutingTableTest : public ::testing::Test {
  protected:
    void route(const char* network, uint8_t length, const char* gateway, uint16_t interface) {
        builder_.routes.push_back({ip(network), ip(gateway), interface, length, {}});
    }
    void local(const char* address, uint8_t length, uint16_t interface) {
        builder_.local_addresses.push_back({ip(address), interface, length, {}});
    }
    std::optional<NextHop> lookup(const char* destination) {
        config_ = compiled(builder_);
        return config_->routes().lookup(ip(destination));
    }
    size_t size() { return compiled(builder_)->routes().size(); }

    SnapshotBuilder builder_ = millrace::test::sample_snapshot();
    std::unique_ptr<const RuntimeConfig> config_;
};

TEST_F(RoutingTableTest, ReachesNeighboursOnTheLinkThemselves) {
    EXPECT_EQ(lookup("198.18.0.77"), (NextHop{0, ip("198.18.0.77")}));
    EXPECT_EQ(lookup("198.18.1.77"), (NextHop{1, ip("198.18.1.77")}));
    EXPECT_EQ(lookup("2001:db8::77"), (NextHop{0, ip("2001:db8::77")}));
}

TEST_F(RoutingTableTest, ReachesOthersByTheirGateway) {
    EXPECT_EQ(lookup("198.18.2.1"), (NextHop{0, ip("198.18.0.254")}));
    route("2001:db8:1::", 48, "2001:db8::fe", 0);
    EXPECT_EQ(lookup("2001:db8:1:2::3"), (NextHop{0, ip("2001:db8::fe")}));
    EXPECT_EQ(lookup("2001:db8:2::3"), std::nullopt);
}

TEST_F(RoutingTableTest, PrefersTheLongestPrefix) {
    route("198.18.0.0", 16, "198.18.1.1", 1);
    route("198.18.2.0", 23, "198.18.1.2", 1);
    route("198.18.2.128", 25, "198.18.1.3", 1);
    route("198.18.0.0", 30, "198.18.1.4", 1);
    EXPECT_EQ(lookup("198.18.2.200")->address, ip("198.18.1.3"));
    EXPECT_EQ(lookup("198.18.2.127")->address, ip("198.18.1.2"));
    EXPECT_EQ(lookup("198.18.3.200")->address, ip("198.18.1.2"));
    EXPECT_EQ(lookup("198.18.4.1")->address, ip("198.18.1.1"));
    EXPECT_EQ(lookup("198.19.0.1")->address, ip("198.18.0.254")) << "the default route is the shortest of all";
    EXPECT_EQ(lookup("198.18.0.2")->address, ip("198.18.1.4")) << "longer than the connected /24";
}

TEST_F(RoutingTableTest, PrefersTheLinkToARouteOfEqualLength) {
    route("198.18.1.0", 24, "198.18.0.9", 0);
    EXPECT_EQ(lookup("198.18.1.5"), (NextHop{1, ip("198.18.1.5")}));
}

TEST_F(RoutingTableTest, PrefersTheFirstOfEqualRoutes) {
    route("198.18.8.0", 24, "198.18.0.8", 0);
    route("198.18.8.0", 24, "198.18.1.8", 1);
    EXPECT_EQ(lookup("198.18.8.1"), (NextHop{0, ip("198.18.0.8")}));
}

TEST_F(RoutingTableTest, NeverMixesFamilies) {
    builder_.routes.clear();
    route("::", 0, "2001:db8::fe", 0);
    EXPECT_EQ(lookup("198.18.2.1"), std::nullopt) << "::/0 holds the mapped form too, but is no route for IPv4";
    EXPECT_EQ(lookup("2001:db8:9::1"), (NextHop{0, ip("2001:db8::fe")}));
    builder_.routes.clear();
    route("0.0.0.0", 0, "198.18.0.254", 0);
    EXPECT_EQ(lookup("2001:db8:9::1"), std::nullopt);
}

TEST_F(RoutingTableTest, TellsPrefixesThatDifferInOneBitApart) {
    builder_.routes.clear();
    route("198.18.128.0", 17, "198.18.0.7", 0);
    EXPECT_EQ(lookup("198.18.127.255"), std::nullopt);
    EXPECT_TRUE(lookup("198.18.128.0"));
    route("2001:db8:8000::", 33, "2001:db8::7", 0);
    EXPECT_EQ(lookup("2001:db8:7fff::"), std::nullopt);
    EXPECT_TRUE(lookup("2001:db8:ffff::"));
}

TEST_F(RoutingTableTest, WalksNetworksAndNotAddresses) {
    const size_t before = size();
    for (int i = 2; i < 100; ++i) local(("198.18.0." + std::to_string(i)).c_str(), 24, 0);
    for (int i = 0; i < 100; ++i) local(("198.18.9." + std::to_string(i)).c_str(), 32, 0);
    local("2001:db8::2", 64, 0);
    local("2001:db8:5::1", 128, 0);
    EXPECT_EQ(size(), before);
    EXPECT_EQ(lookup("198.18.0.200"), (NextHop{0, ip("198.18.0.200")}));
    EXPECT_EQ(lookup("198.18.9.5"), (NextHop{0, ip("198.18.0.254")})) << "ourselves: no link leads there";
}

}  // namespace
}  // namespace millrace::config
