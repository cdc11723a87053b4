// Cuts a byte stream into pieces of pseudo-random sizes, each in memory of its own, so that AddressSanitizer sees every
// read past a piece. Replayable: the seed comes out of the fuzzer's input. For fuzz targets only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

namespace millrace::fuzz {

/// A copy of exactly these bytes on the heap.
class OwnBytes {
  public:
    explicit OwnBytes(std::span<const uint8_t> bytes) : size_(bytes.size()), data_(new uint8_t[bytes.size()]) {
        std::copy(bytes.begin(), bytes.end(), data_.get());
    }
    std::span<const uint8_t> span() const { return {data_.get(), size_}; }

  private:
    size_t size_;
    std::unique_ptr<uint8_t[]> data_;
};

class PieceSizes {
  public:
    explicit PieceSizes(uint8_t seed) : state_(seed * 2654435761u + 1) {}

    /// 1…left, small ones more often than large ones. `left` is at least 1.
    size_t next(size_t left) {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        const uint64_t bits = state_ >> 32;
        const size_t bound = size_t{1} << (bits & 15);
        return 1 + (bits >> 4) % std::min(left, bound);
    }

  private:
    uint64_t state_;
};

}  // namespace millrace::fuzz
