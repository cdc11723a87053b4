#include "load/workload.h"

#include "load/workload_bulk.h"
#include "load/workload_exchange.h"
#include "load/workload_push.h"
#include "load/workload_storm.h"

namespace millrace::load {

std::unique_ptr<Workload> make_workload(Run& run) {
    const Settings& settings = run.settings();
    switch (settings.workload) {
        case WorkloadKind::idle:
            if (settings.client) return std::make_unique<Idle>(run);
            break;
        case WorkloadKind::echo:
            if (settings.client) return std::make_unique<Echo>(run);
            break;
        case WorkloadKind::push:
            return std::make_unique<Push>(run);
        case WorkloadKind::bell:
            return std::make_unique<Bell>(run);
        case WorkloadKind::storm:
            if (settings.client) return std::make_unique<Storm>(run, settings.rate, settings.connections);
            break;
        case WorkloadKind::bulk:
            return std::make_unique<Bulk>(run);
        case WorkloadKind::mix:
            return std::make_unique<Mix>(run);
    }
    return std::make_unique<Serve>(run);
}

}  // namespace millrace::load
