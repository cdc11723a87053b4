// A hint to bring a cache line near. In assembly, because g++ takes a function that does nothing but
// __builtin_prefetch() for one without an effect, and leaves calls of it out (seen with g++ 12).
#pragma once

namespace millrace {

/// Any address will do: one that is not mapped costs time and does no harm.
inline void prefetch(const void* at) noexcept {
    asm volatile("prefetcht0 (%0)" : : "r"(at));
}

}  // namespace millrace
