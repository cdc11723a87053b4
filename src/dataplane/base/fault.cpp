#include "dataplane/base/fault.h"

#include <cstdio>
#include <cstdlib>

namespace millrace {
namespace {

constexpr std::string_view names[] = {
#define MILLRACE_FAULT_NAME(name) #name,
#include "dataplane/base/fault_names.inc"
#undef MILLRACE_FAULT_NAME
};

}  // namespace

std::span<const std::string_view> fault_names() {
    return names;
}

#if MILLRACE_FAULTS
namespace {

Fault fault_from_environment() {
    const char* chosen = std::getenv("MILLRACE_FAULT");
    if (chosen == nullptr || *chosen == '\0') return Fault::none;
    for (size_t i = 0; i < std::size(names); ++i)
        if (names[i] == chosen) return static_cast<Fault>(i + 1);
    std::fprintf(stderr, "MILLRACE_FAULT: no planted fault is called '%s'\n", chosen);
    std::abort();
}

Fault& selection() {
    static Fault chosen = fault_from_environment();
    return chosen;
}

}  // namespace

Fault selected_fault() {
    return selection();
}

void select_fault(Fault fault) {
    selection() = fault;
}
#endif

}  // namespace millrace
