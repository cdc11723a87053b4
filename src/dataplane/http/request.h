// A request head (RFC 9112 §3, RFC 6455 §4.2.1) parsed into views of the caller's buffer. Strict: whatever two parsers
// could read differently is refused, since the next hop parses the same bytes again. Does not choose a route
// (route.h), does not write (rewrite.h). Lives on the worker's stack during one call, about 4.5 KB.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/http/body.h"
#include "dataplane/http/fields.h"

namespace millrace::http {

/// What the response parser must know of the request.
enum class RequestKind : uint8_t {
    ordinary,
    head,       ///< the response has no body, whatever its fields say
    websocket,  ///< a valid WebSocket upgrade: the response may be 101
};

/// What parse_request returns for a WebSocket version other than 13. write_error answers it by a 400 that carries
/// `Sec-WebSocket-Version: 13` (RFC 6455 §4.4); count it as 400.
inline constexpr uint16_t status_websocket_version = 426;

struct RequestHead {
    static constexpr size_t method_bytes_max = 32;

    std::string_view method;     ///< a token, case kept
    std::string_view path;       ///< begins with '/'; as sent: neither decoded nor normalised; without the query
    std::string_view query;      ///< with its '?', or empty
    std::string_view authority;  ///< host[:port] of an absolute-form target, else of Host; empty only in HTTP/1.0
    std::string_view host;       ///< `authority` without port and without one final '.'; an IPv6 address in brackets
    std::string_view websocket_key;  ///< Sec-WebSocket-Key, 24 characters; only RequestKind::websocket
    uint8_t minor_version = 1;       ///< HTTP/1.minor_version: 0 or 1
    RequestKind kind = RequestKind::ordinary;
    BodyFraming body;
    ConnectionOptions connection;
    FieldList fields;
};

/// Parses the `length` bytes that scan_head found complete (a leading empty line included) into `request`.
/// Returns 0, or the status to answer with, after which `request` means nothing:
///   400 malformed or ambiguous (see FieldList, parse_framing): among others no or two Hosts, a bad Host, an upgrade
///       with a body or without exactly one key of 16 base64 bytes;
///   431 too many fields; 501 CONNECT, `OPTIONS *`, a method over 32 bytes, an unknown transfer coding;
///   505 not HTTP/1.0 or 1.1; status_websocket_version.
/// An upgrade to anything but WebSocket, by another method than GET or in HTTP/1.0 is an ordinary request (RFC 9110
/// §7.8).
[[nodiscard]] uint16_t parse_request(std::span<const uint8_t> head, RequestHead& request);

}  // namespace millrace::http
