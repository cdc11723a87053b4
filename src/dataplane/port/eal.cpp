#include "dataplane/port/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>

#include <algorithm>
#include <vector>

namespace millrace::port {
namespace {

std::string core_list(const DataplaneRecord& dataplane) {
    std::string list;
    for (uint16_t i = 0; i < dataplane.core_count; ++i) {
        if (i != 0) list += ',';
        list += std::to_string(dataplane.cores[i]);
    }
    return list;
}

// Everything that EAL would take as a separator in a device argument.
bool safe_in_device_argument(std::string_view text) {
    return !text.empty() && std::ranges::none_of(text, [](char c) { return c == ',' || c == '=' || c <= ' '; });
}

std::string device_argument(const SnapshotView& config, const InterfaceRecord& interface) {
    const std::string name = device_name(config, interface);
    const std::string device{config.text(interface.device)};
    const std::string queues = std::to_string(interface.queues);
    switch (interface.driver) {
        case Driver::af_xdp:
            return "--vdev=" + name + ",iface=" + device + ",start_queue=0,queue_count=" + queues;
        case Driver::af_packet:
            return "--vdev=" + name + ",iface=" + device + ",qpairs=" + queues + ",framecnt=1024,qdisc_bypass=1";
        case Driver::memif:
            return "--vdev=" + name + ",socket=" + device + ",socket-abstract=no,id=0,role=" +
                   (interface.memif_server != 0 ? "server" : "client") + ",rsize=11";
        case Driver::pci: return "--allow=" + name;
    }
    return {};
}

// The libraries to load: naming them keeps EAL from loading every driver on the machine.
std::vector<std::string> driver_arguments(const SnapshotView& config) {
    std::vector<std::string> arguments{"-dlibrte_mempool_ring.so.23"};
    auto add = [&](const char* library) {
        std::string argument = std::string("-d") + library;
        if (std::ranges::find(arguments, argument) == arguments.end()) arguments.push_back(std::move(argument));
    };
    for (const InterfaceRecord& interface : config.interfaces()) {
        switch (interface.driver) {
            case Driver::af_xdp: add("librte_net_af_xdp.so.23"); break;
            case Driver::af_packet: add("librte_net_af_packet.so.23"); break;
            case Driver::memif: add("librte_net_memif.so.23"); break;
            case Driver::pci: return {};  // any NIC driver may be needed: let EAL load its whole driver folder
        }
    }
    return arguments;
}

}  // namespace

std::string device_name(const SnapshotView& config, const InterfaceRecord& interface) {
    const auto index = std::to_string(&interface - config.interfaces().data());
    switch (interface.driver) {
        case Driver::af_xdp: return "net_af_xdp" + index;
        case Driver::af_packet: return "net_af_packet" + index;
        case Driver::memif: return "net_memif" + index;
        case Driver::pci: return std::string(config.text(interface.device));
    }
    return {};
}

bool start_eal(std::string_view instance, const SnapshotView& config, std::string& error) {
    const DataplaneRecord& dataplane = config.dataplane();
    std::vector<std::string> arguments{"millrace-dataplane", "--lcores=" + core_list(dataplane), "--no-telemetry",
                                       "--file-prefix=millrace-" + std::string(instance),
                                       "--main-lcore=" + std::to_string(dataplane.cores[0])};
    const bool any_pci =
        std::ranges::any_of(config.interfaces(), [](const auto& i) { return i.driver == Driver::pci; });
    if (!any_pci) arguments.push_back("--no-pci");
    if (dataplane.huge_pages == 0) {
        arguments.push_back("--no-huge");
        arguments.push_back("--no-shconf");
        const uint32_t queues = dataplane.core_count * static_cast<uint32_t>(config.interfaces().size());
        arguments.push_back("-m" + std::to_string(64 + 64 * queues));
    } else {
        arguments.push_back("--in-memory");
    }
    for (std::string& argument : driver_arguments(config)) arguments.push_back(std::move(argument));
    for (const InterfaceRecord& interface : config.interfaces()) {
        if (!safe_in_device_argument(config.text(interface.device))) {
            error = "interface '" + std::string(config.text(interface.name)) + "': its device name is not usable";
            return false;
        }
        arguments.push_back(device_argument(config, interface));
    }
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
        error = std::string("DPDK did not start: ") + rte_strerror(rte_errno) + " (see the log file)";
        return false;
    }
    return true;
}

void stop_eal() { rte_eal_cleanup(); }

}  // namespace millrace::port
