// Any bytes as one direction of a WebSocket connection. The cursor's state is the same however the bytes are cut, and
// its boundaries are those that a second walker finds, which reads whole headers from the whole stream.
//
// Input: the seed of the cuts, whether extensions are in use (bit 0), then the stream.
#include <cstddef>
#include <cstdint>

#include <millrace/assert.h>

#include "dataplane/ws/cursor.h"
#include "pieces.h"

namespace millrace::ws {
namespace {

/// True when `stream` is a sequence of whole frames, by their lengths alone.
bool ends_at_boundary(std::span<const uint8_t> stream) {
    while (!stream.empty()) {
        if (stream.size() < 2) return false;
        const unsigned code = stream[1] & 0x7fu;
        const size_t length_bytes = code < 126 ? 0 : code == 126 ? 2 : 8;
        const size_t header = 2 + length_bytes + ((stream[1] & 0x80) != 0 ? 4 : 0);
        if (stream.size() < header) return false;
        uint64_t length = length_bytes == 0 ? code : 0;
        for (size_t i = 0; i < length_bytes; ++i) length = length << 8 | stream[2 + i];
        if (stream.size() - header < length) return false;
        stream = stream.subspan(header + length);
    }
    return true;
}

void check_same(const FrameCursor& a, const FrameCursor& b) {
    MILLRACE_ASSERT(a.at_boundary() == b.at_boundary() && a.lost() == b.lost());
    MILLRACE_ASSERT(a.in_message() == b.in_message() && a.close_seen() == b.close_seen());
    MILLRACE_ASSERT(a.last_opcode() == b.last_opcode());
}

void fuzz_one(std::span<const uint8_t> input) {
    if (input.size() < 2) return;
    const std::span<const uint8_t> stream = input.subspan(2);
    const bool extensions = (input[1] & 1) != 0;

    FrameCursor whole(extensions), cursor(extensions);
    whole.advance(stream);
    fuzz::PieceSizes sizes(input[0]);
    for (size_t at = 0, size = 0; at < stream.size(); at += size) {
        size = sizes.next(stream.size() - at);
        cursor.advance(fuzz::OwnBytes(stream.subspan(at, size)).span());
        if (!cursor.lost()) MILLRACE_ASSERT(cursor.at_boundary() == ends_at_boundary(stream.first(at + size)));
    }
    check_same(whole, cursor);
}

}  // namespace
}  // namespace millrace::ws

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    millrace::ws::fuzz_one({data, size});
    return 0;
}
