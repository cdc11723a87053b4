#include "load/histogram.h"

#include <algorithm>
#include <bit>
#include <cinttypes>
#include <cmath>

namespace millrace::load {

void Histogram::record(uint64_t us) {
    ++steps_[step_of(us)];
    ++count_;
    max_ = std::max(max_, us);
}

void Histogram::merge(const Histogram& other) {
    for (size_t step = 0; step < step_count; ++step) steps_[step] += other.steps_[step];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
}

uint64_t Histogram::percentile(double percent) const {
    if (count_ == 0) return 0;
    const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
    const double rank = std::ceil(share * static_cast<double>(count_));
    const uint64_t wanted = std::clamp(static_cast<uint64_t>(rank), uint64_t{1}, count_);
    uint64_t seen = 0;
    for (size_t step = 0; step < step_count; ++step) {
        seen += steps_[step];
        if (seen >= wanted) return highest_of(step);
    }
    return max_;
}

void Histogram::write(std::FILE* file) const {
    std::fputs("# value_us percentile count\n", file);
    uint64_t seen = 0;
    for (size_t step = 0; step < step_count; ++step) {
        if (steps_[step] == 0) continue;
        seen += steps_[step];
        std::fprintf(file, "%" PRIu64 " %.6f %" PRIu64 "\n", highest_of(step),
                     100.0 * static_cast<double>(seen) / static_cast<double>(count_), seen);
    }
}

size_t Histogram::step_of(uint64_t us) {
    if (us < 2 * half_steps) return us;
    if (us >> value_bits) return step_count - 1;
    // The value's highest `exact_bits` bits, of which the first is always set, choose the step within its doubling.
    const auto doublings = static_cast<unsigned>(std::bit_width(us)) - exact_bits;
    return doublings * half_steps + (us >> doublings);
}

uint64_t Histogram::highest_of(size_t step) const {
    if (step == step_count - 1) return max_;
    if (step < 2 * half_steps) return step;
    const size_t doublings = step / half_steps - 1;
    const uint64_t top = step - doublings * half_steps;
    return std::min(((top + 1) << doublings) - 1, max_);
}

}  // namespace millrace::load
