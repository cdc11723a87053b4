// A bounded ring of indices from one thread to one other, without locks (one producer, one consumer). It never fills up
// when it has at least as many places as there are indices.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include <millrace/assert.h>

namespace millrace::tls {

class IndexRing {
  public:
    /// Room for at least `count` indices.
    explicit IndexRing(uint32_t count) : places_(std::bit_ceil(count)) {}

    void push(uint16_t index) {
        const uint32_t end = end_.load(std::memory_order_relaxed);
        MILLRACE_ASSERT(end - begin_.load(std::memory_order_acquire) < places_.size());
        places_[end & (places_.size() - 1)] = index;
        end_.store(end + 1, std::memory_order_release);  // pairs with pop
    }

    std::optional<uint16_t> pop() {
        const uint32_t begin = begin_.load(std::memory_order_relaxed);
        if (begin == end_.load(std::memory_order_acquire)) return std::nullopt;  // pairs with push
        const uint16_t index = places_[begin & (places_.size() - 1)];
        begin_.store(begin + 1, std::memory_order_release);
        return index;
    }

    /// How many wait; of either thread a moment ago.
    uint32_t size() const { return end_.load(std::memory_order_relaxed) - begin_.load(std::memory_order_relaxed); }

  private:
    std::vector<uint16_t> places_;
    alignas(64) std::atomic<uint32_t> begin_ = 0;  // the consumer's
    alignas(64) std::atomic<uint32_t> end_ = 0;    // the producer's
};

}  // namespace millrace::tls
