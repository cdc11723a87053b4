#include "dataplane/port/eal.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <rte_eal.h>
#include <rte_errno.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include "dataplane/port/device.h"

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

std::vector<std::string> device_arguments(const SnapshotView& config, const InterfaceRecord& interface) {
    const std::vector<std::string> names = device_names(config, interface);
    const std::string device{config.text(interface.device)};
    std::vector<std::string> arguments;
    switch (interface.driver) {
        case Driver::af_xdp:
            for (size_t queue = 0; queue < names.size(); ++queue)
                arguments.push_back("--vdev=" + names[queue] + ",iface=" + device +
                                    ",start_queue=" + std::to_string(queue) + ",queue_count=1,busy_budget=0");
            break;
        case Driver::af_packet:
            arguments.push_back("--vdev=" + names[0] + ",iface=" + device +
                                ",qpairs=" + std::to_string(interface.queues) + ",framecnt=1024,qdisc_bypass=1");
            break;
        case Driver::memif:
            arguments.push_back("--vdev=" + names[0] + ",socket=" + device + ",socket-abstract=no,id=0,role=" +
                                (interface.memif_server != 0 ? "server" : "client") + ",rsize=11");
            break;
        case Driver::pci:
            arguments.push_back("--allow=" + names[0]);
            break;
    }
    return arguments;
}

// Removes a memif socket that nobody listens on: the dataplane that made it may have been killed, or have given up the
// right to remove it, and the driver would take the address for one in use.
void remove_stale_socket(const std::string& path) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (path.size() >= sizeof address.sun_path) return;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno == ECONNREFUSED)
        unlink(path.c_str());
    close(fd);
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
            case Driver::af_xdp:
                add("librte_net_af_xdp.so.23");
                break;
            case Driver::af_packet:
                add("librte_net_af_packet.so.23");
                break;
            case Driver::memif:
                add("librte_net_memif.so.23");
                break;
            case Driver::pci:
                return {};  // any NIC driver may be needed: let EAL load its whole driver folder
        }
    }
    return arguments;
}

}  // namespace

std::vector<std::string> device_names(const SnapshotView& config, const InterfaceRecord& interface) {
    const auto index = std::to_string(&interface - config.interfaces().data());
    std::vector<std::string> names;
    switch (interface.driver) {
        case Driver::af_xdp:
            for (uint16_t queue = 0; queue < interface.queues; ++queue)
                names.push_back("net_af_xdp" + index + "_" + std::to_string(queue));
            break;
        case Driver::af_packet:
            names.push_back("net_af_packet" + index);
            break;
        case Driver::memif:
            names.push_back("net_memif" + index);
            break;
        case Driver::pci:
            names.emplace_back(config.text(interface.device));
            break;
    }
    return names;
}

bool start_eal(const EalProcess& process, const SnapshotView& config, std::string& error) {
    const DataplaneRecord& dataplane = config.dataplane();
    std::vector<std::string> arguments{process.program, "--lcores=" + core_list(dataplane), "--no-telemetry",
                                       "--file-prefix=" + process.file_prefix,
                                       "--main-lcore=" + std::to_string(dataplane.cores[0])};
    const bool any_pci =
        std::ranges::any_of(config.interfaces(), [](const auto& i) { return i.driver == Driver::pci; });
    if (!any_pci) arguments.push_back("--no-pci");
    if (dataplane.huge_pages == 0) {
        arguments.push_back("--no-huge");
        arguments.push_back("--no-shconf");
        constexpr uint64_t other_mib = 64;  // rings, and what drivers keep
        arguments.push_back("-m" + std::to_string(other_mib + (frame_pool_bytes(config) >> 20)));
    } else {
        arguments.push_back("--in-memory");
    }
    for (std::string& argument : driver_arguments(config)) arguments.push_back(std::move(argument));
    for (const InterfaceRecord& interface : config.interfaces()) {
        if (!safe_in_device_argument(config.text(interface.device))) {
            error = "interface '" + std::string(config.text(interface.name)) + "': its device name is not usable";
            return false;
        }
        for (std::string& argument : device_arguments(config, interface)) arguments.push_back(std::move(argument));
        if (interface.driver == Driver::memif && interface.memif_server != 0)
            remove_stale_socket(std::string(config.text(interface.device)));
    }
    setenv("RUNTIME_DIRECTORY", process.directory.c_str(), 1);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
        error = std::string("DPDK did not start: ") + rte_strerror(rte_errno) + " (see the log file)";
        return false;
    }
    return true;
}

}  // namespace millrace::port
