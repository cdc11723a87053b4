// Where the threads beside the workers run.
#pragma once

#include <millrace/snapshot.h>

namespace millrace::app {

/// Takes the calling thread off the workers' cores, which poll without end, where the machine has others.
void leave_worker_cores(const DataplaneRecord& settings);

}  // namespace millrace::app
