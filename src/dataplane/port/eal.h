// Starting and ending DPDK's environment layer from typed settings: no raw EAL string ever comes from a configuration.
// Called once by the main thread, before any device is opened.
#pragma once

#include <string>
#include <string_view>

#include <millrace/snapshot.h>

namespace millrace::port {

/// Starts EAL with one lcore per configured core, the first on the calling thread, and the virtual devices of the
/// configuration's interfaces. Without huge pages it works from ordinary memory. EAL's own output goes to the log that
/// rte_openlog_stream set. False, with a reason, when EAL refuses.
bool start_eal(std::string_view instance, const SnapshotView& config, std::string& error);

/// Stops what start_eal started.
void stop_eal();

/// The EAL name of the device behind an interface: the virtual device's, or the PCI address.
std::string device_name(const SnapshotView& config, const InterfaceRecord& interface);

}  // namespace millrace::port
