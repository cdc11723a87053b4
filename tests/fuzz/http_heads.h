// What the fuzz targets of request and response heads share.
#pragma once

#include <vector>

#include <millrace/assert.h>

#include "dataplane/http/head_scan.h"
#include "pieces.h"

namespace millrace::fuzz {

/// Scans `stream` as it would arrive in pieces and whole; both must come to the same end. Returns that.
inline http::HeadScan scan_both_ways(std::span<const uint8_t> stream, uint8_t seed) {
    constexpr uint32_t limit = 2048;
    const http::HeadScan whole = http::scan_head(stream, 0, limit);
    http::HeadScan scan;
    PieceSizes sizes(seed);
    for (size_t received = 0; received < stream.size() && scan.outcome == http::ScanOutcome::incomplete;) {
        received += sizes.next(stream.size() - received);
        scan = http::scan_head(OwnBytes(stream.first(received)).span(), scan.scanned, limit);
        if (scan.outcome == http::ScanOutcome::incomplete) MILLRACE_ASSERT(scan.scanned == received);
    }
    MILLRACE_ASSERT(scan.outcome == whole.outcome && scan.status == whole.status && scan.length == whole.length);
    MILLRACE_ASSERT((whole.outcome == http::ScanOutcome::error) == (whole.status != 0));
    MILLRACE_ASSERT(whole.length <= std::min<size_t>(stream.size(), limit));
    return whole;
}

/// The bytes that `write` puts into a buffer of at most `room` bytes. It must fit, must not fit into one byte less, and
/// must be one whole head.
template <typename Write>
std::vector<uint8_t> written_head(size_t room, Write write) {
    std::vector<uint8_t> out(room);
    out.resize(write(std::span<uint8_t>(out)));
    MILLRACE_ASSERT(!out.empty());
    std::vector<uint8_t> narrow(out.size() - 1);
    MILLRACE_ASSERT(write(std::span<uint8_t>(narrow)) == 0);
    const http::HeadScan scan = http::scan_head(out, 0);
    MILLRACE_ASSERT(scan.outcome == http::ScanOutcome::complete && scan.length == out.size());
    return out;
}

}  // namespace millrace::fuzz
