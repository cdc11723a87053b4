// See head_scan.h. What a byte means depends on its position and at most two bytes before it, all still in the buffer:
// that is why the number of scanned bytes is state enough.
#include "dataplane/http/head_scan.h"

#include <algorithm>
#include <cstring>

#include <millrace/assert.h>

#include "dataplane/base/fault.h"
#include "dataplane/http/text.h"

namespace millrace::http {
namespace {

constexpr HeadScan refuse(uint16_t status) {
    return {.outcome = ScanOutcome::error, .status = status};
}

/// The head has filled the limit without an end: is it the request line or the whole head that is too long?
HeadScan refuse_too_long(std::span<const uint8_t> limited) {
    const size_t line_start = limited.size() >= 2 && limited[0] == '\r' ? 2 : 0;
    const bool in_first_line = std::memchr(limited.data() + line_start, '\n', limited.size() - line_start) == nullptr;
    return refuse(in_first_line ? 414 : 431);
}

}  // namespace

HeadScan scan_head(std::span<const uint8_t> buffer, uint32_t already_scanned, uint32_t head_bytes_max) {
    MILLRACE_ASSERT(already_scanned <= buffer.size());
    const uint32_t end = static_cast<uint32_t>(std::min<size_t>(buffer.size(), head_bytes_max));
    const uint32_t first = fault(Fault::http_scan_forgets_cut) ? already_scanned : 0;  // nothing before it is looked at
    for (uint32_t i = already_scanned; i < end; ++i) {
        const uint8_t byte = buffer[i];
        const bool after_cr = i > first && buffer[i - 1] == '\r';
        if (byte == '\n') {
            if (!after_cr) return refuse(400);
            if (i == 1 || buffer[i - 2] != '\n') continue;  // i == 1: the one empty line that may come first
            if (i == 3) return refuse(400);
            return {.outcome = ScanOutcome::complete, .scanned = i + 1, .length = i + 1};
        }
        if (after_cr) return refuse(400);
        if (byte == '\r') continue;
        if (!is_field_byte(byte)) return refuse(400);
        if (is_blank(static_cast<char>(byte)) && (i == 0 || buffer[i - 1] == '\n')) return refuse(400);
    }
    if (buffer.size() >= head_bytes_max) return refuse_too_long(buffer.first(end));
    return {.scanned = end};
}

}  // namespace millrace::http
