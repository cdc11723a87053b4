// A single-producer, single-consumer ring of messages between two processes that do not trust each other. The data and
// the producer's position lie in a file that only the producer writes; the consumer's position lies in a file that only
// the consumer writes. Each side bound-checks what it reads from the other: a mad peer costs its own messages, no more.
//
// Positions count bytes since creation and never wrap; each message is a MessageHeader and `length` bytes, padded to 8.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace millrace {

struct MessageHeader {
    uint32_t length;  ///< payload bytes, without header and padding
    uint16_t type;    ///< MessageType of commands.h
    uint16_t reserved;
    uint64_t request_id;  ///< chosen by the asker, repeated in the answers
};
static_assert(sizeof(MessageHeader) == 16);

/// One position on a cache line of its own; one writer.
struct alignas(64) RingPosition {
    std::atomic<uint64_t> value;
    uint8_t reserved[56];
};
static_assert(sizeof(RingPosition) == 64);

class MessageRingProducer {
  public:
    MessageRingProducer() = default;
    /// `data`: a power of two of bytes, aligned to 8. `produced` is ours, `consumed` the peer's.
    MessageRingProducer(std::span<std::byte> data, RingPosition* produced, const RingPosition* consumed)
        : data_(data), produced_(produced), consumed_(consumed) {}

    /// Appends a message. False when there is no room (or the peer's position makes no sense): try later or drop.
    /// `spare`: bytes that must stay free for messages that matter more.
    bool push(uint16_t type, uint64_t request_id, std::span<const std::byte> payload, uint64_t spare = 0) noexcept;

    /// Payload bytes that a message may have now, at most.
    uint32_t room() const noexcept;

  private:
    uint64_t free_bytes() const noexcept;

    std::span<std::byte> data_;
    RingPosition* produced_ = nullptr;
    const RingPosition* consumed_ = nullptr;
};

class MessageRingConsumer {
  public:
    MessageRingConsumer() = default;
    MessageRingConsumer(std::span<const std::byte> data, const RingPosition* produced, RingPosition* consumed)
        : data_(data), produced_(produced), consumed_(consumed) {}

    /// Copies the next message's header and payload out (`payload` holds at least payload_max bytes). False when there
    /// is none. A message that makes no sense (too long, beyond the producer's position) empties the ring and counts in
    /// `malformed`.
    bool pop(MessageHeader& header, std::span<std::byte> payload) noexcept;

    /// Forgets every message that waits. A consumer calls it once whenever it joins a ring whose producer's file or own
    /// file is new: positions of different files know nothing of each other, and until then the producer finds no room.
    void skip_all() noexcept;

    uint64_t malformed() const noexcept { return malformed_; }

  private:
    std::span<const std::byte> data_;
    const RingPosition* produced_ = nullptr;
    RingPosition* consumed_ = nullptr;
    uint64_t malformed_ = 0;
};

/// Longest payload of one message.
inline constexpr uint32_t message_payload_max = 16384;

}  // namespace millrace
