// The configuration as control understands it: what a TOML file says, with defaults filled in, units resolved and every
// rule checked. The member initializers are the defaults that the reference documents. It holds more than a snapshot
// carries (health probes, control's own settings) and less (no slots: see publish.h).
//
// Plain values, no positions; load.h makes it, nothing changes it afterwards.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <millrace/address.h>
#include <millrace/snapshot.h>

#include "tls/handshake/context.h"

namespace millrace::control {

struct Tcp {
    CongestionControl congestion_control = CongestionControl::cubic;
    bool idle_restart = true;
    uint32_t ack_delay_ms = 40;
    uint16_t path_mtu_min = 552;
};

struct Dataplane {
    std::vector<uint16_t> cores = {0};
    uint32_t workers = 0;  ///< of the cores, the first so many poll; 0: all
    uint32_t shards = 16;
    uint32_t relays_max = 100'000;
    uint64_t chunk_memory_bytes = 256u << 20;
    uint32_t half_open_max = 65'536;
    SynCookies syn_cookies = SynCookies::on;
    uint32_t time_wait_max = 262'144;
    uint32_t crypto_threads = 1;
    uint32_t tls_handshakes_max = 1024;
    uint32_t neighbours_max = 16'384;
    uint32_t idle_sleep_us = 0;
    uint32_t send_queue_bytes = 128u << 10;
    uint32_t send_queue_max_bytes = 4u << 20;
    uint32_t drain_rate_min = 1024;  ///< bytes a second
    bool huge_pages = false;
    Tcp tcp;
};

enum class Role : uint8_t { viewer, operator_, admin };
enum class LogLevel : uint8_t { error, warning, info, debug };

/// A Unix socket of the admin API.
struct AdminSocket {
    std::string path = "admin.sock";  ///< relative ones count from control/ in the run directory
    Role role = Role::admin;
    std::string group;  ///< owner group of the socket; empty: that of the user
    uint32_t mode = 0660;
};

struct ControlSettings {
    std::string user = "millrace-control";  ///< not the dataplane's; `nobody` where it does not exist
    LogLevel log_level = LogLevel::info;
    std::vector<AdminSocket> admin_sockets;  ///< after loading never empty: one with the defaults stands for none
};

struct InterfaceAddress {
    IpAddress address;
    uint8_t prefix_length = 0;
};

struct Interface {
    std::string name;
    Driver driver = Driver::af_xdp;
    std::string device;
    std::vector<InterfaceAddress> addresses;
    uint16_t vlan = 0;
    uint16_t mtu = 1500;
    uint16_t queues = 0;  ///< 0: one per core
    uint16_t rx_descriptors = 1024;
    uint16_t tx_descriptors = 1024;
    bool take_over = false;
    bool memif_server = false;
};

struct StaticRoute {
    InterfaceAddress destination;  ///< no bit set behind the prefix
    IpAddress gateway;
    std::string interface;         ///< as written; may be empty
    uint16_t interface_index = 0;  ///< of Config::interfaces
};

/// TCP keepalive toward one side of the relays.
struct Keepalive {
    uint32_t idle_s = 60;
    uint32_t interval_s = 15;
    uint8_t count = 4;
};

struct HttpRoute {
    std::string host;  ///< lower case; empty: any
    std::string path;  ///< empty: any
    std::string backend;
};

/// Files of a certificate, in PEM: paths, and what was read from them.
struct Certificate {
    std::string chain, key;
    std::string ocsp;  ///< DER; may be empty
    tls::Identity identity;
};

/// TLS toward the clients of a listener. Lists are as OpenSSL names them; empty: its defaults, of what we can relay.
struct ListenerTls {
    tls::Version min_version = tls::Version::tls12;
    tls::Version max_version = tls::Version::tls13;
    std::string ciphers, suites, groups;
    std::string alpn;  ///< protocols with commas between them; empty: "http/1.1" in mode http, else none
    uint32_t tickets = 1;
    std::string ticket_keys;  ///< a file; empty: keys that the dataplane makes
    tls::ClientCertificates client_certificates = tls::ClientCertificates::off;
    std::string client_ca;
    std::string client_subject_header;  ///< empty: the subject goes nowhere
    uint32_t handshake_timeout_ms = 10'000;
    std::vector<Certificate> certificates;
    // What was read from the files.
    std::string client_ca_pem, ticket_key_bytes;
};

/// TLS toward the servers of a backend. Lists as those of a listener.
struct BackendTls {
    std::string ca = "/etc/ssl/certs/ca-certificates.crt";
    bool verify = true;
    std::string server_name;       ///< empty: each server's host as written
    std::string certificate, key;  ///< files of our own, chain first; empty: none
    tls::Version min_version = tls::Version::tls12;
    tls::Version max_version = tls::Version::tls13;
    std::string ciphers, suites, groups;
    bool resume = true;
    uint32_t handshake_timeout_ms = 5'000;
    // What was read from the files.
    std::string ca_pem;
    tls::Identity identity;
};

struct Listener {
    std::string name;
    IpAddress address;  ///< unspecified: every local address
    uint16_t port = 0;
    ListenerMode mode = ListenerMode::http;
    std::string backend;  ///< tcp: the only one; http: where no route matches, or empty
    std::vector<HttpRoute> routes;
    uint32_t head_timeout_ms = 10'000;
    uint32_t idle_timeout_ms = 3'600'000;
    uint32_t head_bytes_max = 16'384;
    uint16_t headers_max = 100;
    ForwardedPolicy forwarded_for = ForwardedPolicy::add;
    ForwardedPolicy forwarded_proto = ForwardedPolicy::replace;
    ForwardedPolicy forwarded_host = ForwardedPolicy::replace;
    RequestIdPolicy request_id = RequestIdPolicy::if_absent;
    uint32_t retry_after_s = 5;
    std::optional<Keepalive> keepalive;
    std::optional<ListenerTls> tls;
};

struct SourcePool {
    IpAddress address;  ///< one of an interface's addresses
    uint16_t port_low = 1024;
    uint16_t port_high = 65'535;
};

struct Ejection {
    uint32_t consecutive_failures = 3;  ///< 0: never ejected
    uint32_t duration_ms = 10'000;
};

enum class HealthType : uint8_t { tcp, http, websocket };

/// How control probes every server of a backend.
struct HealthCheck {
    HealthType type = HealthType::tcp;
    uint32_t interval_ms = 2'000;
    uint32_t timeout_ms = 1'000;  ///< at most interval_ms
    uint32_t rise = 2;
    uint32_t fall = 3;
    std::string path = "/";
    std::string host;  ///< of the Host field; empty: the server's address as written
    uint16_t status_low = 200;
    uint16_t status_high = 399;
    bool tls = true;  ///< where its backend has TLS

    bool operator==(const HealthCheck&) const = default;
};

struct Server {
    std::string name;
    std::string host;  ///< as written, without brackets
    uint16_t port = 0;
    uint16_t weight = 1;
    std::vector<IpAddress> addresses;  ///< what `host` resolved to at load: sorted, distinct, reachable, never empty
};

struct Backend {
    std::string name;
    Algorithm balance = Algorithm::round_robin;
    std::string hash_header;  ///< maglev: empty: the source address
    uint32_t maglev_size = 65'537;
    uint32_t connect_timeout_ms = 5'000;
    uint32_t upgrade_timeout_ms = 10'000;
    uint32_t idle_timeout_ms = 3'600'000;
    uint8_t retries = 2;
    WhenAllDown when_all_down = WhenAllDown::refuse;
    std::vector<SourcePool> sources;
    Ejection ejection;
    std::optional<Keepalive> keepalive;
    std::optional<HealthCheck> health;
    std::optional<BackendTls> tls;
    std::vector<Server> servers;
};

struct Config {
    Dataplane dataplane;
    ControlSettings control;
    std::vector<Interface> interfaces;
    std::vector<StaticRoute> routes;
    std::vector<Listener> listeners;
    std::vector<Backend> backends;
};

}  // namespace millrace::control
