#include "dataplane/app/kernel_routes.h"

#include <fstream>
#include <sstream>

namespace millrace::app {

std::set<std::string> default_route_interfaces(std::istream& v4, std::istream& v6) {
    std::set<std::string> names;
    std::string line;
    while (std::getline(v4, line)) {
        std::istringstream fields(line);
        std::string name, destination, gateway, flags, references, use, metric, mask;
        fields >> name >> destination >> gateway >> flags >> references >> use >> metric >> mask;
        if (destination == "00000000" && mask == "00000000") names.insert(name);
    }
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

std::set<std::string> with_lower_devices(const std::set<std::string>& names, const std::filesystem::path& class_net) {
    constexpr std::string_view prefix = "lower_";
    std::set<std::string> all = names;
    for (const std::string& name : names) {
        std::error_code none;
        std::set<std::string> lower;
        for (const auto& entry : std::filesystem::directory_iterator(class_net / name, none)) {
            const std::string link = entry.path().filename();
            if (link.starts_with(prefix)) lower.insert(link.substr(prefix.size()));
        }
        all.merge(with_lower_devices(lower, class_net));  // the kernel allows no loops
    }
    return all;
}

bool leaves_reachable(const SnapshotView& config, const std::set<std::string>& defaults, std::string& error) {
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

bool leaves_kernel_reachable(const SnapshotView& config, std::string& error) {
    std::ifstream v4("/proc/net/route"), v6("/proc/net/ipv6_route");
    return leaves_reachable(config, with_lower_devices(default_route_interfaces(v4, v6), "/sys/class/net"), error);
}

}  // namespace millrace::app
