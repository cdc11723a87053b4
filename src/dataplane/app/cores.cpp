#include "dataplane/app/cores.h"

#include <sched.h>
#include <unistd.h>

namespace millrace::app {

void leave_worker_cores(const DataplaneRecord& settings) {
    cpu_set_t set;
    CPU_ZERO(&set);
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    for (long core = 0; core < count; ++core) CPU_SET(static_cast<size_t>(core), &set);
    for (uint16_t i = 0; i < settings.core_count; ++i) CPU_CLR(settings.cores[i], &set);
    if (CPU_COUNT(&set) == 0)
        for (long core = 0; core < count; ++core) CPU_SET(static_cast<size_t>(core), &set);
    sched_setaffinity(0, sizeof set, &set);
}

}  // namespace millrace::app
