// Counts of how often each latency was seen, for percentiles up to p99.99 and beyond. Steps are one microsecond wide up
// to 2,047 µs and at most 1/1,024 of the value above, so a percentile is told to three significant digits; the range
// ends after nine hours, and what lies beyond counts as its last step. Memory is the same however much is recorded (208
// KiB), so it may be kept by each core and merged at the end. Not the HDR library's file format; owned by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace millrace::load {

class Histogram {
  public:
    void record(uint64_t us);

    /// Adds everything that another histogram has seen.
    void merge(const Histogram& other);

    /// The smallest step under or in which `percent` (0 to 100) of all values lie, by its highest value, and never more
    /// than max(). Zero when nothing was recorded.
    uint64_t percentile(double percent) const;

    /// The highest value, exactly; zero when nothing was recorded.
    uint64_t max() const { return max_; }

    uint64_t count() const { return count_; }

    /// One line for each step that holds something: its highest value in µs, the percentage of all values up to it, and
    /// their number; before them a line that names the columns, which begins with `#`.
    void write(std::FILE* file) const;

  private:
    static constexpr unsigned exact_bits = 11;  ///< values of so many bits have a step each
    static constexpr unsigned value_bits = 35;
    static constexpr size_t half_steps = size_t{1} << (exact_bits - 1);  ///< of each doubling above
    static constexpr size_t step_count = 2 * half_steps + (value_bits - exact_bits) * half_steps;

    static size_t step_of(uint64_t us);
    uint64_t highest_of(size_t step) const;

    std::vector<uint64_t> steps_ = std::vector<uint64_t>(step_count);
    uint64_t count_ = 0;
    uint64_t max_ = 0;
};

}  // namespace millrace::load
