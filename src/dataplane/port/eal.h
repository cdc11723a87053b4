// Starting and ending DPDK's environment layer from typed settings: no raw EAL string ever comes from a configuration.
// Called once by the main thread, before any device is opened.
#pragma once

#include <string>
#include <vector>

#include <millrace/snapshot.h>

namespace millrace::port {

/// What a process is called to EAL, and where EAL may keep files.
struct EalProcess {
    std::string program;      ///< as it stands in messages
    std::string file_prefix;  ///< tells processes of one machine apart
    std::string
        directory;  ///< the process's own: in the place of EAL's choice files would outlive a drop of privileges
};

/// Starts EAL with one lcore per configured core, the first on the calling thread, and the virtual devices of the
/// configuration's interfaces. Without huge pages it works from ordinary memory. EAL's own output goes to the log that
/// rte_openlog_stream set. False, with a reason, when EAL refuses.
bool start_eal(const EalProcess& process, const SnapshotView& config, std::string& error);

/// The EAL names of the devices behind an interface: the PCI address, or those of its virtual devices. AF_XDP has one
/// for each queue, because its driver knows only queue counts that ethtool calls "combined", and a veth has none.
std::vector<std::string> device_names(const SnapshotView& config, const InterfaceRecord& interface);

}  // namespace millrace::port
