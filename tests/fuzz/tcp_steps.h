// The input of tcp_relay: a record of settings, then one record for each step, all of 16 bytes. Records of one size let
// the mutator insert, drop, repeat and swap whole steps, which keeps what the others mean. For fuzz targets only.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <random>

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t size_max);

namespace millrace::fuzz {

inline constexpr size_t step_bytes = 16;

struct Step {
    std::array<uint8_t, step_bytes> bytes{};

    explicit Step(const uint8_t* data) { std::memcpy(bytes.data(), data, step_bytes); }
    uint8_t u8(size_t at) const { return bytes[at]; }
    uint16_t u16(size_t at) const { return static_cast<uint16_t>(bytes[at] | bytes[at + 1] << 8); }
    bool bit(size_t at, unsigned number) const { return (bytes[at] >> number & 1) != 0; }
    /// Two of the bytes spread over 32 bits: no comparison in the stack tells the fuzzer how to hit a value.
    uint32_t anywhere(size_t at) const { return u16(at) * 2654435761u; }
};

/// Mutates whole records two times out of three, and the bytes within one else. Returns the new size.
inline size_t mutate_steps(uint8_t* data, size_t size, size_t size_max, uint32_t seed) {
    std::minstd_rand random(seed | 1);
    const size_t count = size / step_bytes, count_max = size_max / step_bytes;
    if (count < 2 || count_max < 2) return LLVMFuzzerMutate(data, size, size_max);
    const auto any = [&](size_t below) { return static_cast<size_t>(random()) % below; };
    uint8_t* const at = data + any(count) * step_bytes;
    uint8_t* const other = data + any(count) * step_bytes;
    uint8_t* const end = data + count * step_bytes;
    const auto rest = static_cast<size_t>(end - at);
    switch (any(9)) {
        case 0:  // repeat another step here, or make a new one of it
        case 1:
            if (count == count_max) break;
            {
                Step copy(other);
                if (random() % 2 == 0) LLVMFuzzerMutate(copy.bytes.data(), step_bytes, step_bytes);
                std::memmove(at + step_bytes, at, rest);
                std::memcpy(at, copy.bytes.data(), step_bytes);
            }
            return (count + 1) * step_bytes;
        case 2:
            std::memmove(at, at + step_bytes, rest - step_bytes);
            return (count - 1) * step_bytes;
        case 3:
            std::swap_ranges(at, at + step_bytes, other == at ? data : other);
            return count * step_bytes;
        case 4:  // a step does once more what it did, with one byte changed
            at[any(step_bytes)] = static_cast<uint8_t>(random());
            return count * step_bytes;
        case 5:
            at[any(step_bytes)] = other[any(step_bytes)];
            return count * step_bytes;
        default:
            break;
    }
    LLVMFuzzerMutate(at, step_bytes, step_bytes);
    return count * step_bytes;
}

}  // namespace millrace::fuzz
