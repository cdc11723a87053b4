// Response heads: status line, where the body ends, and whether a 101 is the one that was asked for.
#include "dataplane/http/response.h"

#include <gtest/gtest.h>
#include <string>

#include "heads.h"

namespace millrace::http::test {
namespace {

constexpr std::string_view accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

TEST(Response, TakesTheStatusLineApart) {
    const ParsedResponse plain("HTTP/1.1 200 All right\r\nServer: x\r\n\r\n");
    ASSERT_TRUE(plain.good);
    EXPECT_EQ(plain.head.status, 200);
    EXPECT_EQ(plain.head.reason, "All right");
    EXPECT_EQ(plain.head.fields.find("server")->value, "x");
    const ParsedResponse bare("HTTP/1.0 599\r\n\r\n");
    ASSERT_TRUE(bare.good);
    EXPECT_EQ(bare.head.status, 599);
    EXPECT_EQ(bare.head.reason, "");
    EXPECT_TRUE(ParsedResponse("HTTP/1.1 204 \r\n\r\n").good);
}

TEST(Response, RefusesWhatIsMalformedOrAmbiguous) {
    for (const char* head : {
             "HTTP/1.1 099 x\r\n\r\n",
             "HTTP/1.1 600 x\r\n\r\n",
             "HTTP/1.1 20 x\r\n\r\n",
             "HTTP/1.1 2000 x\r\n\r\n",
             "HTTP/1.1 2x0 x\r\n\r\n",
             "HTTP/1.1  200 x\r\n\r\n",
             "HTTP/1.2 200 x\r\n\r\n",
             "HTTP/2 200 x\r\n\r\n",
             "http/1.1 200 x\r\n\r\n",
             "ICY 200 OK\r\n\r\n",
             "\r\nHTTP/1.1 200 OK\r\n\r\n",
             "HTTP/1.1 200 OK\nA: b\r\n\r\n",
             "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
             "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
             "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
             "HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n",
         })
        EXPECT_FALSE(ParsedResponse(head).good) << head;
}

TEST(Response, FramesTheBody) {
    struct Case {
        std::string head;
        RequestKind request;
        BodyKind body;
    };
    const std::string length = "Content-Length: 5\r\n\r\n", chunked = "Transfer-Encoding: chunked\r\n\r\n";
    for (const Case& c : {
             Case{"HTTP/1.1 200 OK\r\n" + length, RequestKind::ordinary, BodyKind::length},
             Case{"HTTP/1.1 200 OK\r\n" + chunked, RequestKind::ordinary, BodyKind::chunked},
             Case{"HTTP/1.1 200 OK\r\n\r\n", RequestKind::ordinary, BodyKind::until_close},
             Case{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", RequestKind::ordinary, BodyKind::none},
             Case{"HTTP/1.1 200 OK\r\n" + length, RequestKind::head, BodyKind::none},
             Case{"HTTP/1.1 200 OK\r\n" + chunked, RequestKind::head, BodyKind::none},
             Case{"HTTP/1.1 304 NM\r\n" + length, RequestKind::ordinary, BodyKind::none},
             Case{"HTTP/1.1 204 NC\r\n\r\n", RequestKind::ordinary, BodyKind::none},
             Case{"HTTP/1.1 103 EH\r\n" + length, RequestKind::ordinary, BodyKind::none},
             Case{"HTTP/1.1 101 SP\r\n\r\n", RequestKind::websocket, BodyKind::none},
             Case{"HTTP/1.1 403 No\r\n" + length, RequestKind::websocket, BodyKind::length},
         }) {
        const ParsedResponse parsed(c.head, c.request);
        ASSERT_TRUE(parsed.good) << c.head;
        EXPECT_EQ(parsed.head.body.kind, c.body) << c.head;
    }
}

TEST(Response, TellsInterimFromSwitching) {
    EXPECT_TRUE(ParsedResponse("HTTP/1.1 100 Continue\r\n\r\n").head.is_interim());
    EXPECT_TRUE(ParsedResponse("HTTP/1.1 103 Early Hints\r\n\r\n", RequestKind::websocket).head.is_interim());
    EXPECT_FALSE(ParsedResponse("HTTP/1.1 200 OK\r\n\r\n").head.is_interim());
    const ParsedResponse switching("HTTP/1.1 101 SP\r\n\r\n", RequestKind::websocket);
    EXPECT_FALSE(switching.head.is_interim());
    EXPECT_TRUE(switching.head.is_switching());
    EXPECT_FALSE(ParsedResponse("HTTP/1.1 101 SP\r\n\r\n").good) << "nobody asked for it";
    EXPECT_FALSE(ParsedResponse("HTTP/1.1 101 SP\r\n\r\n", RequestKind::head).good);
}

TEST(Response, ChecksTheHandshake) {
    const auto accepted = [](const std::string& status, const std::string& lines) {
        const ParsedResponse parsed("HTTP/1.1 " + status + " x\r\n" + lines + "\r\n", RequestKind::websocket);
        EXPECT_TRUE(parsed.good) << lines;
        return accepts_websocket(parsed.head, accept);
    };
    const std::string upgrade = "Upgrade: websocket\r\n", connection = "Connection: Upgrade\r\n";
    const std::string answer = "Sec-WebSocket-Accept: " + std::string(accept) + "\r\n";
    EXPECT_TRUE(accepted("101", upgrade + connection + answer));
    EXPECT_TRUE(accepted("101", "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n" + answer));
    EXPECT_FALSE(accepted("200", upgrade + connection + answer));
    EXPECT_FALSE(accepted("101", connection + answer));
    EXPECT_FALSE(accepted("101", upgrade + answer));
    EXPECT_FALSE(accepted("101", upgrade + connection));
    EXPECT_FALSE(accepted("101", upgrade + connection + answer + answer));
    EXPECT_FALSE(accepted("101", upgrade + connection + "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    EXPECT_FALSE(accepted("101", "Upgrade: h2c\r\n" + connection + answer));
}

}  // namespace
}  // namespace millrace::http::test
