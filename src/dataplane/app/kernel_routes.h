// Keeps an operator from cutting himself off: an interface that carries the kernel's default route is left alone unless
// the configuration says take_over.
#pragma once

#include <filesystem>
#include <istream>
#include <set>
#include <string>

#include <millrace/snapshot.h>

namespace millrace::app {

/// False, with the reason and the remedy, when an interface of the configuration carries a default route of the kernel
/// (IPv4 or IPv6) and its take_over is not set. PCI and memif devices have no kernel interface.
bool leaves_kernel_reachable(const SnapshotView& config, std::string& error);

/// The parts of it, for tests: names of the interfaces with a default route in texts of /proc/net/route and
/// /proc/net/ipv6_route, ...
std::set<std::string> default_route_interfaces(std::istream& v4, std::istream& v6);

/// ... the same and what they are stacked upon (a bridge's ports, a bond's members, the device of a VLAN), by the links
/// `lower_*` of /sys/class/net, ...
std::set<std::string> with_lower_devices(const std::set<std::string>& names, const std::filesystem::path& class_net);

/// ... and the verdict when the default routes are known.
bool leaves_reachable(const SnapshotView& config, const std::set<std::string>& defaults, std::string& error);

}  // namespace millrace::app
