// What the load generator's WebSocket messages carry, so that their receiver can tell whether they are the right ones,
// whole and unchanged. 40 bytes, then a body that follows from `token`. Pure functions.
//
//   | kind, magic | connection id | sequence | length | sent_us | token | check | body ...
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/base/time.h"
#include "dataplane/ws/frame.h"

namespace millrace::load {

enum class Kind : uint8_t {
    request = 1,  ///< client → server, which sends `sent_us`, `token` and the length back
    reply = 2,
    push = 3,  ///< server → client
    bulk = 4,  ///< either way
};

struct Message {
    uint32_t magic_and_kind;
    uint32_t id;        ///< of the connection (Connection::id)
    uint32_t sequence;  ///< counts the sender's messages on this connection
    uint32_t length;    ///< of the whole payload
    TimeUs sent_us;     ///< when it was to be sent, by CLOCK_MONOTONIC
    uint64_t token;     ///< chosen by who began the exchange
    uint64_t check;     ///< of the fields above

    Kind kind() const { return static_cast<Kind>(magic_and_kind & 0xff); }
};
static_assert(sizeof(Message) == 40);

inline constexpr uint32_t message_bytes_min = sizeof(Message);
inline constexpr uint32_t message_bytes_max = 16u << 20;

/// SplitMix64's finalizer: spreads; guards nothing.
constexpr uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/// Sets magic and check; the other fields are the caller's.
void seal(Message& message, Kind kind);

/// Magic, kind, length and check are right.
bool is_sound(const Message& message);

/// Whether `bytes`, which stand at `offset` in the payload of a message, are what its token makes. `offset` is at least
/// that of the body. The bytes are masked with `mask` (zero: they are not).
bool body_matches(uint64_t token, uint32_t offset, std::span<const uint8_t> bytes, const ws::MaskingKey& mask);

/// Writes a whole binary frame with the message and its body; `mask` is null toward clients. `out` holds at least
/// length + ws::frame_header_bytes_max bytes. Returns the frame's size.
size_t write_message(const Message& message, const ws::MaskingKey* mask, std::span<uint8_t> out);

}  // namespace millrace::load
