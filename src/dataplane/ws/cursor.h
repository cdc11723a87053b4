// Knows where the frame boundaries are in one direction of a relayed WebSocket connection (RFC 6455 §5.2). It looks
// only at frame headers, skips payload without reading it, and never changes or holds back a byte: a peer that breaks
// the protocol makes the cursor `lost`, and its bytes are relayed all the same.
//
// One cursor per direction lives in the relay's record: 12 bytes of plain data, no pointers; all zero bits is the start
// of a connection without extensions. The worker that owns the relay advances it.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include "dataplane/ws/frame.h"

namespace millrace::ws {

class FrameCursor {
  public:
    FrameCursor() = default;
    /// `extensions`: the 101 named some, so RSV bits may be set.
    explicit FrameCursor(bool extensions) : flags_(extensions ? extensions_negotiated : 0) {}

    /// Walks over the next relayed bytes, in stream order. O(frames), not O(bytes).
    void advance(std::span<const uint8_t> bytes);

    /// Between two frames: a frame of ours may be put in here (a data frame only when not in_message()). False once
    /// lost.
    bool at_boundary() const { return phase_ == Phase::first_byte; }
    /// A fragmented message has begun and its final frame has not (control frames in between don't count).
    bool in_message() const { return (flags_ & message_open) != 0; }
    /// A close frame's header was seen in this direction.
    bool close_seen() const { return (flags_ & close_frame_seen) != 0; }
    /// The opcode of the latest frame whose header's first byte was seen; continuation before the first.
    Opcode last_opcode() const { return static_cast<Opcode>(opcode_); }
    /// An impossible frame came: reserved opcode, RSV bits without extensions, a control frame that is fragmented or
    /// longer than 125 bytes, a 64-bit length with its top bit set, a continuation of nothing, or a new message inside
    /// a fragmented one. Final: boundaries are unknown from there on. (A length not in its shortest form is let pass.)
    bool lost() const { return phase_ == Phase::lost; }

  private:
    enum class Phase : uint8_t {
        first_byte,  // first: a zeroed cursor is at a boundary
        second_byte,
        length,   // in the 16- or 64-bit length
        payload,  // in the masking key or the payload
        lost,
    };
    enum Flag : uint8_t {
        extensions_negotiated = 1,
        message_open = 2,
        close_frame_seen = 4,
        masked = 8,
    };

    void walk(std::span<const uint8_t> bytes);
    Phase take_first_byte(uint8_t byte);
    Phase take_second_byte(uint8_t byte);
    Phase take_length_byte(uint8_t byte);
    Phase enter_payload(uint64_t length);
    uint64_t remaining() const { return uint64_t{remaining_high_} << 32 | remaining_low_; }
    void set_remaining(uint64_t value) {
        remaining_low_ = static_cast<uint32_t>(value);
        remaining_high_ = static_cast<uint32_t>(value >> 32);
    }

    // Bytes left of masking key and payload; the length while it is being read. Two halves keep the cursor at 12 bytes.
    uint32_t remaining_low_ = 0;
    uint32_t remaining_high_ = 0;
    Phase phase_ = Phase::first_byte;
    uint8_t length_bytes_left_ = 0;
    uint8_t opcode_ = 0;
    uint8_t flags_ = 0;
};
static_assert(sizeof(FrameCursor) == 12 && std::is_trivially_copyable_v<FrameCursor> &&
              std::is_standard_layout_v<FrameCursor>);

}  // namespace millrace::ws
