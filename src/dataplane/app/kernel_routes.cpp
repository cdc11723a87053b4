#include "dataplane/app/kernel_routes.h"

#include <fstream>
#include <set>
#include <sstream>

namespace millrace::app {
namespace {

/// Names of the interfaces that carry a default route, as /proc/net tells them.
std::set<std::string> default_route_interfaces() {
    std::set<std::string> names;
    std::string line;
    std::ifstream v4("/proc/net/route");
    while (std::getline(v4, line)) {
        std::istringstream fields(line);
        std::string name, destination, gateway, flags, references, use, metric, mask;
        fields >> name >> destination >> gateway >> flags >> references >> use >> metric >> mask;
        if (destination == "00000000" && mask == "00000000") names.insert(name);
    }
    std::ifstream v6("/proc/net/ipv6_route");
    while (std::getline(v6, line)) {
        std::istringstream fields(line);
        std::string destination, length, field, name;
        fields >> destination >> length;
        for (int i = 0; i < 8 && fields >> field; ++i) name = field;
        // The kernel lists an unreachable default on lo when there is none.
        if (destination == std::string(32, '0') && length == "00" && name != "lo") names.insert(name);
    }
    return names;
}

}  // namespace

bool leaves_kernel_reachable(const SnapshotView& config, std::string& error) {
    const std::set<std::string> defaults = default_route_interfaces();
    for (const InterfaceRecord& interface : config.interfaces()) {
        if (interface.driver != Driver::af_xdp && interface.driver != Driver::af_packet) continue;
        const std::string device{config.text(interface.device)};
        if (interface.take_over != 0 || !defaults.contains(device)) continue;
        error = "interface '" + std::string(config.text(interface.name)) + "': " + device +
                " carries the kernel's default route, so taking it could cut this machine off; set take_over = true "
                "to take it all the same";
        return false;
    }
    return true;
}

}  // namespace millrace::app
