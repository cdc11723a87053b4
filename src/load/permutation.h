// A random order of the numbers below a size, without a table: each of them once, in an order that follows from the
// seed. A Feistel network over the next power of four, walked until it lands below the size. Pure.
#pragma once

#include <bit>
#include <cstdint>

#include "load/message.h"

namespace millrace::load {

class Permutation {
  public:
    /// `size` ≥ 1.
    Permutation(uint32_t size, uint64_t seed) : size_(size), seed_(seed) {
        const auto bits = static_cast<unsigned>(std::bit_width(size - 1));
        half_bits_ = bits < 2 ? 1 : (bits + 1) / 2;
    }

    uint32_t size() const { return size_; }

    /// The number at place `at`, which is below the size.
    uint32_t operator[](uint32_t at) const {
        uint64_t number = at;
        do number = encrypt(number);
        while (number >= size_);
        return static_cast<uint32_t>(number);
    }

  private:
    uint64_t encrypt(uint64_t number) const {
        const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
        uint64_t left = number >> half_bits_, right = number & mask;
        for (uint64_t round = 0; round < 4; ++round) {
            const uint64_t next = left ^ (mix(seed_ + (right << 8 | round)) & mask);
            left = right;
            right = next;
        }
        return left << half_bits_ | right;
    }

    uint32_t size_;
    uint64_t seed_;
    unsigned half_bits_;
};

}  // namespace millrace::load
