#include "dataplane/config/runtime_config.h"

#include <algorithm>
#include <cstring>

#include "dataplane/balance/maglev.h"
#include "dataplane/base/fault.h"
#include "dataplane/base/siphash.h"

namespace millrace::config {
namespace {

/// The same on every balancer of the same servers, so that they agree on a client's server: an unkeyed hash of address
/// and port.
uint64_t server_identity(const ServerRecord& server) {
    uint8_t bytes[18];
    std::memcpy(bytes, server.address.bytes.data(), 16);
    std::memcpy(bytes + 16, &server.port, 2);
    return siphash13(SipKey{}, bytes);
}

/// The first key of [dataplane] whose value differs, or null.
const char* changed_setting(const DataplaneRecord& a, const DataplaneRecord& b) {
    if (a.core_count != b.core_count || !std::ranges::equal(a.cores, b.cores)) return "cores";
    if (a.shard_count != b.shard_count) return "shards";
    if (a.relays_max != b.relays_max) return "relays_max";
    if (a.chunk_bytes_max != b.chunk_bytes_max) return "chunk_memory";
    if (a.half_open_max != b.half_open_max) return "half_open_max";
    if (a.time_wait_max != b.time_wait_max) return "time_wait_max";
    if (a.neighbours_max != b.neighbours_max) return "neighbours_max";
    if (a.idle_sleep_us != b.idle_sleep_us) return "idle_sleep";
    if (a.send_queue_bytes != b.send_queue_bytes) return "send_queue";
    if (a.send_queue_max_bytes != b.send_queue_max_bytes) return "send_queue_max";
    if (a.drain_rate_min != b.drain_rate_min) return "drain_rate_min";
    if (a.huge_pages != b.huge_pages) return "huge_pages";
    if (a.crypto_threads != b.crypto_threads) return "crypto_threads";
    if (a.tls_handshakes_max != b.tls_handshakes_max) return "tls_handshakes_max";
    if (a.syn_cookies != b.syn_cookies) return "syn_cookies";
    if (a.tcp.congestion_control != b.tcp.congestion_control) return "tcp.congestion_control";
    if (a.tcp.idle_restart != b.tcp.idle_restart) return "tcp.idle_restart";
    if (a.tcp.ack_delay_ms != b.tcp.ack_delay_ms) return "tcp.ack_delay";
    if (a.tcp.path_mtu_min != b.tcp.path_mtu_min) return "tcp.path_mtu_min";
    return nullptr;
}

/// True when both configurations start the same process: nothing differs that is fixed at start.
bool same_process_settings(const SnapshotView& a, const SnapshotView& b, std::string& error) {
    constexpr const char* remedy = "; that takes effect when millrace-dataplane is restarted";
    if (const char* key = changed_setting(a.dataplane(), b.dataplane())) {
        error = std::string("\"") + key + "\" of [dataplane] changed" + remedy;
        return false;
    }
    if (a.interfaces().size() != b.interfaces().size()) {
        error = std::string("the number of interfaces changed") + remedy;
        return false;
    }
    for (size_t i = 0; i < a.interfaces().size(); ++i) {
        const InterfaceRecord& x = a.interfaces()[i];
        const InterfaceRecord& y = b.interfaces()[i];
        if (a.text(x.device) == b.text(y.device) && x.driver == y.driver && x.memif_server == y.memif_server &&
            x.vlan == y.vlan && x.mtu == y.mtu && x.queues == y.queues && x.rx_descriptors == y.rx_descriptors &&
            x.tx_descriptors == y.tx_descriptors)
            continue;
        error = "the device of interface \"" + std::string(b.text(y.name)) + "\" changed" + remedy;
        return false;
    }
    return true;
}

}  // namespace

size_t RuntimeConfig::AddressHash::operator()(const IpAddress& address) const {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(address.bytes.data()), address.bytes.size()});
}

std::unique_ptr<const RuntimeConfig> RuntimeConfig::compile(std::vector<std::byte> snapshot,
                                                            const RuntimeConfig* previous, std::string& error) {
    std::unique_ptr<RuntimeConfig> config{new RuntimeConfig};
    config->bytes_ = std::move(snapshot);
    if (!config->view_.open(config->bytes_, error)) return nullptr;
    if (previous != nullptr && !same_process_settings(previous->view_, config->view_, error)) return nullptr;
    if (!config->compile_local_addresses(previous, error)) return nullptr;
    config->routes_ = std::make_unique<RoutingTable>(config->view_);
    config->compile_listeners();
    config->compile_backends(previous);
    config->compile_slots(previous);
    return config;
}

void RuntimeConfig::compile_listeners() {
    for (const HttpRouteRecord& route : view_.http_routes())
        http_routes_.push_back({view_.text(route.host), view_.text(route.path_prefix), route.backend});
    for (const ListenerRecord& record : view_.listeners())
        listeners_.push_back({&record, view_.text(record.name),
                              std::span(http_routes_).subspan(record.first_route, record.route_count)});
}

