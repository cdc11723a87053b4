// Any bytes as a body. It ends, or fails, at the same byte however it is cut; nothing behind its end is taken; and a
// chunked body ends just where a second decoder, which sees all of it at once, finds a well-formed one to end.
//
// Input: the seed of the cuts, the kind of framing (modulo 4), the length (two bytes), then the stream.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <millrace/assert.h>

#include "dataplane/http/body.h"
#include "dataplane/http/text.h"
#include "pieces.h"

namespace millrace::http {
namespace {

bool is_field_text(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return is_field_byte(static_cast<uint8_t>(c)); });
}

/// Cuts the first line off `text`, its CRLF too.
std::optional<std::string_view> next_line(std::string_view& text) {
    const size_t end = text.find("\r\n");
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 2);
    return line;
}

/// Bytes of the chunked body at the start of `text`; empty when that is not whole and well-formed.
std::optional<size_t> chunked_length(std::string_view text) {
    const char* const begin = text.data();
    for (uint64_t size = 1; size > 0;) {
        const auto line = next_line(text);
        if (!line) return std::nullopt;
        const size_t digits = std::min(line->find_first_not_of("0123456789abcdefABCDEF"), line->size());
        const std::string_view extension = line->substr(digits);
        if (digits < 1 || digits > 15 || (!extension.empty() && extension.front() != ';')) return std::nullopt;
        if (!is_field_text(extension) || extension.size() > BodyCursor::extension_bytes_max + 1u) return std::nullopt;
        size = std::stoull(std::string(line->substr(0, digits)), nullptr, 16);
        if (size == 0) break;
        if (text.size() < size + 2 || text.substr(size, 2) != "\r\n") return std::nullopt;
        text.remove_prefix(size + 2);
    }
    for (size_t trailer_bytes = 0;;) {
        const auto line = next_line(text);
        if (!line) return std::nullopt;
        if (line->empty()) return static_cast<size_t>(text.data() - begin);
        const size_t colon = line->find(':');
        if (colon == std::string_view::npos || !is_token(line->substr(0, colon)) || !is_field_text(*line))
            return std::nullopt;
        trailer_bytes += line->size();
        if (trailer_bytes > BodyCursor::trailer_bytes_max) return std::nullopt;
    }
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
    if (framing.kind == BodyKind::chunked) {
        const auto length = chunked_length(as_text(stream));
        MILLRACE_ASSERT(expected.done == length.has_value() && (!length || taken == *length));
    }
}

}  // namespace
}  // namespace millrace::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    millrace::http::fuzz_one({data, size});
    return 0;
}
