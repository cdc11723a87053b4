// Keeps an operator from cutting himself off: an interface that carries the kernel's default route is left alone unless
// the configuration says take_over.
#pragma once

#include <string>

#include <millrace/snapshot.h>

namespace millrace::app {

/// False, with the reason and the remedy, when an interface of the configuration carries a default route of the kernel
/// (IPv4 or IPv6) and its take_over is not set. PCI and memif devices have no kernel interface.
bool leaves_kernel_reachable(const SnapshotView& config, std::string& error);

}  // namespace millrace::app
