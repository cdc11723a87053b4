// Any bytes as a body. It ends, or fails, at the same byte however it is cut; nothing behind its end is taken; and a
// chunked body that ends does so where a second, plain decoder sees its end.
//
// Input: the seed of the cuts, the kind of framing (modulo 4), the length (two bytes), then the stream.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include <millrace/assert.h>

#include "dataplane/http/body.h"
#include "pieces.h"

namespace millrace::http {
namespace {

/// Bytes of a well-formed chunked body at the start of `text`. Slow and simple; knows no limits.
size_t chunked_length(const std::string& text) {
    size_t at = 0;
    for (size_t size = 1; size > 0;) {
        size = std::strtoull(text.c_str() + at, nullptr, 16);
        at = text.find("\r\n", at) + 2;
        if (size > 0) at += size + 2;
    }
    while (text.compare(at, 2, "\r\n") != 0) at = text.find("\r\n", at) + 2;  // trailers
    return at + 2;
}

void fuzz_one(std::span<const uint8_t> input) {
    if (input.size() < 4) return;
    const std::span<const uint8_t> stream = input.subspan(4);
    BodyFraming framing = {static_cast<BodyKind>(input[1] % 4), 0};
    if (framing.kind == BodyKind::length) framing.length = 1u + input[2] * 256u + input[3];

    BodyCursor whole(framing);
    const BodyCursor::Step expected = whole.advance(stream);
    MILLRACE_ASSERT(expected.bytes <= stream.size() && !(expected.done && expected.error));

    BodyCursor cursor(framing);
    BodyCursor::Step step{.done = cursor.done()};
    size_t taken = 0;
    fuzz::PieceSizes sizes(input[0]);
    for (size_t at = 0, size = 0; at < stream.size(); at += size) {
        size = sizes.next(stream.size() - at);
        const bool ended = step.done || step.error;
        step = cursor.advance(fuzz::OwnBytes(stream.subspan(at, size)).span());
        MILLRACE_ASSERT(ended ? step.bytes == 0 : step.bytes == size || step.done || step.error);
        taken += step.bytes;
    }
    MILLRACE_ASSERT(taken == expected.bytes && step.done == expected.done && step.error == expected.error);

    if (framing.kind == BodyKind::length) MILLRACE_ASSERT(taken == std::min<size_t>(framing.length, stream.size()));
    if (framing.kind == BodyKind::chunked && expected.done)
        MILLRACE_ASSERT(taken == chunked_length({reinterpret_cast<const char*>(stream.data()), stream.size()}));
}

}  // namespace
}  // namespace millrace::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    millrace::http::fuzz_one({data, size});
    return 0;
}
