// What a run shall do: the command line as values (options.h fills them). Plain data, constant during the run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <millrace/address.h>
#include <millrace/config_rules.h>

#include "load/sizes.h"
#include "tls/record/suite.h"

namespace millrace::load {

enum class WorkloadKind : uint8_t { idle, echo, push, bell, storm, bulk, mix };

struct InterfaceSettings {
    Driver driver = Driver::memif;
    std::string device;
    bool memif_server = false;
};

/// The addresses that one role owns.
struct PoolSettings {
    std::vector<IpAddress> addresses;
    uint8_t prefix_length = 0;
    std::optional<IpAddress> gateway;
};

struct Target {
    IpAddress address;
    uint16_t port;
};

/// TLS of the clients' connections.
struct TlsSettings {
    tls::Version version = tls::Version::tls13;
    double resume_share = 0;  ///< of the handshakes: so many offer the session of an earlier one
    std::string name;         ///< sent as SNI, and what certificates must be for; empty: neither
    std::string ca_pem;       ///< whose certificates are trusted; empty: any is
};

struct Settings {
    WorkloadKind workload = WorkloadKind::idle;
    bool client = true;
    bool server = true;
    InterfaceSettings client_interface;
    std::optional<InterfaceSettings> server_interface;  ///< empty: that of the clients
    PoolSettings clients, servers;
    uint16_t server_port_low = 9000, server_port_high = 9000;
    std::vector<Target> targets;
    std::optional<TlsSettings> tls;
    std::string host = "millrace.load";
    std::string path = "/";
    uint32_t connections = 1000;
    double ramp_rate = 0;  ///< connections a second; 0: as fast as it goes
    double hold_s = 0;
    double seconds = 10;
    double rate = 0;  ///< messages or sessions a second; 0: as fast as it goes
    uint32_t depth = 1;
    Sizes sizes;
    bool close_by_reset = false;
    uint32_t subset = 0;  ///< connections that are pushed to; 0: all
    uint64_t seed = 1;
    uint16_t core = 1;
    bool huge_pages = false;
    uint16_t mtu = 1500;
    double timeout_s = 600;
    uint64_t chunk_bytes = uint64_t{1} << 30;  ///< most memory for messages that are under way

    bool both() const { return client && server; }
    /// The interface of the servers' addresses, counted from 0.
    uint16_t server_interface_index() const { return client && server_interface ? 1 : 0; }
};

}  // namespace millrace::load
