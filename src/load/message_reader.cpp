#include "load/message_reader.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace millrace::load {
namespace {

/// Bytes of the frame's head, as far as those that are there tell.
size_t head_length(const ReaderState& state) {
    if (state.head_bytes < 2) return 2;
    const uint8_t code = state.head[1] & 0x7f;
    return 2 + (code == 126 ? 2u : code == 127 ? 8u : 0u) + ((state.head[1] & 0x80) != 0 ? 4u : 0u);
}

ws::Opcode opcode_of(const ReaderState& state) {
    return static_cast<ws::Opcode>(state.head[0] & 0x0f);
}

/// The head is complete. False when it is none of our peers'.
bool begin_payload(ReaderState& state, bool masked) {
    const bool whole = (state.head[0] & 0xf0) == 0x80;
    const uint8_t code = state.head[1] & 0x7f;
    if (!whole || ((state.head[1] & 0x80) != 0) != masked) return false;
    const ws::Opcode opcode = opcode_of(state);
    const bool control = opcode == ws::Opcode::close || opcode == ws::Opcode::ping || opcode == ws::Opcode::pong;
    if (opcode != ws::Opcode::binary && !control) return false;
    const size_t length_bytes = code == 126 ? 2 : code == 127 ? 8 : 0;
    state.length = length_bytes == 0 ? code : 0;
    for (size_t i = 0; i < length_bytes; ++i) state.length = state.length << 8 | state.head[2 + i];
    if (masked) std::memcpy(state.mask.bytes, state.head + 2 + length_bytes, 4);
    state.in_payload = true;
    return state.length <= (control ? ws::control_payload_bytes_max : message_bytes_max);
}

/// Keeps the payload's first bytes and compares those behind them. Returns how many were used.
size_t take_payload(ReaderState& state, std::span<const uint8_t> bytes) {
    const bool control = ws::is_control(opcode_of(state));
    const uint64_t kept_max = std::min<uint64_t>(state.length, control ? sizeof state.start : sizeof(Message));
    const size_t taken = static_cast<size_t>(std::min<uint64_t>(bytes.size(), state.length - state.seen));
    size_t at = 0;
    for (; at < taken && state.seen < kept_max; ++at, ++state.seen)
        state.start[state.seen] = bytes[at] ^ state.mask.bytes[state.seen % 4];
    if (at == taken) return taken;
    Message message;
    std::memcpy(&message, state.start, sizeof message);
    const auto body = bytes.subspan(at, taken - at);
    if (!body_matches(message.token, static_cast<uint32_t>(state.seen), body, state.mask)) state.corrupted = true;
    state.seen += body.size();
    return taken;
}

ReadFrame finished(const ReaderState& state) {
    if (ws::is_control(opcode_of(state)))
        return {.kind = ReadFrame::Kind::control,
                .opcode = opcode_of(state),
                .payload = std::span(state.start).first(static_cast<size_t>(state.length))};
    ReadFrame frame{.kind = ReadFrame::Kind::message, .payload = {}};
    std::memcpy(&frame.message, state.start, sizeof frame.message);
    const bool sound = state.length >= message_bytes_min && !state.corrupted && is_sound(frame.message) &&
                       frame.message.length == state.length;
    if (!sound) frame.kind = ReadFrame::Kind::corrupted;
    return frame;
}

}  // namespace

bool read_frames(ReaderState& state, std::span<const uint8_t> bytes, bool masked,
                 tcp::FunctionRef<void(const ReadFrame&)> visit) {
    while (!bytes.empty() || (state.in_payload && state.seen == state.length)) {
        if (!state.in_payload) {
            const size_t wanted = head_length(state) - state.head_bytes;
            const size_t taken = std::min(wanted, bytes.size());
            std::memcpy(state.head + state.head_bytes, bytes.data(), taken);
            state.head_bytes = static_cast<uint8_t>(state.head_bytes + taken);
            bytes = bytes.subspan(taken);
            if (state.head_bytes == head_length(state) && !begin_payload(state, masked)) return false;
            continue;
        }
        bytes = bytes.subspan(take_payload(state, bytes));
        if (state.seen < state.length) continue;
        visit(finished(state));
        // `start` is overwritten before it is read.
        std::memset(&state, 0, offsetof(ReaderState, start));
    }
    return true;
}

}  // namespace millrace::load
