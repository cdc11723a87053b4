// The balancer's own answers are well-formed by our own parser's measure.
#include "dataplane/http/error_response.h"

#include <gtest/gtest.h>
#include <string>

#include "heads.h"

namespace millrace::http::test {
namespace {

std::string error_text(uint16_t status, const ErrorDetails& details = {}) {
    uint8_t out[error_response_bytes_max];
    return {reinterpret_cast<char*>(out), write_error(status, details, out)};
}

TEST(ErrorResponse, SaysWhatItIs) {
    EXPECT_EQ(error_text(404),
              "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 14\r\nConnection: close\r\n\r\n"
              "404 Not Found\n");
    EXPECT_EQ(error_text(503, {.retry_after_s = 4294967295}),
              "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 24\r\n"
              "Connection: close\r\nRetry-After: 4294967295\r\n\r\n503 Service Unavailable\n");
    EXPECT_EQ(error_text(status_websocket_version),
              "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 16\r\nConnection: close\r\n"
              "Sec-WebSocket-Version: 13\r\n\r\n400 Bad Request\n");
}

TEST(ErrorResponse, ParsesWithItsOwnLength) {
    for (uint16_t status : std::initializer_list<uint16_t>{400, 404, 408, 414, 431, 501, 502, 503, 504, 505}) {
        const std::string text = error_text(status, {.retry_after_s = 7});
        const ParsedResponse parsed(text);
        ASSERT_TRUE(parsed.good) << text;
        EXPECT_EQ(parsed.head.status, status);
        EXPECT_EQ(text.size() - text.find("\r\n\r\n") - 4, parsed.head.body.length) << text;
        EXPECT_EQ(parsed.head.fields.find("retry-after") != nullptr, status == 503);

        const std::string without_body = error_text(status, {.retry_after_s = 7, .request_was_head = true});
        EXPECT_EQ(without_body, text.substr(0, text.find("\r\n\r\n") + 4));
    }
}

TEST(ErrorResponse, NeedsExactlyTheRoomItUses) {
    millrace::test::GuardedBytes memory(error_response_bytes_max);
    const size_t length = error_text(400).size();
    EXPECT_EQ(write_error(400, {}, memory.at_end(length)), length);
    EXPECT_EQ(write_error(400, {}, memory.at_end(length - 1)), 0u);
    EXPECT_EQ(write_error(400, {}, {}), 0u);
}

TEST(ErrorResponseDeathTest, AssertsOnAStatusThatIsNoneOfOurs) {
    EXPECT_DEATH(error_text(418), "assertion failed");
}

}  // namespace
}  // namespace millrace::http::test
