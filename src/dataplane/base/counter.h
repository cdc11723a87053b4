// A number in the statistics: written by the one thread that owns it, read by any thread or process at any time.
// Relaxed loads and stores, so that it costs what a plain integer costs; it is no read-modify-write for several
// writers. One number says nothing of another. Lies in shared memory: eight bytes, zero at first.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace millrace {

class Counter {
  public:
    Counter() = default;
    Counter(uint64_t value) : value_(value) {}  // NOLINT: a number like others
    Counter(const Counter& other) : value_(other.load()) {}
    Counter& operator=(const Counter& other) {
        store(other.load());
        return *this;
    }
    Counter& operator=(uint64_t value) {
        store(value);
        return *this;
    }

    uint64_t load() const { return std::atomic_ref(const_cast<uint64_t&>(value_)).load(std::memory_order_relaxed); }
    void store(uint64_t value) { std::atomic_ref(value_).store(value, std::memory_order_relaxed); }

    operator uint64_t() const { return load(); }  // NOLINT: a number like others
    Counter& operator+=(uint64_t more) { return *this = load() + more; }
    Counter& operator-=(uint64_t less) { return *this = load() - less; }
    Counter& operator++() { return *this += 1; }
    Counter& operator--() { return *this -= 1; }

  private:
    uint64_t value_;
};
static_assert(sizeof(Counter) == 8 && alignof(Counter) == 8 && std::is_standard_layout_v<Counter> &&
              std::is_trivially_default_constructible_v<Counter> && std::is_trivially_destructible_v<Counter>);

}  // namespace millrace
