// Time as the protocol code sees it: a number handed in by the caller, never read from a clock. CLOCK_MONOTONIC on the
// dataplane, so that it goes on across a restart of the process; virtual in tests.
#pragma once

#include <cstdint>

namespace millrace {

/// Microseconds of CLOCK_MONOTONIC.
using TimeUs = uint64_t;

inline constexpr TimeUs us_per_ms = 1000;
inline constexpr TimeUs us_per_s = 1'000'000;

}  // namespace millrace
