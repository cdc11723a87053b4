// What a good request is parsed into, and where the limits are. What is refused as ambiguous stands in
// ambiguous_framing_test.cpp.
#include "dataplane/http/request.h"

#include <gtest/gtest.h>
#include <string>

#include "heads.h"

namespace millrace::http::test {
namespace {

TEST(Request, TakesOriginFormApart) {
    const ParsedRequest parsed(
        "PoST /a/b?c=d?e HTTP/1.1\r\nhOst:\t Www.A.example:8080 \r\nX-Empty:\r\nX: a  b\t\r\n\r\n");
    ASSERT_EQ(parsed.status, 0);
    const RequestHead& head = parsed.head;
    EXPECT_EQ(head.method, "PoST");
    EXPECT_EQ(head.path, "/a/b");
    EXPECT_EQ(head.query, "?c=d?e");
    EXPECT_EQ(head.authority, "Www.A.example:8080");
    EXPECT_EQ(head.host, "Www.A.example");
    EXPECT_EQ(head.minor_version, 1);
    EXPECT_EQ(head.kind, RequestKind::ordinary);
    EXPECT_EQ(head.body.kind, BodyKind::none);
    ASSERT_EQ(head.fields.size(), 3);
    EXPECT_EQ(head.fields.begin()[1].name, "X-Empty");
    EXPECT_EQ(head.fields.begin()[1].value, "");
    EXPECT_EQ(head.fields.find("x")->value, "a  b");
    EXPECT_EQ(head.fields.find("y"), nullptr);
}

TEST(Request, TakesTheAuthorityFromAnAbsoluteTarget) {
    struct Case {
        std::string target;
        std::string_view authority, host, path, query;
    };
    for (const Case& c : {
             Case{"http://b.example:81/p?q", "b.example:81", "b.example", "/p", "?q"},
             Case{"HTTPS://b/", "b", "b", "/", ""},
             Case{"http://b", "b", "b", "/", ""},
             Case{"http://b?q", "b", "b", "/", "?q"},
             Case{"http://b/p://x", "b", "b", "/p://x", ""},
             Case{"//b/p", "a", "a", "//b/p", ""},
         }) {
        const ParsedRequest parsed("GET " + c.target + " HTTP/1.1\r\nHost: a\r\n\r\n");
        ASSERT_EQ(parsed.status, 0) << c.target;
        EXPECT_EQ(parsed.head.authority, c.authority) << c.target;
        EXPECT_EQ(parsed.head.host, c.host) << c.target;
        EXPECT_EQ(parsed.head.path, c.path) << c.target;
        EXPECT_EQ(parsed.head.query, c.query) << c.target;
    }
}

TEST(Request, SplitsTheHostFromItsPort) {
    struct Case {
        std::string authority;
        std::string_view host;
    };
    for (const Case& c : {
             Case{"a", "a"},
             Case{"a_b-c.d", "a_b-c.d"},
             Case{"a:", "a"},
             Case{"a:65535", "a"},
             Case{"a.", "a"},
             Case{"a.:80", "a"},
             Case{"198.18.0.1:80", "198.18.0.1"},
             Case{"[2001:db8::1]", "[2001:db8::1]"},
             Case{"[::ffff:198.18.0.1]:443", "[::ffff:198.18.0.1]"},
         }) {
        const ParsedRequest parsed("GET / HTTP/1.1\r\nHost: " + c.authority + "\r\n\r\n");
        ASSERT_EQ(parsed.status, 0) << c.authority;
        EXPECT_EQ(parsed.head.host, c.host);
        EXPECT_EQ(parsed.head.authority, c.authority);
    }
}

TEST(Request, LetsHttp10GoWithoutHost) {
    const ParsedRequest parsed("GET /x HTTP/1.0\r\n\r\n");
    ASSERT_EQ(parsed.status, 0);
    EXPECT_EQ(parsed.head.minor_version, 0);
    EXPECT_EQ(parsed.head.host, "");
}

TEST(Request, ReadsTheFraming) {
    const ParsedRequest none(get_with(""));
    EXPECT_EQ(none.head.body.kind, BodyKind::none);
    const ParsedRequest zero(get_with("Content-Length: 0\r\n"));
    ASSERT_EQ(zero.status, 0);
    EXPECT_EQ(zero.head.body.kind, BodyKind::none);
    const ParsedRequest length(get_with("Content-Length: 0042\r\n"));
    ASSERT_EQ(length.status, 0);
    EXPECT_EQ(length.head.body.kind, BodyKind::length);
    EXPECT_EQ(length.head.body.length, 42u);
    const ParsedRequest longest(get_with("Content-Length: 9223372036854775807\r\n"));
    ASSERT_EQ(longest.status, 0);
    EXPECT_EQ(longest.head.body.length, 9223372036854775807u);
    const ParsedRequest chunked(get_with("Transfer-Encoding: Chunked \r\n"));
    ASSERT_EQ(chunked.status, 0);
    EXPECT_EQ(chunked.head.body.kind, BodyKind::chunked);
}

TEST(Request, BoundsWhatItHolds) {
    std::string lines;
    for (int i = 1; i < FieldList::count_max; ++i) lines += "a:\r\n";  // Host is one of them
    EXPECT_EQ(ParsedRequest(get_with(lines)).status, 0);
    EXPECT_EQ(ParsedRequest(get_with(lines + "a:\r\n")).status, 431);

    std::string options = "Connection: a";
    for (int i = 1; i < ConnectionOptions::count_max; ++i) options += ",a";
    EXPECT_EQ(ParsedRequest(get_with(options + "\r\n")).status, 0);
    EXPECT_EQ(ParsedRequest(get_with(options + "\r\nConnection: a\r\n")).status, 400);

    EXPECT_EQ(ParsedRequest(std::string(32, 'M') + " / HTTP/1.1\r\nHost: a\r\n\r\n").status, 0);
}

TEST(Request, RecognisesAnUpgrade) {
    const ParsedRequest parsed(upgrade_with(""));
    ASSERT_EQ(parsed.status, 0);
    EXPECT_EQ(parsed.head.kind, RequestKind::websocket);
    EXPECT_EQ(parsed.head.websocket_key, "dGhlIHNhbXBsZSBub25jZQ==");

    // As Firefox says it, and as lists over several fields.
    const ParsedRequest lists(get_with(
        "Upgrade: h2c\r\nUpgrade: x , WebSocket\r\nConnection: keep-alive, UPGRADE\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: 0\r\n"));
    ASSERT_EQ(lists.status, 0);
    EXPECT_EQ(lists.head.kind, RequestKind::websocket);
}

TEST(Request, TakesOtherUpgradesAsOrdinary) {
    const std::string rest =
        "Host: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nUpgrade: ";
    for (const std::string& request : {
             "GET / HTTP/1.0\r\n" + rest + "websocket\r\nConnection: upgrade\r\n\r\n",
             "POST / HTTP/1.1\r\n" + rest + "websocket\r\nConnection: upgrade\r\n\r\n",
             "get / HTTP/1.1\r\n" + rest + "websocket\r\nConnection: upgrade\r\n\r\n",
             "GET / HTTP/1.1\r\n" + rest + "websocket\r\n\r\n",
             "GET / HTTP/1.1\r\n" + rest + "websocket\r\nConnection: close\r\n\r\n",
             "GET / HTTP/1.1\r\n" + rest + "h2c\r\nConnection: upgrade\r\n\r\n",
             "GET / HTTP/1.1\r\n" + rest + "websockets\r\nConnection: upgrade\r\n\r\n",
         }) {
        const ParsedRequest parsed(request);
        EXPECT_EQ(parsed.status, 0) << request;
        EXPECT_EQ(parsed.head.kind, RequestKind::ordinary) << request;
    }
    EXPECT_EQ(ParsedRequest("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").head.kind, RequestKind::head);
}

TEST(Request, RefusesABadHandshake) {
    const std::string upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const std::string version = "Sec-WebSocket-Version: 13\r\n";
    const auto status = [](const std::string& lines) { return ParsedRequest(get_with(lines)).status; };

    EXPECT_EQ(status(upgrade + version), 400);
    EXPECT_EQ(status(upgrade + version + key + key), 400);
    for (const char* bad : {"", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZWE=",
                            "dGhlIHNhbXBsZSBub25jZWFi", "dGhlIHNhbXBsZSBub25j-Q==", "dGhlIHNhbXBsZSBub25jZQ= ="})
        EXPECT_EQ(status(upgrade + version + "Sec-WebSocket-Key: " + bad + "\r\n"), 400) << bad;

    EXPECT_EQ(status(upgrade + key), status_websocket_version);
    EXPECT_EQ(status(upgrade + key + "Sec-WebSocket-Version: 8\r\n"), status_websocket_version);
    EXPECT_EQ(status(upgrade + key + "Sec-WebSocket-Version: 13, 8\r\n"), status_websocket_version);
    EXPECT_EQ(status(upgrade + key + version + version), status_websocket_version);
}

TEST(Request, ReadsNothingBehindATruncatedHead) {
    // A caller that breaks the contract still gets an answer and no read past the end.
    const std::string whole = upgrade_with("");
    millrace::test::GuardedBytes memory(whole.size());
    for (size_t length = 0; length < whole.size(); ++length) {
        RequestHead head;
        EXPECT_EQ(parse_request(memory.copy_to_end(whole.substr(0, length)), head), 400) << length;
    }
}

}  // namespace
}  // namespace millrace::http::test
