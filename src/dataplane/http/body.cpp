// See body.h. A chunked body (RFC 9112 §7.1), byte classes in brackets:
//
//   chunk_size [HEX 1…15] ──CR──────────────────────▶ chunk_size_lf ──LF, size > 0──▶ chunk_data ─▶ data_cr ─▶ data_lf
//        │ ';'                                       ▲     │ LF, size 0                                           │
//        ▼                                           │     ▼                                                      │
//   chunk_extension [field bytes] ──CR───────────────┘   trailer_start ──CR──▶ last_lf ──LF──▶ done               │
//        ▲                                                 │  ▲ LF                                                │
//        └─ next chunk ◀───────────────────────────────────│──│───────────────────────────────────────────── LF ──┘
//                                                          ▼  │
//                                            trailer_name ':' trailer_value ──CR──▶ trailer_lf
#include "dataplane/http/body.h"

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/http/text.h"

namespace millrace::http {
namespace {

/// 0…15, or -1.
constexpr int hex_digit(uint8_t byte) {
    const char c = to_lower(static_cast<char>(byte));
    if (is_digit(c)) return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

BodyCursor::BodyCursor(BodyFraming framing) {
    switch (framing.kind) {
        case BodyKind::none:
            break;
        case BodyKind::length:
            remaining_ = framing.length;
            state_ = framing.length == 0 ? State::done : State::length;
            break;
        case BodyKind::chunked:
            state_ = State::chunk_size;
            break;
        case BodyKind::until_close:
            state_ = State::until_close;
            break;
    }
}

BodyCursor::Step BodyCursor::advance(std::span<const uint8_t> bytes) {
    size_t taken = 0;
    while (taken < bytes.size() && state_ != State::done && state_ != State::error) {
        switch (state_) {
            case State::until_close:
                taken = bytes.size();
                break;
            case State::length:
            case State::chunk_data: {
                const uint64_t step = std::min<uint64_t>(remaining_, bytes.size() - taken);
                taken += step;
                remaining_ -= step;
                if (remaining_ == 0) state_ = state_ == State::length ? State::done : State::chunk_data_cr;
                break;
            }
            default:
                state_ = take_chunked_byte(bytes[taken]);
                if (state_ != State::error) ++taken;
        }
    }
    if (fault(Fault::http_bytes_after_body) && state_ == State::done) taken = bytes.size();
    return {taken, state_ == State::done, state_ == State::error};
}

BodyCursor::State BodyCursor::take_chunked_byte(uint8_t byte) {
    const auto next_if = [](bool expected, State next) { return expected ? next : State::error; };
    switch (state_) {
        case State::chunk_size: {
            const int digit = hex_digit(byte);
            if (digit >= 0) {
                remaining_ = remaining_ << 4 | static_cast<unsigned>(digit);
                return next_if(++line_bytes_ <= chunk_size_digits_max, State::chunk_size);
            }
            if (line_bytes_ == 0) return State::error;
            line_bytes_ = 0;
            return byte == '\r' ? State::chunk_size_lf : next_if(byte == ';', State::chunk_extension);
        }
        case State::chunk_extension:
            if (byte == '\r') return State::chunk_size_lf;
            return next_if(is_field_byte(byte) && ++line_bytes_ <= extension_bytes_max, State::chunk_extension);
        case State::chunk_size_lf:
            line_bytes_ = 0;
            if (remaining_ == 0) return next_if(byte == '\n', State::trailer_start);
            if (fault(Fault::http_chunk_size_off_by_one)) ++remaining_;
            return next_if(byte == '\n', State::chunk_data);
        case State::chunk_data_cr:
            return next_if(byte == '\r', State::chunk_data_lf);
        case State::chunk_data_lf:
            return next_if(byte == '\n', State::chunk_size);
        case State::trailer_start:
            if (byte == '\r') return State::last_lf;
            return next_if(is_token_char(static_cast<char>(byte)) && ++line_bytes_ <= trailer_bytes_max,
                           State::trailer_name);
        case State::trailer_name:
            if (++line_bytes_ > trailer_bytes_max) return State::error;
            if (byte == ':') return State::trailer_value;
            return next_if(is_token_char(static_cast<char>(byte)), State::trailer_name);
        case State::trailer_value:
            if (byte == '\r') return State::trailer_lf;
            return next_if(is_field_byte(byte) && ++line_bytes_ <= trailer_bytes_max, State::trailer_value);
        case State::trailer_lf:
            return next_if(byte == '\n', State::trailer_start);
        case State::last_lf:
            return next_if(byte == '\n', State::done);
        default:
            return State::error;
    }
}

}  // namespace millrace::http
