// What a run prints at its end: a summary for people, and one JSON object for programs. The object's keys are an
// interface: bench/ and scripts/ read them.
#pragma once

#include <string>

#include "load/run.h"

namespace millrace::load {

/// Several lines.
std::string summary(const Run& run);

/// One line.
std::string json_object(const Run& run);

const char* name(WorkloadKind workload);

}  // namespace millrace::load
