// Random numbers of the simulation: small, seeded, and the same on every machine and standard library.
#pragma once

#include <cstdint>

namespace millrace::sim {

class Random {
  public:
    /// The seed is mixed first: streams of neighbouring seeds would else be shifted copies of each other.
    explicit Random(uint64_t seed) : state_(mix(seed + 0x632be59bd9b4e019)) {}

    /// SplitMix64.
    uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15); }

    /// Uniform in 0…limit - 1; 0 when limit is 0.
    uint64_t below(uint64_t limit) { return limit == 0 ? 0 : next() % limit; }

    /// Uniform in low…high.
    uint64_t between(uint64_t low, uint64_t high) { return low + below(high - low + 1); }

    /// True with the given probability, 0…1.
    bool chance(double probability) { return static_cast<double>(next() >> 11) * 0x1p-53 < probability; }

  private:
    static uint64_t mix(uint64_t z) {
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        return z ^ z >> 31;
    }

    uint64_t state_;
};

}  // namespace millrace::sim
