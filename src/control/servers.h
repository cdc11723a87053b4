// The servers of a published snapshot with their names, and what the configuration says about probing them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <millrace/address.h>
#include <millrace/snapshot.h>

#include "control/config/load.h"

namespace millrace::control {

struct ServerView {
    std::string backend;
    std::string name;
    IpAddress address;
    uint16_t port;
    uint16_t slot;
    uint16_t weight;  ///< of the configuration
};

/// In the snapshot's order. A name that resolved to several addresses stands there once for each.
std::vector<ServerView> servers_of(const SnapshotView& snapshot);

/// How to probe `server`, with its Host field filled in, and TLS only where its backend has it. Empty when that has no
/// health check.
std::optional<HealthCheck> health_check_of(const Config& config, const ServerView& server);

/// For LoadOptions: the addresses of a server of the same backend, name and port, and, as far as it is known, of the
/// same host as it was written. (A snapshot does not hold that.)
LastAddresses last_addresses(const SnapshotView& snapshot);
LastAddresses last_addresses(std::vector<Backend> backends);

/// "address:port", IPv6 in brackets.
std::string endpoint_text(const IpAddress& address, uint16_t port);

}  // namespace millrace::control
