// Finds where the head of an HTTP/1.x message ends, and refuses early what can never become a valid one. Looks at bytes
// and line ends only (RFC 9112 §2.2): what a line means is request.h and response.h.
//
// The caller keeps all bytes received so far in one contiguous buffer and remembers how many of them were scanned;
// that number is the whole state. However the input is cut, the final outcome is the same, and each byte is scanned
// once. Stateless; any thread.
#pragma once

#include <cstdint>
#include <span>

namespace millrace::http {

enum class ScanOutcome : uint8_t {
    incomplete,  ///< everything seen may still become a head: come again with more bytes
    complete,
    error,
};

struct HeadScan {
    ScanOutcome outcome = ScanOutcome::incomplete;
    uint16_t status = 0;   ///< error: 400, 414 (limit reached in the first line) or 431 (later); a response gets 502
    uint32_t scanned = 0;  ///< pass it as `already_scanned` next time
    uint32_t length = 0;   ///< complete: bytes of the head, from the buffer's start through the empty line's LF
};

inline constexpr uint32_t head_bytes_max_default = 16384;

/// `buffer` holds every byte received since the message began; the first `already_scanned` of them gave `incomplete`
/// before. A head longer than `head_bytes_max` is an error as soon as that many bytes are there.
/// 400: CR without LF, LF without CR, any other control byte but HTAB, a line that begins with a blank (so obs-fold
/// too), more than one empty line before the first line. One such empty line is accepted and belongs to the head.
HeadScan scan_head(std::span<const uint8_t> buffer, uint32_t already_scanned,
                   uint32_t head_bytes_max = head_bytes_max_default);

}  // namespace millrace::http
