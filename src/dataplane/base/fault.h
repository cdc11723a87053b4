// Planted faults: deliberate mistakes that the tests must find. They exist only in builds configured with
// -Dfaults=true, where the environment variable MILLRACE_FAULT (or select_fault) chooses at most one; in every other
// build fault() is the constant false and nothing of this remains.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace millrace {

enum class Fault : uint8_t {
    none,
#define MILLRACE_FAULT_NAME(name) name,
#include "dataplane/base/fault_names.inc"
#undef MILLRACE_FAULT_NAME
};

/// Names of every planted fault except `none`, in the order of the enumeration.
std::span<const std::string_view> fault_names();

#if MILLRACE_FAULTS
/// The fault chosen for this process; `none` when MILLRACE_FAULT is unset. Aborts on an unknown name.
Fault selected_fault();

/// Chooses a fault from a test.
void select_fault(Fault fault);

inline bool fault(Fault candidate) {
    return selected_fault() == candidate;
}
#else
constexpr bool fault(Fault) {
    return false;
}
#endif

}  // namespace millrace
