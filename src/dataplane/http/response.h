// A response head (RFC 9112 §4, §6.3) parsed into views of the caller's buffer, and the check of a WebSocket handshake
// answer (RFC 6455 §4.1). Strict, as request.h. Lives on the worker's stack during one call, about 4.5 KB.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/http/body.h"
#include "dataplane/http/fields.h"
#include "dataplane/http/request.h"

namespace millrace::http {

struct ResponseHead {
    uint16_t status = 0;      ///< 100…599
    std::string_view reason;  ///< may be empty
    BodyFraming body;
    ConnectionOptions connection;
    FieldList fields;

    /// 100, 102, 103, ...: pass it on (RFC 9110 §15.2); another head follows on the same connection.
    bool is_interim() const { return status < 200 && status != 101; }
    bool is_switching() const { return status == 101; }
    /// Whatever the fields say (RFC 9112 §6.3).
    bool never_has_body() const { return status < 200 || status == 204 || status == 304; }
};

/// Parses the bytes that scan_head found complete into `response`. False when the head is malformed or ambiguous, or is
/// a 101 that the request did not ask for: answer the client with 502. `response` means nothing then.
[[nodiscard]] bool parse_response(std::span<const uint8_t> head, RequestKind request, ResponseHead& response);

/// True when a 101 switches to WebSocket as asked: Upgrade and Connection say so, and the one Sec-WebSocket-Accept
/// equals `accept`, the value that accept_key gives for the client's key. Otherwise answer the client with 502.
bool accepts_websocket(const ResponseHead& response, std::string_view accept);

}  // namespace millrace::http
