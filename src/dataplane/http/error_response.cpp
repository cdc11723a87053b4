// See error_response.h.
#include "dataplane/http/error_response.h"

#include <string_view>

#include <millrace/assert.h>

#include "dataplane/http/request.h"
#include "dataplane/http/writer.h"

namespace millrace::http {
namespace {

/// Status code and reason phrase (RFC 9110 §15, RFC 6585); empty for a status that we never send.
std::string_view status_text(uint16_t status) {
    switch (status) {
        case 400:
        case status_websocket_version:
            return "400 Bad Request";
        case 404:
            return "404 Not Found";
        case 408:
            return "408 Request Timeout";
        case 414:
            return "414 URI Too Long";
        case 431:
            return "431 Request Header Fields Too Large";
        case 501:
            return "501 Not Implemented";
        case 502:
            return "502 Bad Gateway";
        case 503:
            return "503 Service Unavailable";
        case 504:
            return "504 Gateway Timeout";
        case 505:
            return "505 HTTP Version Not Supported";
        default:
            return {};
    }
}

}  // namespace

size_t write_error(uint16_t status, const ErrorDetails& details, std::span<uint8_t> out) {
    const std::string_view text = status_text(status);
    MILLRACE_ASSERT(!text.empty());

    Writer writer(out);
    writer.put({"HTTP/1.1 ", text, "\r\nContent-Type: text/plain\r\nContent-Length: "});
    writer.number(static_cast<uint32_t>(text.size() + 1));
    writer.put("\r\nConnection: close\r\n");
    if (status == status_websocket_version) writer.put("Sec-WebSocket-Version: 13\r\n");
    if (status == 503 && details.retry_after_s > 0) {
        writer.put("Retry-After: ");
        writer.number(details.retry_after_s);
        writer.put("\r\n");
    }
    writer.put("\r\n");
    if (!details.request_was_head) writer.put({text, "\n"});
    return writer.length();
}

}  // namespace millrace::http
