// What goes on to the other side, byte for byte.
#include "dataplane/http/rewrite.h"

#include <gtest/gtest.h>
#include <string>

#include "heads.h"

namespace millrace::http::test {
namespace {

constexpr ForwardPolicy leave_alone = {FieldPolicy::pass, FieldPolicy::pass, FieldPolicy::pass, FieldPolicy::pass};
constexpr ForwardValues values = {.client_address = "198.18.0.7", .proto = "http", .request_id = "id-1"};

std::string forwarded_request(const std::string& text, const ForwardPolicy& policy = leave_alone) {
    const ParsedRequest parsed(text);
    EXPECT_EQ(parsed.status, 0) << text;
    uint8_t out[4096];
    const size_t length = write_request(parsed.head, policy, values, out);
    return {reinterpret_cast<char*>(out), length};
}

std::string forwarded_response(const std::string& text, RequestKind request = RequestKind::ordinary) {
    const ParsedResponse parsed(text, request);
    EXPECT_TRUE(parsed.good) << text;
    uint8_t out[4096];
    return {reinterpret_cast<char*>(out), write_response(parsed.head, out)};
}

TEST(RewriteRequest, RemovesHopByHopFields) {
    EXPECT_EQ(
        forwarded_request("POST /p?q HTTP/1.1\r\nA: 1\r\nHost: a\r\nConnection: keep-alive, X-Hop ,close\r\n"
                          "connection: x-other\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\n"
                          "Trailer: T\r\nUpgrade: h2c\r\nx-hop: 1\r\nX-Other: 2\r\nTransfer-Encoding: chunked\r\n"
                          "X-Hopeful:  b \r\nEmpty:\r\n\r\n"),
        "POST /p?q HTTP/1.1\r\nHost: a\r\nA: 1\r\nTransfer-Encoding: chunked\r\nX-Hopeful: b\r\nEmpty: \r\n"
        "Connection: close\r\n\r\n");
}

TEST(RewriteRequest, LetsConnectionRemoveNothingThatMatters) {
    EXPECT_EQ(
        forwarded_request("POST / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length, x-forwarded-for\r\n"
                          "Content-Length: 3\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(forwarded_request("POST / HTTP/1.1\r\nHost: a\r\nConnection: transfer-encoding\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n"),
              "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(forwarded_request(get_with("Connection: upgrade, sec-websocket-key, sec-websocket-version\r\n"
                                         "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n"
                                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")),
              "GET /x HTTP/1.1\r\nHost: a.example\r\nSec-WebSocket-Version: 13\r\n"
              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST(RewriteRequest, PutsTheUpgradeBack) {
    EXPECT_EQ(forwarded_request(upgrade_with("Sec-WebSocket-Protocol: a, b\r\n"
                                             "Sec-WebSocket-Extensions: permessage-deflate\r\nOrigin: http://o\r\n")),
              "GET /x HTTP/1.1\r\nHost: a.example\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a, b\r\n"
              "Sec-WebSocket-Extensions: permessage-deflate\r\nOrigin: http://o\r\n"
              "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST(RewriteRequest, TurnsAbsoluteIntoOriginForm) {
    EXPECT_EQ(forwarded_request("GET http://b:81?q HTTP/1.1\r\nHost: a\r\n\r\n"),
              "GET /?q HTTP/1.1\r\nHost: b:81\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(forwarded_request("GET http://b/p HTTP/1.0\r\n\r\n"),
              "GET /p HTTP/1.0\r\nHost: b\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(forwarded_request("GET /p HTTP/1.0\r\n\r\n"), "GET /p HTTP/1.0\r\nConnection: close\r\n\r\n");
}

TEST(RewriteRequest, FollowsThePolicyOfEachOwnField) {
    constexpr auto all = [](FieldPolicy policy) { return ForwardPolicy{policy, policy, policy, policy}; };
    const std::string sent = get_with(
        "x-forwarded-for: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\nX-Forwarded-Proto: https\r\n"
        "X-Forwarded-Host: h\r\nX-Request-ID: theirs\r\n");
    const std::string start = "GET /x HTTP/1.1\r\nHost: a.example\r\n", end = "Connection: close\r\n\r\n";
    const std::string ours =
        "X-Forwarded-For: 198.18.0.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\nX-Request-ID: "
        "id-1\r\n";

    EXPECT_EQ(forwarded_request(sent, all(FieldPolicy::pass)),
              start +
                  "x-forwarded-for: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2, 3.3.3.3\r\nX-Forwarded-Proto: https\r\n"
                  "X-Forwarded-Host: h\r\nX-Request-ID: theirs\r\n" +
                  end);
    EXPECT_EQ(forwarded_request(sent, all(FieldPolicy::add)),
              start +
                  "X-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\nX-Request-ID: theirs\r\n"
                  "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 198.18.0.7\r\n" +
                  end);
    EXPECT_EQ(forwarded_request(sent, all(FieldPolicy::replace)), start + ours + end);
    EXPECT_EQ(forwarded_request(sent, all(FieldPolicy::remove)), start + end);

    EXPECT_EQ(forwarded_request(get_with(""), all(FieldPolicy::pass)), start + end);
    EXPECT_EQ(forwarded_request(get_with(""), all(FieldPolicy::add)), start + ours + end);
    EXPECT_EQ(forwarded_request(get_with(""), all(FieldPolicy::replace)), start + ours + end);
    EXPECT_EQ(forwarded_request(get_with(""), all(FieldPolicy::remove)), start + end);
}

TEST(RewriteRequest, TheSubjectOfACertificateIsOursAlone) {
    const ParsedRequest parsed(
        "GET / HTTP/1.1\r\nHost: a\r\nx-ssl-client-dn: CN=forged\r\nX_SSL-Client_DN: CN=too\r\n\r\n");
    const auto forwarded = [&](std::string_view name, std::string_view subject) {
        uint8_t out[4096];
        const ForwardValues told{
            .client_address = {}, .proto = {}, .request_id = {}, .subject_name = name, .subject = subject};
        return std::string(reinterpret_cast<char*>(out), write_request(parsed.head, leave_alone, told, out));
    };
    EXPECT_EQ(forwarded("X-SSL-Client-DN", "CN=trader"),
              "GET / HTTP/1.1\r\nHost: a\r\nX-SSL-Client-DN: CN=trader\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(forwarded("X-SSL-Client-DN", ""), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_NE(forwarded("", "CN=trader").find("CN=forged"), std::string::npos) << "nobody asked for it";
}

TEST(RewriteRequest, WritesNoEmptyOwnField) {
    constexpr auto all = [](FieldPolicy policy) { return ForwardPolicy{policy, policy, policy, policy}; };
    const ParsedRequest parsed("GET / HTTP/1.0\r\nX-Forwarded-For:\r\n\r\n");
    for (FieldPolicy policy : {FieldPolicy::add, FieldPolicy::replace}) {
        uint8_t out[256];
        const size_t length = write_request(parsed.head, all(policy), {}, out);
        EXPECT_EQ(std::string_view(reinterpret_cast<char*>(out), length),
                  "GET / HTTP/1.0\r\nConnection: close\r\n\r\n");
    }
}

TEST(RewriteResponse, RemovesHopByHopFields) {
    EXPECT_EQ(
        forwarded_response(
            "HTTP/1.0 200 Fine thing\r\nConnection: X-Hop, content-length\r\nX-Hop: 1\r\n"
            "Keep-Alive: 1\r\nUpgrade: h2c\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n"),
        "HTTP/1.1 200 Fine thing\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(forwarded_response("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n"),
              "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
}

TEST(RewriteResponse, KeepsLengthsOnlyWhereTheyMeanSomething) {
    const std::string length = "Content-Length: 5\r\n", close = "Connection: close\r\n";
    EXPECT_EQ(forwarded_response("HTTP/1.1 200 OK\r\n" + length + "\r\n", RequestKind::head),
              "HTTP/1.1 200 OK\r\n" + length + close + "\r\n");
    EXPECT_EQ(forwarded_response("HTTP/1.1 304 NM\r\n" + length + "\r\n"),
              "HTTP/1.1 304 NM\r\n" + length + close + "\r\n");
    EXPECT_EQ(forwarded_response("HTTP/1.1 204 NC\r\n" + length + "\r\n"), "HTTP/1.1 204 NC\r\n" + close + "\r\n");
    EXPECT_EQ(forwarded_response("HTTP/1.1 204 NC\r\nTransfer-Encoding: chunked\r\n\r\n"),
              "HTTP/1.1 204 NC\r\n" + close + "\r\n");
}

TEST(RewriteResponse, PassesInterimAndSwitchingOn) {
    EXPECT_EQ(forwarded_response("HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: keep-alive\r\n\r\n"),
              "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    EXPECT_EQ(forwarded_response("HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, Upgrade\r\n"
                                 "Upgrade: WebSocket\r\nSec-WebSocket-Accept: x\r\nContent-Length: 0\r\n"
                                 "Sec-WebSocket-Protocol: a\r\n\r\n",
                                 RequestKind::websocket),
              "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: a\r\n"
              "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST(Rewrite, NeedsExactlyTheRoomItUses) {
    const ParsedRequest request(upgrade_with("X-Forwarded-For: 1.1.1.1\r\n"));
    const ParsedResponse response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    uint8_t wide[1024];
    const size_t request_length = write_request(request.head, {}, values, wide);
    const size_t response_length = write_response(response.head, wide);
    ASSERT_GT(request_length, 0u);
    ASSERT_GT(response_length, 0u);
    millrace::test::GuardedBytes memory(sizeof wide);
    for (size_t room = 0; room <= request_length; ++room)
        EXPECT_EQ(write_request(request.head, {}, values, memory.at_end(room)), room < request_length ? 0 : room);
    for (size_t room = 0; room <= response_length; ++room)
        EXPECT_EQ(write_response(response.head, memory.at_end(room)), room < response_length ? 0 : room);
}

TEST(Rewrite, GrowsNoMoreThanPromised) {
    // The worst: every field without the blank that the rewriting adds, an HTTP/1.0 target that becomes a Host.
    std::string fields;
    for (int i = 0; i < FieldList::count_max; ++i) fields += "a:b\r\n";
    for (const std::string& text :
         {"GET http://b HTTP/1.0\r\n" + fields + "\r\n", "GET / HTTP/1.1\r\nHost:b\r\n" + fields.substr(5) + "\r\n"}) {
        const ParsedRequest parsed(text);
        ASSERT_EQ(parsed.status, 0);
        const size_t values_size = values.client_address.size() + values.proto.size() + values.request_id.size();
        const std::string out = forwarded_request(text, {});
        ASSERT_FALSE(out.empty());
        EXPECT_LE(out.size(), text.size() + values_size + parsed.head.authority.size() + forward_growth_max);
    }
    const std::string response = "HTTP/1.1 200\r\n" + fields + "\r\n";
    EXPECT_LE(forwarded_response(response).size(), response.size() + forward_growth_max);
}

}  // namespace
}  // namespace millrace::http::test
