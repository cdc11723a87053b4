// A published snapshot made ready for the workers: names looked up, Maglev tables built, slots resolved. Compiled off
// the workers (it allocates), then immutable and shared; a worker takes a new one between two bursts, and the old one
// is destroyed when every worker has.
//
// Relays outlive configurations, so what a relay pins is a slot: the tables by slot keep the entries of a listener or
// server that a newer configuration no longer has. Local addresses keep their ids likewise: one that a
// configuration no longer has takes no new connection and is answered for only to those who know us by it (another host
// may have it now), but its connections go on.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <millrace/snapshot.h>

#include "dataplane/config/routing_table.h"

namespace millrace::config {

struct HttpRoute {
    std::string_view host;
    std::string_view path_prefix;
    uint16_t backend;  ///< index into RuntimeConfig::backends()
};

struct Listener {
    const ListenerRecord* record;
    std::string_view name;
    std::span<const HttpRoute> routes;
};

struct Backend {
    const BackendRecord* record;
    std::string_view name;
    std::string_view hash_header;
    uint32_t since;  ///< generation, low 32 bits, from which on its slot has been its own
    std::span<const ServerRecord> servers;
    std::span<const SourceRecord> sources;
    std::vector<uint16_t> maglev_table;  ///< empty unless the algorithm is maglev
};

/// What an established relay still needs of its listener, whatever the newest configuration says.
struct ListenerBySlot {
    uint32_t idle_timeout_ms = 3'600'000;
    KeepaliveRecord keepalive{};
};

/// What a relay or a stream still needs of its server.
struct ServerBySlot {
    uint16_t backend_slot = no_slot;
    uint32_t idle_timeout_ms = 3'600'000;
    KeepaliveRecord keepalive{};
    IpAddress address;  ///< a slot whose address or port differs from before belongs to another server now
    uint16_t port = 0;
    bool present = false;  ///< in this configuration
    bool tls = false;
    uint32_t handshake_timeout_ms = 0;
};

/// One of our own addresses. Its id is the index in local_addresses(), which never changes while the process lives.
struct LocalAddress {
    IpAddress address;
    uint16_t interface;
    bool present;  ///< in this configuration
};

class RuntimeConfig {
  public:
    /// Checks and compiles `snapshot`. `previous` (or null) hands on what relays pin; it may be destroyed afterwards.
    /// Null, with a reason, when the snapshot is invalid or changes what needs a restart (interfaces, cores, shards,
    /// limits).
    static std::unique_ptr<const RuntimeConfig> compile(std::vector<std::byte> snapshot, const RuntimeConfig* previous,
                                                        std::string& error);

    const SnapshotView& snapshot() const { return view_; }
    const RoutingTable& routes() const { return *routes_; }
    std::span<const Listener> listeners() const { return listeners_; }
    std::span<const Backend> backends() const { return backends_; }
    std::span<const LocalAddress> local_addresses() const { return local_addresses_; }
    const ListenerBySlot& listener_by_slot(uint16_t slot) const { return listeners_by_slot_[slot]; }
    const ServerBySlot& server_by_slot(uint16_t slot) const { return servers_by_slot_[slot]; }
    /// The backend that has had this slot since that generation (Backend::since), or null.
    const Backend* backend_of_slot(uint16_t slot, uint32_t since) const;

    /// The backend that owns the server in this configuration, or null.
    const Backend* backend_of_server(uint16_t server_slot) const;

    /// The listener of an address and port, bound to that address or to all. Null when there is none; never several,
    /// since a snapshot with overlapping listeners is refused.
    const Listener* find_listener(const IpAddress& address, uint16_t port) const;

    /// The listener that has this slot in this configuration, or null.
    const Listener* listener_of_slot(uint16_t slot) const;

    /// The id of one of our addresses, or no_slot.
    uint16_t local_id(const IpAddress& address) const;

    /// The same, also of an address that an earlier configuration of this process had: its connections go on.
    uint16_t known_local_id(const IpAddress& address) const;

    /// The id that stands for LocalAddressRecord `index` of the snapshot.
    uint16_t local_id_of_record(uint16_t index) const { return local_ids_of_records_[index]; }

  private:
    struct AddressHash {
        size_t operator()(const IpAddress& address) const;
    };

    RuntimeConfig() = default;
    void compile_listeners();
    void compile_backends(const RuntimeConfig* previous);
    uint32_t since(const BackendRecord& record, const RuntimeConfig* previous) const;
    void compile_slots(const RuntimeConfig* previous);
    bool compile_local_addresses(const RuntimeConfig* previous, std::string& error);

    std::vector<std::byte> bytes_;
    SnapshotView view_;
    std::unique_ptr<RoutingTable> routes_;
    std::vector<HttpRoute> http_routes_;
    std::vector<Listener> listeners_;
    std::vector<Backend> backends_;
    std::vector<ListenerBySlot> listeners_by_slot_;
    std::vector<ServerBySlot> servers_by_slot_;
    std::vector<LocalAddress> local_addresses_;
    std::vector<uint16_t> local_ids_of_records_;
    std::unordered_map<IpAddress, uint16_t, AddressHash> local_ids_;
};

}  // namespace millrace::config
