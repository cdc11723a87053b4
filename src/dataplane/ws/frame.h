// WebSocket frame vocabulary (RFC 6455 §5.2) and a writer for frame headers, for the few frames that the balancer makes
// itself (ping, close). Relayed frames are never rewritten: cursor.h only walks over them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace::ws {

enum class Opcode : uint8_t {
    continuation = 0x0,
    text = 0x1,
    binary = 0x2,
    close = 0x8,
    ping = 0x9,
    pong = 0xa,
};

constexpr bool is_control(Opcode opcode) {
    return static_cast<uint8_t>(opcode) >= 0x8;
}

inline constexpr uint8_t control_payload_bytes_max = 125;
inline constexpr size_t frame_header_bytes_max = 14;

/// A masking key as it stands on the wire.
struct MaskingKey {
    uint8_t bytes[4];
};

/// Writes a frame header with the shortest length form; `mask` is null toward clients and required toward servers.
/// Returns its size, 2…14. A control frame must be final and carry at most 125 bytes, a length stays below 2^63:
/// anything else is our own mistake and asserts.
size_t write_frame_header(Opcode opcode, bool fin, uint64_t payload_length, const MaskingKey* mask,
                          std::span<uint8_t, frame_header_bytes_max> out);

/// XORs `payload` with the key; `offset` is its position within the frame's payload (RFC 6455 §5.3).
void apply_mask(const MaskingKey& mask, uint64_t offset, std::span<uint8_t> payload);

}  // namespace millrace::ws
