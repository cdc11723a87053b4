// See cursor.h. The masking key is skipped as if it were the first four bytes of the payload.
//
//   first_byte ─▶ second_byte ─┬─────────────▶ payload ─▶ first_byte        (any of them but payload may end in lost)
//                              └─▶ length ─────▲ │ nothing to skip: first_byte at once
#include "dataplane/ws/cursor.h"

#include <algorithm>

#include "dataplane/base/fault.h"

namespace millrace::ws {

void FrameCursor::advance(std::span<const uint8_t> bytes) {
    FrameCursor cursor = *this;  // in registers: `bytes` could otherwise alias every field
    cursor.walk(bytes);
    *this = cursor;
}

inline void FrameCursor::walk(std::span<const uint8_t> bytes) {
    size_t taken = 0;
    if (fault(Fault::ws_cursor_forgets_split_length) && phase_ == Phase::length) set_remaining(0);
    while (taken < bytes.size()) {
        switch (phase_) {
            case Phase::first_byte:
                phase_ = take_first_byte(bytes[taken++]);
                break;
            case Phase::second_byte:
                phase_ = take_second_byte(bytes[taken++]);
                break;
            case Phase::length:
                phase_ = take_length_byte(bytes[taken++]);
                break;
            case Phase::payload: {
                const uint64_t left = remaining();
                const uint64_t step = std::min<uint64_t>(left, bytes.size() - taken);
                taken += step;
                set_remaining(left - step);
                if (left == step) phase_ = Phase::first_byte;
                break;
            }
            case Phase::lost:
                return;
        }
    }
}

inline FrameCursor::Phase FrameCursor::take_first_byte(uint8_t byte) {
    const bool fin = (byte & 0x80) != 0;
    opcode_ = byte & 0x0f;
    if ((byte & 0x70) != 0 && (flags_ & extensions_negotiated) == 0) return Phase::lost;
    if (is_control(last_opcode())) {
        if (last_opcode() > Opcode::pong || !fin) return Phase::lost;
        if (last_opcode() == Opcode::close) flags_ |= close_frame_seen;
        return Phase::second_byte;
    }
    // Inside a fragmented message only continuations come, outside only something else.
    const bool continues = last_opcode() == Opcode::continuation;
    if (last_opcode() > Opcode::binary || continues != in_message()) return Phase::lost;
    flags_ = static_cast<uint8_t>(fin ? flags_ & ~message_open : flags_ | message_open);
    return Phase::second_byte;
}

inline FrameCursor::Phase FrameCursor::take_second_byte(uint8_t byte) {
    const uint8_t length = byte & 0x7f;
    flags_ = static_cast<uint8_t>((byte & 0x80) != 0 ? flags_ | masked : flags_ & ~masked);
    if (is_control(last_opcode()) && length > control_payload_bytes_max) return Phase::lost;
    if (length < 126) return enter_payload(length);
    set_remaining(0);
    length_bytes_left_ = length == 126 ? 2 : 8;
    return Phase::length;
}

inline FrameCursor::Phase FrameCursor::take_length_byte(uint8_t byte) {
    set_remaining(remaining() << 8 | byte);
    if (--length_bytes_left_ > 0) return Phase::length;
    return remaining() >> 63 != 0 ? Phase::lost : enter_payload(remaining());
}

inline FrameCursor::Phase FrameCursor::enter_payload(uint64_t length) {
    const bool has_key = (flags_ & masked) != 0 && !fault(Fault::ws_cursor_ignores_mask);
    set_remaining(length + (has_key ? 4 : 0));
    return remaining() == 0 ? Phase::first_byte : Phase::payload;
}

}  // namespace millrace::ws