/// Control gives a backend's slot away as soon as a configuration without the backend is in force; what still connects
/// on its behalf must be able to tell.
uint32_t RuntimeConfig::since(const BackendRecord& record, const RuntimeConfig* previous) const {
    if (previous != nullptr)
        for (const Backend& before : previous->backends_)
            if (before.record->slot == record.slot && before.name == view_.text(record.name)) return before.since;
    return static_cast<uint32_t>(view_.generation());
}

void RuntimeConfig::compile_backends(const RuntimeConfig* previous) {
    for (const BackendRecord& record : view_.backends()) {
        Backend backend{.record = &record,
                        .name = view_.text(record.name),
                        .hash_header = view_.text(record.hash_header),
                        .since = since(record, previous),
                        .servers = view_.servers().subspan(record.first_server, record.server_count),
                        .sources = view_.sources().subspan(record.first_source, record.source_count),
                        .maglev_table = {}};
        if (record.algorithm == Algorithm::maglev) {
            std::vector<balance::MaglevServer> servers;
            for (const ServerRecord& server : backend.servers)
                servers.push_back({.identity = server_identity(server), .weight = server.weight});
            backend.maglev_table.resize(record.maglev_size);
            balance::maglev_build(servers, backend.maglev_table);
        }
        backends_.push_back(std::move(backend));
    }
}

void RuntimeConfig::compile_slots(const RuntimeConfig* previous) {
    listeners_by_slot_.resize(listener_slot_max);
    servers_by_slot_.resize(server_slot_max);
    if (previous != nullptr) {
        listeners_by_slot_ = previous->listeners_by_slot_;
        servers_by_slot_ = previous->servers_by_slot_;
        for (ServerBySlot& server : servers_by_slot_) server.present = false;
    }
    for (const ListenerRecord& record : view_.listeners())
        listeners_by_slot_[record.slot] = {.idle_timeout_ms = record.idle_timeout_ms, .keepalive = record.keepalive};
    for (const ServerRecord& server : view_.servers()) {
        const BackendRecord& backend = view_.backends()[server.backend];
        servers_by_slot_[server.slot] = {.backend_slot = backend.slot,
                                         .idle_timeout_ms = backend.idle_timeout_ms,
                                         .keepalive = backend.keepalive,
                                         .address = server.address,
                                         .port = server.port,
                                         .present = true,
                                         .tls = backend.tls != 0,
                                         .handshake_timeout_ms = backend.handshake_timeout_ms};
    }
}

bool RuntimeConfig::compile_local_addresses(const RuntimeConfig* previous, std::string& error) {
    if (previous != nullptr && !fault(Fault::config_reload_renumbers_addresses)) {
        local_addresses_ = previous->local_addresses_;
        local_ids_ = previous->local_ids_;
        for (LocalAddress& local : local_addresses_) local.present = false;
    }
    for (const LocalAddressRecord& record : view_.local_addresses()) {
        auto [place, added] = local_ids_.try_emplace(record.address, static_cast<uint16_t>(local_addresses_.size()));
        if (added) {
            if (local_addresses_.size() == local_address_max) {
                error = "more local addresses than a process can have over its life; restart millrace-dataplane";
                return false;
            }
            local_addresses_.push_back({record.address, record.interface, true});
        }
        local_addresses_[place->second] = {record.address, record.interface, true};
        local_ids_of_records_.push_back(place->second);
    }
    return true;
}

const Backend* RuntimeConfig::backend_of_server(uint16_t server_slot) const {
    const ServerBySlot& server = servers_by_slot_[server_slot];
    if (!server.present) return nullptr;
    for (const Backend& backend : backends_)
        if (backend.record->slot == server.backend_slot) return &backend;
    return nullptr;
}

const Backend* RuntimeConfig::backend_of_slot(uint16_t slot, uint32_t since) const {
    for (const Backend& backend : backends_)
        if (backend.record->slot == slot && backend.since == since) return &backend;
    return nullptr;
}

const Listener* RuntimeConfig::find_listener(const IpAddress& address, uint16_t port) const {
    for (const Listener& listener : listeners_) {
        if (listener.record->port != port) continue;
        const IpAddress& bound = listener.record->address;
        const bool on_all = bound.is_unspecified() && local_id(address) != no_slot;
        if (bound == address || on_all || fault(Fault::config_listener_on_any_address)) return &listener;
    }
    return nullptr;
}

const Listener* RuntimeConfig::listener_of_slot(uint16_t slot) const {
    for (const Listener& listener : listeners_)
        if (listener.record->slot == slot) return &listener;
    return nullptr;
}

uint16_t RuntimeConfig::local_id(const IpAddress& address) const {
    const uint16_t id = known_local_id(address);
    return id == no_slot || !local_addresses_[id].present ? no_slot : id;
}

uint16_t RuntimeConfig::known_local_id(const IpAddress& address) const {
    const auto place = local_ids_.find(address);
    return place == local_ids_.end() ? no_slot : place->second;
}

}  // namespace millrace::config
