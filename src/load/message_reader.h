// Reads WebSocket frames with our messages in them out of a byte stream, in whatever pieces it comes, without keeping
// more of a message than its first 40 bytes: the body is compared as it passes. Between two frames the state is zero,
// so a connection keeps one only while a part of a frame has come. RFC 6455 §5.2.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include "dataplane/tcp/context.h"
#include "load/message.h"

namespace millrace::load {

/// What has come of the frame that is being read. All zero: nothing.
struct ReaderState {
    uint64_t length;  ///< of the payload; known when `in_payload`
    uint64_t seen;    ///< bytes of the payload so far
    uint8_t head[ws::frame_header_bytes_max];
    uint8_t head_bytes;
    bool in_payload;
    bool corrupted;  ///< some byte of the body was wrong
    ws::MaskingKey mask;
    uint8_t start[ws::control_payload_bytes_max];  ///< of the payload, unmasked: a message, or all of a control frame
};
static_assert(sizeof(ReaderState) <= 240 && std::is_trivially_copyable_v<ReaderState>);

/// A whole frame.
struct ReadFrame {
    enum class Kind : uint8_t { message, corrupted, control };
    Kind kind;
    Message message{};                 ///< message
    ws::Opcode opcode{};               ///< control
    std::span<const uint8_t> payload;  ///< control; lives during the call
};

/// Takes the stream's next bytes and calls `visit` for each frame that they complete. False when the stream is not
/// WebSocket as our peers speak it (fragments, reserved bits, a wrong mask bit, an absurd length): nothing behind that
/// can be read.
[[nodiscard]] bool read_frames(ReaderState& state, std::span<const uint8_t> bytes, bool masked,
                               tcp::FunctionRef<void(const ReadFrame&)> visit);

/// Nothing of a frame has come.
inline bool at_boundary(const ReaderState& state) {
    return state.head_bytes == 0;
}

}  // namespace millrace::load
