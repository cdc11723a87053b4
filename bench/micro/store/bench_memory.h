// What the store's benchmarks share: sparse memory, on 2 MiB pages when asked, and time-stamp cycles as a counter.
#pragma once

#include <benchmark/benchmark.h>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <random>
#include <span>
#include <sys/mman.h>
#include <vector>
#include <x86intrin.h>

#include <millrace/assert.h>

namespace millrace::store {

using Random32 = std::independent_bits_engine<std::mt19937_64, 32, uint32_t>;

class BenchMemory {
  public:
    BenchMemory(size_t bytes, bool huge_pages) : bytes_(bytes) {
        base_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        MILLRACE_ASSERT(base_ != MAP_FAILED);
        madvise(base_, bytes, huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    }
    BenchMemory(const BenchMemory&) = delete;
    BenchMemory& operator=(const BenchMemory&) = delete;
    ~BenchMemory() { munmap(base_, bytes_); }

    std::span<std::byte> span() const { return {static_cast<std::byte*>(base_), bytes_}; }

    /// Bytes that the kernel has really given.
    size_t resident() const {
        std::vector<unsigned char> pages((bytes_ + 4095) / 4096);
        mincore(base_, bytes_, pages.data());
        size_t count = 0;
        for (unsigned char page : pages) count += page & 1;
        return count * 4096;
    }

  private:
    void* base_;
    size_t bytes_;
};

inline double cpu_ns() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

/// Time-stamp counter cycles in a nanosecond.
inline double cycles_per_ns() {
    static const double rate = [] {
        timespec start, now;
        clock_gettime(CLOCK_MONOTONIC, &start);
        const uint64_t first = __rdtsc();
        double ns;
        do {
            clock_gettime(CLOCK_MONOTONIC, &now);
            ns =
                1e9 * static_cast<double>(now.tv_sec - start.tv_sec) + static_cast<double>(now.tv_nsec - start.tv_nsec);
        } while (ns < 2e7);
        return static_cast<double>(__rdtsc() - first) / ns;
    }();
    return rate;
}

/// Reports cycles per item beside the benchmark's nanoseconds: of processor time, so that they hold on a shared
/// machine.
class Cycles {
  public:
    explicit Cycles(benchmark::State& state) : state_(state), rate_(cycles_per_ns()), start_ns_(cpu_ns()) {}
    void stop(double items) { state_.counters["cycles"] = (cpu_ns() - start_ns_) * rate_ / items; }

  private:
    benchmark::State& state_;
    double rate_;
    double start_ns_;
};

}  // namespace millrace::store
