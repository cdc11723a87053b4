// The sequence number type (RFC 9293 §3.4): arithmetic and order modulo 2^32. `a < b` means that b lies at most 2^31 -
// 1 ahead of a, so the order holds only among numbers of one window; it is no total order and must not sort a
// container. Plain old data of four bytes; it stands in records and chunks as it is.
#pragma once

#include <cstdint>
#include <type_traits>

#include "dataplane/base/fault.h"

namespace millrace::tcp {

struct Seq {
    uint32_t value = 0;

    friend constexpr bool operator==(Seq, Seq) = default;
    friend constexpr Seq operator+(Seq a, uint32_t bytes) { return {a.value + bytes}; }
    friend constexpr Seq operator-(Seq a, uint32_t bytes) { return {a.value - bytes}; }
    /// Bytes from b to a, modulo 2^32: meaningful only when a is not before b.
    friend constexpr uint32_t operator-(Seq a, Seq b) { return a.value - b.value; }
    constexpr Seq& operator+=(uint32_t bytes) {
        value += bytes;
        return *this;
    }

    friend bool operator<(Seq a, Seq b) {
        if (fault(Fault::tcp_seq_compare_unsigned)) return a.value < b.value;
        return static_cast<int32_t>(a.value - b.value) < 0;
    }
    friend bool operator>(Seq a, Seq b) { return b < a; }
    friend bool operator<=(Seq a, Seq b) { return !(b < a); }
    friend bool operator>=(Seq a, Seq b) { return !(a < b); }
};
static_assert(sizeof(Seq) == 4 && std::is_trivially_copyable_v<Seq> && std::is_standard_layout_v<Seq>);

inline Seq max(Seq a, Seq b) {
    return a < b ? b : a;
}
inline Seq min(Seq a, Seq b) {
    return b < a ? b : a;
}

}  // namespace millrace::tcp
