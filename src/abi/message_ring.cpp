// The copying ends of <millrace/message_ring.h>. Every decision is made on private copies of what the peer wrote: a
// position or a length is loaded once, checked, and only then used.
#include <algorithm>

#include <millrace/message_ring.h>

namespace millrace {

namespace {

constexpr uint64_t padded(uint64_t bytes) {
    return (bytes + 7) & ~uint64_t{7};
}

void copy_in(std::span<std::byte> ring, uint64_t position, const void* from, size_t bytes) {
    const size_t at = position & (ring.size() - 1);
    const size_t first = std::min(bytes, ring.size() - at);
    if (first != 0) std::memcpy(ring.data() + at, from, first);
    if (bytes != first) std::memcpy(ring.data(), static_cast<const std::byte*>(from) + first, bytes - first);
}

void copy_out(std::span<const std::byte> ring, uint64_t position, void* to, size_t bytes) {
    const size_t at = position & (ring.size() - 1);
    const size_t first = std::min(bytes, ring.size() - at);
    if (first != 0) std::memcpy(to, ring.data() + at, first);
    if (bytes != first) std::memcpy(static_cast<std::byte*>(to) + first, ring.data(), bytes - first);
}

}  // namespace

/// Free bytes, rounded down to whole paddings; 0 too when the consumer's position makes no sense: a mad peer, or a new
/// one that has yet to catch up.
uint64_t MessageRingProducer::free_bytes() const noexcept {
    if (produced_ == nullptr) return 0;
    const uint64_t produced = produced_->value.load(std::memory_order_relaxed);
    // Pairs with the consumer's release store: what it has given back, it has finished reading.
    const uint64_t used = produced - consumed_->value.load(std::memory_order_acquire);
    return used > data_.size() ? 0 : (data_.size() - used) & ~uint64_t{7};
}

uint32_t MessageRingProducer::room() const noexcept {
    const uint64_t free = free_bytes();
    if (free < sizeof(MessageHeader)) return 0;
    return static_cast<uint32_t>(std::min<uint64_t>(free - sizeof(MessageHeader), message_payload_max));
}

bool MessageRingProducer::push(uint16_t type, uint64_t request_id, std::span<const std::byte> payload,
                               uint64_t spare) noexcept {
    if (payload.size() > message_payload_max || sizeof(MessageHeader) + payload.size() + spare > free_bytes())
        return false;
    const uint64_t produced = produced_->value.load(std::memory_order_relaxed);
    const MessageHeader header{static_cast<uint32_t>(payload.size()), type, 0, request_id};
    copy_in(data_, produced, &header, sizeof header);
    copy_in(data_, produced + sizeof header, payload.data(), payload.size());
    // Pairs with the consumer's acquire load: the bytes are there before the position says so.
    produced_->value.store(produced + sizeof header + padded(payload.size()), std::memory_order_release);
    return true;
}

bool MessageRingConsumer::pop(MessageHeader& header, std::span<std::byte> payload) noexcept {
    if (consumed_ == nullptr) return false;
    const uint64_t produced = produced_->value.load(std::memory_order_acquire);
    const uint64_t consumed = consumed_->value.load(std::memory_order_relaxed);
    if (produced == consumed) return false;
    const uint64_t available = produced - consumed;
    bool sane = available <= data_.size() && available >= sizeof header;
    if (sane) {
        copy_out(data_, consumed, &header, sizeof header);
        sane = header.length <= message_payload_max && header.length <= payload.size() &&
               sizeof header + padded(header.length) <= available;
    }
    if (!sane) {
        ++malformed_;
        consumed_->value.store(produced, std::memory_order_release);
        return false;
    }
    copy_out(data_, consumed + sizeof header, payload.data(), header.length);
    consumed_->value.store(consumed + sizeof header + padded(header.length), std::memory_order_release);
    return true;
}

void MessageRingConsumer::skip_all() noexcept {
    if (consumed_ == nullptr) return;
    consumed_->value.store(produced_->value.load(std::memory_order_acquire), std::memory_order_release);
}

}  // namespace millrace
