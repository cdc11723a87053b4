// Filling in the snapshot's records, in the order that its sections need: interfaces before sources, backends before
// the routes that name them. Slots are given out here and nowhere else.
#include "control/config/publish.h"

#include <bit>
#include <map>
#include <tuple>
#include <vector>

namespace millrace::control {

namespace {

/// What makes an entry the same one in the next snapshot. Listeners and backends: the name alone.
using Identity = std::tuple<std::string, std::string, IpAddress>;

/// Slots of one kind.
class SlotMap {
  public:
    SlotMap(SlotKind kind, uint32_t slot_count, const SlotIsIdle& is_idle)
        : kind_(kind), used_(slot_count), is_idle_(is_idle) {}

    void remember(Identity identity, uint16_t slot) {
        known_.emplace(std::move(identity), slot);
        used_[slot] = true;
    }

    /// The slot that `identity` had, or the first one that the previous snapshot did not use and that is idle. Empty
    /// when there is none.
    std::optional<uint16_t> take(const Identity& identity, bool& is_new) {
        const auto known = known_.find(identity);
        is_new = known == known_.end();
        if (!is_new) return known->second;
        for (; next_ < used_.size(); ++next_) {
            const auto slot = static_cast<uint16_t>(next_);
            if (used_[slot] || !is_idle_(kind_, slot)) continue;
            used_[slot] = true;
            return slot;
        }
        return std::nullopt;
    }

  private:
    SlotKind kind_;
    std::vector<bool> used_;
    const SlotIsIdle& is_idle_;
    std::map<Identity, uint16_t> known_;
    size_t next_ = 0;
};

KeepaliveRecord to_record(const std::optional<Keepalive>& keepalive) {
    if (!keepalive) return {};
    return {
        static_cast<uint16_t>(keepalive->idle_s), static_cast<uint16_t>(keepalive->interval_s), keepalive->count, {}};
}

class Publisher {
  public:
    Publisher(const Config& config, const SnapshotView* previous, const SlotIsIdle& is_idle,
              const SnapshotView* in_force)
        : config_(config),
          listeners_(SlotKind::listener, listener_slot_max, is_idle),
          backends_(SlotKind::backend, backend_slot_max, is_idle),
          servers_(SlotKind::server, server_slot_max, is_idle) {
        for (const SnapshotView* snapshot : {previous, in_force})
            if (snapshot != nullptr) remember(*snapshot);
    }

    PublishResult publish() {
        put_dataplane();
        put_interfaces();
        put_routes();
        put_backends();
        put_listeners();
        if (result_.error.empty()) result_.snapshot = std::move(out_);
        return std::move(result_);
    }

  private:
    void remember(const SnapshotView& previous) {
        for (const ListenerRecord& r : previous.listeners())
            listeners_.remember({std::string(previous.text(r.name)), "", {}}, r.slot);
        for (const BackendRecord& r : previous.backends())
            backends_.remember({std::string(previous.text(r.name)), "", {}}, r.slot);
        for (const ServerRecord& r : previous.servers()) {
            const std::string_view backend = previous.text(previous.backends()[r.backend].name);
            servers_.remember({std::string(backend), std::string(previous.text(r.name)), r.address}, r.slot);
        }
    }

    uint16_t take(SlotMap& slots, const Identity& identity, const char* what, bool* new_one = nullptr) {
        bool is_new = false;
        const auto slot = slots.take(identity, is_new);
        if (new_one != nullptr) *new_one = is_new;
        if (!slot && result_.error.empty())
            result_.error = std::string("no free slot for ") + what + " " + std::get<0>(identity) +
                            ": those of removed ones are held by live relays, or by configurations that the dataplane "
                            "has in force or may yet take";
        return slot.value_or(0);
    }

    void put_dataplane();
    void put_interfaces();
    void put_routes();
    void put_backends();
    void put_servers(const Backend& backend, BackendRecord& record, uint16_t index);
    void put_sources(const Backend& backend, BackendRecord& record);
    void put_listeners();
    void put_http_route(std::string_view host, std::string_view path, const std::string& backend);

