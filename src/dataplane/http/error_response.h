// The short answers that the balancer gives itself. Always final: `Connection: close`, the caller closes after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace::http {

/// A buffer of this size holds every answer.
inline constexpr size_t error_response_bytes_max = 256;

struct ErrorDetails {
    uint32_t retry_after_s = 0;     ///< 503 only: `Retry-After` in seconds; 0 leaves it out
    bool request_was_head = false;  ///< leaves the body out, its Content-Length stays (RFC 9110 §9.3.2)
};

/// Writes head and one-line body for 400, 404, 408, 414, 431, 501, 502, 503, 504, 505 or status_websocket_version.
/// Another status is our own mistake and asserts. Returns the bytes written, or 0 when `out` is too small.
size_t write_error(uint16_t status, const ErrorDetails& details, std::span<uint8_t> out);

}  // namespace millrace::http
