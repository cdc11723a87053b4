// The Internet checksum (RFC 1071), as running sums: start at 0, add ranges, fold once. Sums are kept in memory byte
// order (RFC 1071 §2 (B)), so a folded value is stored and compared raw, without a swap. A 64-bit sum holds far more
// than the largest packet before it could overflow (each 8 bytes add less than 2^33).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/wire/bytes.h"

namespace millrace::wire {

namespace detail {

/// Adds `length` bytes to `sum`; with `copy` also writes them to `to` (else `to` is not touched).
template <bool copy>
inline uint64_t checksum_run(uint64_t sum, uint8_t* to, const uint8_t* from, size_t length) {
    // Four 64-bit lanes at a time, each as the sum of its two 32-bit halves, so that no carry is ever lost.
    using Lanes = uint64_t __attribute__((vector_size(32)));
    constexpr uint64_t low_half = 0xffff'ffff;
    const auto step = [&]<typename Value>(Value& value) {
        std::memcpy(&value, from, sizeof value);
        if constexpr (copy) {
            std::memcpy(to, &value, sizeof value);
            to += sizeof value;
        }
        from += sizeof value;
        length -= sizeof value;
    };
    if (length >= sizeof(Lanes)) {
        Lanes lanes{};
        Lanes total{};
        do {
            step(lanes);
            total += (lanes & low_half) + (lanes >> 32);
        } while (length >= sizeof(Lanes));
        sum += total[0] + total[1] + total[2] + total[3];
    }
    uint64_t eight;
    while (length >= sizeof eight) {
        step(eight);
        sum += (eight & low_half) + (eight >> 32);
    }
    uint32_t four;
    if (length >= sizeof four) {
        step(four);
        sum += four;
    }
    uint16_t two;
    if (length >= sizeof two) {
        step(two);
        sum += two;
    }
    uint8_t one;
    if (length != 0) {
        step(one);
        sum += one;  // padded with a zero byte on the right: the low half in memory order
    }
    return sum;
}

}  // namespace detail

/// Adds `length` bytes to a running sum. The range must start at an even offset of the checksummed data.
inline uint64_t checksum_add(uint64_t sum, const uint8_t* data, size_t length) {
    return detail::checksum_run<false>(sum, nullptr, data, length);
}

/// Copies `length` bytes to `to` and adds them to a running sum in the same pass. The ranges must not overlap; the
/// range must start at an even offset of the checksummed data.
inline uint64_t checksum_copy(uint64_t sum, uint8_t* to, const uint8_t* from, size_t length) {
    return detail::checksum_run<true>(sum, to, from, length);
}

/// Folds a running sum to 16 bits. 0xffff when the summed data contained a correct checksum.
inline uint16_t checksum_fold(uint64_t sum) {
    sum = (sum & 0xffff'ffff) + (sum >> 32);
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

/// What a range that starts at an odd offset adds to a running sum, given its own sum (RFC 1071 §2 (B)).
inline uint64_t checksum_at_odd_offset(uint64_t range_sum) {
    return __builtin_bswap16(checksum_fold(range_sum));
}

/// The value for the checksum field (raw memory order) over a sum that counted the field as zero.
inline uint16_t checksum_finish(uint64_t sum) {
    return static_cast<uint16_t>(~checksum_fold(sum));
}

}  // namespace millrace::wire