    const Config& config_;
    SlotMap listeners_;
    SlotMap backends_;
    SlotMap servers_;
    SnapshotBuilder out_;
    std::map<IpAddress, uint16_t> local_addresses_;
    std::map<std::string, uint16_t> backend_indices_;
    PublishResult result_;
};

void Publisher::put_dataplane() {
    const Dataplane& from = config_.dataplane;
    DataplaneRecord& to = out_.dataplane;
    for (size_t i = 0; i < from.cores.size(); ++i) to.cores[i] = from.cores[i];
    to.core_count = static_cast<uint16_t>(from.cores.size());
    to.worker_count = from.workers == 0 ? to.core_count : static_cast<uint16_t>(from.workers);
    to.shard_count = static_cast<uint16_t>(from.shards);
    to.relays_max = from.relays_max;
    to.chunk_bytes_max = from.chunk_memory_bytes;
    to.half_open_max = from.half_open_max;
    to.syn_cookies = from.syn_cookies;
    to.time_wait_max = from.time_wait_max;
    to.neighbours_max = std::bit_ceil(from.neighbours_max);
    to.idle_sleep_us = from.idle_sleep_us;
    to.send_queue_bytes = from.send_queue_bytes;
    to.send_queue_max_bytes = from.send_queue_max_bytes;
    to.drain_rate_min = from.drain_rate_min;
    to.huge_pages = from.huge_pages;
    to.crypto_threads = static_cast<uint16_t>(from.crypto_threads);
    to.tls_handshakes_max = static_cast<uint16_t>(from.tls_handshakes_max);
    to.tcp = {.congestion_control = from.tcp.congestion_control,
              .idle_restart = from.tcp.idle_restart,
              .ack_delay_ms = static_cast<uint16_t>(from.tcp.ack_delay_ms),
              .path_mtu_min = from.tcp.path_mtu_min,
              .reserved = {}};
}

void Publisher::put_interfaces() {
    for (const Interface& from : config_.interfaces) {
        const auto index = static_cast<uint16_t>(out_.interfaces.size());
        InterfaceRecord to{};
        to.name = out_.text(from.name);
        to.device = out_.text(from.device);
        to.driver = from.driver;
        to.take_over = from.take_over;
        to.memif_server = from.memif_server;
        to.vlan = from.vlan;
        to.mtu = from.mtu;
        to.queues = from.queues != 0 ? from.queues : static_cast<uint16_t>(config_.dataplane.cores.size());
        to.rx_descriptors = from.rx_descriptors;
        to.tx_descriptors = from.tx_descriptors;
        out_.interfaces.push_back(to);
        for (const InterfaceAddress& address : from.addresses) {
            local_addresses_.emplace(address.address, static_cast<uint16_t>(out_.local_addresses.size()));
            out_.local_addresses.push_back({address.address, index, address.prefix_length, {}});
        }
    }
}

void Publisher::put_routes() {
    for (const StaticRoute& from : config_.routes)
        out_.routes.push_back(
            {from.destination.address, from.gateway, from.interface_index, from.destination.prefix_length, {}});
}

void Publisher::put_backends() {
    for (const Backend& from : config_.backends) {
        const auto index = static_cast<uint16_t>(out_.backends.size());
        backend_indices_.emplace(from.name, index);
        BackendRecord to{};
        to.name = out_.text(from.name);
        to.hash_header = out_.text(from.hash_header);
        to.maglev_size = from.maglev_size;
        to.connect_timeout_ms = from.connect_timeout_ms;
        to.upgrade_timeout_ms = from.upgrade_timeout_ms;
        to.idle_timeout_ms = from.idle_timeout_ms;
        to.keepalive = to_record(from.keepalive);
        to.eject_after = from.ejection.consecutive_failures;
        to.eject_ms = from.ejection.duration_ms;
        to.slot = take(backends_, {from.name, "", {}}, "backend");
        to.algorithm = from.balance;
        to.when_all_down = from.when_all_down;
        to.retries = from.retries;
        to.tls = from.tls.has_value();
        to.handshake_timeout_ms = from.tls ? from.tls->handshake_timeout_ms : 0;
        put_servers(from, to, index);
        put_sources(from, to);
        out_.backends.push_back(to);
    }
}

void Publisher::put_servers(const Backend& backend, BackendRecord& record, uint16_t index) {
    record.first_server = static_cast<uint32_t>(out_.servers.size());
    for (const Server& from : backend.servers) {
        for (const IpAddress& address : from.addresses) {
            bool is_new = false;
            const uint16_t slot = take(servers_, {backend.name, from.name, address}, "a server of backend", &is_new);
            if (is_new) result_.new_server_slots.push_back(slot);
            out_.servers.push_back({out_.text(from.name), address, from.port, slot, from.weight, index});
        }
    }
    record.server_count = static_cast<uint32_t>(out_.servers.size()) - record.first_server;
}

void Publisher::put_sources(const Backend& backend, BackendRecord& record) {
    record.first_source = static_cast<uint32_t>(out_.sources.size());
    for (const SourcePool& from : backend.sources)
        out_.sources.push_back({local_addresses_.at(from.address), from.port_low, from.port_high, 0});
    record.source_count = static_cast<uint32_t>(out_.sources.size()) - record.first_source;
}

void Publisher::put_http_route(std::string_view host, std::string_view path, const std::string& backend) {
    out_.http_routes.push_back({out_.text(host), out_.text(path), backend_indices_.at(backend), {}});
}

void Publisher::put_listeners() {
    for (const Listener& from : config_.listeners) {
        ListenerRecord to{};
        to.name = out_.text(from.name);
        to.address = from.address;
        to.port = from.port;
        to.slot = take(listeners_, {from.name, "", {}}, "listener");
        to.mode = from.mode;
        to.forwarded_for = from.forwarded_for;
        to.forwarded_proto = from.forwarded_proto;
        to.forwarded_host = from.forwarded_host;
        to.request_id = from.request_id;
        to.headers_max = from.headers_max;
        to.head_bytes_max = from.head_bytes_max;
        to.head_timeout_ms = from.head_timeout_ms;
        to.idle_timeout_ms = from.idle_timeout_ms;
        to.keepalive = to_record(from.keepalive);
        to.tls = from.tls.has_value();
        to.handshake_timeout_ms = from.tls ? from.tls->handshake_timeout_ms : 0;
        to.client_subject_header = out_.text(from.tls ? from.tls->client_subject_header : "");
        to.retry_after_s = from.retry_after_s;
        to.first_route = static_cast<uint32_t>(out_.http_routes.size());
        for (const HttpRoute& route : from.routes) put_http_route(route.host, route.path, route.backend);
        if (!from.backend.empty()) put_http_route("", "", from.backend);
        to.route_count = static_cast<uint32_t>(out_.http_routes.size()) - to.first_route;
        out_.listeners.push_back(to);
    }
}

}  // namespace

PublishResult to_snapshot(const Config& config, const SnapshotView* previous, const SlotIsIdle& is_idle,
                          const SnapshotView* in_force) {
    return Publisher(config, previous, is_idle, in_force).publish();
}

}  // namespace millrace::control
