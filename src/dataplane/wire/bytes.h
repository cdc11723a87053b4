// Unaligned loads and stores in network byte order, the only way this folder touches packet memory. Not a cursor: each
// caller has checked the length before.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace millrace::wire {

static_assert(std::endian::native == std::endian::little, "the byte swaps below assume a little-endian machine");

/// A value as it lies in memory, in whatever order.
template <typename Unsigned>
inline Unsigned load_raw(const uint8_t* at) {
    Unsigned value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

template <typename Unsigned>
inline void store_raw(uint8_t* at, Unsigned value) {
    std::memcpy(at, &value, sizeof value);
}

inline uint16_t load_be16(const uint8_t* at) {
    return __builtin_bswap16(load_raw<uint16_t>(at));
}
inline uint32_t load_be32(const uint8_t* at) {
    return __builtin_bswap32(load_raw<uint32_t>(at));
}
inline void store_be16(uint8_t* at, uint16_t value) {
    store_raw(at, __builtin_bswap16(value));
}
inline void store_be32(uint8_t* at, uint32_t value) {
    store_raw(at, __builtin_bswap32(value));
}

}  // namespace millrace::wire
