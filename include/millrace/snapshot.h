// The configuration as the control process publishes it and the dataplane reads it: one relocatable block of bytes with
// a section table, fixed-size records and a string table, in the file `config` of the instance's run directory.
//
//   | SnapshotHeader | interfaces | local addresses | routes | listeners | http routes | backends | servers | ...
//   strings |
//
// Control writes a whole new file beside the old one and renames it into place, so a reader sees one generation or the
// other, never a mixture. The dataplane copies the file into private memory, then checks every field
// (SnapshotView::open): the writer is another process and is treated as hostile. Private keys never stand here.
//
// Listeners, backends and servers carry a slot: their stable index in statistics, server states and relays. A slot
// survives reloads and restarts of the control process.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <millrace/address.h>
#include <millrace/config_rules.h>
#include <millrace/limits.h>

namespace millrace {

inline constexpr uint64_t snapshot_magic = 0x31676663'6c6c694dULL;  // "Millcfg1"
inline constexpr uint32_t snapshot_bytes_max = 16u << 20;

/// Text in the string table; offset counts from the table's start. Not terminated.
struct StringRef {
    uint32_t offset;
    uint32_t length;
};

enum class SnapshotSection : uint32_t {
    dataplane,        ///< exactly one DataplaneRecord
    interfaces,       ///< InterfaceRecord
    local_addresses,  ///< LocalAddressRecord
    routes,           ///< RouteRecord
    listeners,        ///< ListenerRecord
    http_routes,      ///< HttpRouteRecord, grouped by listener, in match order
    backends,         ///< BackendRecord
    servers,          ///< ServerRecord, grouped by backend
    sources,          ///< SourceRecord, grouped by backend
    strings,          ///< bytes
    count,
};

struct SectionRef {
    uint32_t offset;        ///< from the start of the snapshot: the end of the section before, rounded up to 8
    uint32_t count;         ///< records (bytes, for the strings)
    uint32_t record_bytes;  ///< size of one record: sizeof of this ABI version
    uint32_t reserved;
};

struct SnapshotHeader {
    uint64_t magic;
    uint32_t abi;
    uint32_t total_bytes;
    uint64_t generation;    ///< counts up with every published change
    uint64_t content_hash;  ///< FNV-1a 64 over all bytes after the header; equal for equal configurations
    SectionRef sections[static_cast<uint32_t>(SnapshotSection::count)];
};
static_assert(sizeof(SnapshotHeader) == 32 + 16 * 10);

/// When SYNs are answered with cookies: never, when the table of half-open connections has no room, or all of them.
enum class SynCookies : uint8_t { off = 0, on = 1, always = 2 };

enum class CongestionControl : uint8_t { cubic = 0, newreno = 1 };  ///< RFC 9438, RFC 5681

/// How TCP behaves, toward clients and servers alike.
struct TcpRecord {
    CongestionControl congestion_control;
    uint8_t idle_restart;   ///< 1: the congestion window shrinks after a pause (RFC 5681 §4.1)
    uint16_t ack_delay_ms;  ///< longest wait of an ACK, 0…ack_delay_ms_max
    uint16_t path_mtu_min;  ///< no ICMP message makes packets of IPv4 smaller; bytes
    uint8_t reserved[2];
};
static_assert(sizeof(TcpRecord) == 8);

/// Process-wide settings; they take effect at the start of the dataplane, not at reload.
struct DataplaneRecord {
    uint16_t cores[worker_max];     ///< one worker on each
    uint16_t core_count;            ///< 1…worker_max
    uint16_t shard_count;           ///< power of two, 1…shard_max, at least core_count
    uint32_t relays_max;            ///< over all shards
    uint64_t chunk_bytes_max;       ///< payload memory over all shards
    uint32_t half_open_max;         ///< connections in their handshake, over all shards
    uint32_t time_wait_max;         ///< over all shards
    uint32_t idle_sleep_us;         ///< sleep of a worker that has long found nothing; 0 = poll always
    uint32_t send_queue_bytes;      ///< most payload that waits for one side, where the path is not known to need more
    uint32_t send_queue_max_bytes;  ///< most payload that waits for one side or is on its way there
    uint32_t drain_rate_min;        ///< bytes a second: who takes fewer gives way when chunk memory is scarce
    uint32_t neighbours_max;        ///< on our links, that each worker knows at once; a power of two
    uint8_t huge_pages;             ///< 1: EAL and regions use huge pages
    SynCookies syn_cookies;
    uint16_t worker_count;  ///< of the cores, the first so many poll; 1…core_count
    TcpRecord tcp;
    uint16_t crypto_threads;      ///< for handshakes of TLS, 0…crypto_threads_max; 0: no listener can have TLS
    uint16_t tls_handshakes_max;  ///< in progress at once, of each worker; 1…tls_handshakes_max_max
    uint8_t reserved[4];
};
static_assert(sizeof(DataplaneRecord) == 192);

struct InterfaceRecord {
    StringRef name;
    StringRef device;  ///< kernel interface, memif socket path, or PCI address, by driver
    Driver driver;
    uint8_t take_over;     ///< 1: allowed although it carries the kernel's default route
    uint8_t memif_server;  ///< memif: 1 listens on the socket, 0 connects to it
    uint8_t reserved0;
    uint16_t vlan;    ///< 0: untagged, else 1…4094
    uint16_t mtu;     ///< 576…9000
    uint16_t queues;  ///< receive and send queue pairs
    uint16_t rx_descriptors;
    uint16_t tx_descriptors;
    uint8_t reserved[2];
};
static_assert(sizeof(InterfaceRecord) == 32);

struct LocalAddressRecord {
    IpAddress address;
    uint16_t interface;     ///< index of InterfaceRecord
    uint8_t prefix_length;  ///< in the family of the address
    uint8_t reserved[5];
};
static_assert(sizeof(LocalAddressRecord) == 24);

struct RouteRecord {
    IpAddress network;
    IpAddress gateway;
    uint16_t interface;
    uint8_t prefix_length;
    uint8_t reserved[5];
};
static_assert(sizeof(RouteRecord) == 40);

/// TCP keepalive (RFC 9293 §3.8.4) of established relays, toward one side.
struct KeepaliveRecord {
    uint16_t idle_s;      ///< silence before the first probe; 0: no keepalive
    uint16_t interval_s;  ///< between probes
    uint8_t count;        ///< probes without an answer that end the relay
    uint8_t reserved[3];
};
static_assert(sizeof(KeepaliveRecord) == 8);

enum class ListenerMode : uint8_t { http = 0, tcp = 1 };

/// What happens to a forwarding header that the client sent.
enum class ForwardedPolicy : uint8_t { off = 0, add = 1, replace = 2 };
enum class RequestIdPolicy : uint8_t { off = 0, if_absent = 1, always = 2 };

struct ListenerRecord {
    StringRef name;
    IpAddress address;  ///< a local address; unspecified: every local address of any family
    uint16_t port;
    uint16_t slot;  ///< < listener_slot_max
    ListenerMode mode;
    ForwardedPolicy forwarded_for;
    ForwardedPolicy forwarded_proto;
    ForwardedPolicy forwarded_host;
    RequestIdPolicy request_id;
    uint8_t tls;  ///< 1: clients speak TLS, with the certificates that this slot was given
    uint16_t headers_max;
    uint32_t head_bytes_max;   ///< 1,024…16,384
    uint32_t head_timeout_ms;  ///< until the whole request head has come
    uint32_t idle_timeout_ms;  ///< silence from the client that ends the relay
    uint32_t first_route;      ///< index of HttpRouteRecord
    uint32_t route_count;      ///< tcp mode: exactly 1, its host and path empty
    uint32_t retry_after_s;    ///< sent with 503
    KeepaliveRecord keepalive;
    uint32_t handshake_timeout_ms;    ///< of TLS
    StringRef client_subject_header;  ///< carries the subject of the client's certificate; empty: none does
};
static_assert(sizeof(ListenerRecord) == 80);

struct HttpRouteRecord {
    StringRef host;         ///< empty: any; "*.example.com": any label before; lower case
    StringRef path_prefix;  ///< empty: any; else begins with '/'
    uint16_t backend;       ///< index of BackendRecord
    uint8_t reserved[6];
};
static_assert(sizeof(HttpRouteRecord) == 24);

enum class Algorithm : uint8_t { round_robin = 0, least_conn = 1, maglev = 2, ip_hash = 3 };
enum class WhenAllDown : uint8_t { refuse = 0, try_all = 1 };

struct BackendRecord {
    StringRef name;
    StringRef hash_header;  ///< maglev: the header that is the key; empty: the source address
    uint32_t maglev_size;   ///< a prime, 251…655,373
    uint32_t first_server;
    uint32_t server_count;  ///< ≥ 1
    uint32_t first_source;
    uint32_t source_count;  ///< 0: the addresses of the interface that the server is reached by
    uint32_t connect_timeout_ms;
    uint32_t upgrade_timeout_ms;  ///< from the connected backend to its whole response head
    uint32_t idle_timeout_ms;     ///< silence from the server that ends the relay
    uint32_t eject_after;         ///< consecutive failures; 0: never
    uint32_t eject_ms;
    uint16_t slot;  ///< < backend_slot_max
    Algorithm algorithm;
    WhenAllDown when_all_down;
    uint8_t retries;  ///< further servers tried after a failed connect
    uint8_t tls;      ///< 1: its servers speak TLS, with what its slot was given to know them by
    uint8_t reserved[2];
    KeepaliveRecord keepalive;
    uint32_t handshake_timeout_ms;  ///< of TLS, from the connection on
    uint8_t reserved1[4];
};
static_assert(sizeof(BackendRecord) == 80);

struct ServerRecord {
    StringRef name;  ///< unique in its backend; a name that resolves to several addresses owns several records
    IpAddress address;
    uint16_t port;
    uint16_t slot;     ///< < server_slot_max
    uint16_t weight;   ///< 0: takes nothing new
    uint16_t backend;  ///< index of BackendRecord
};
static_assert(sizeof(ServerRecord) == 32);

struct SourceRecord {
    uint16_t local_address;  ///< index of LocalAddressRecord
    uint16_t port_low;       ///< ≥ source_port_min
    uint16_t port_high;      ///< ≥ port_low
    uint16_t reserved;
};
static_assert(sizeof(SourceRecord) == 8);

/// A checked, read-only view of a snapshot in private memory. Every index, slot, range and string that a reader may
/// follow is inside its bounds once open() has succeeded.
class SnapshotView {
  public:
    /// Checks `bytes` (8-byte aligned; they must outlive the view). On failure returns false, says in `error` which
    /// record breaks which rule, and leaves the view as it was. Allocates; not for a worker.
    bool open(std::span<const std::byte> bytes, std::string& error);

    uint64_t generation() const { return header_->generation; }
    uint64_t content_hash() const { return header_->content_hash; }
    const DataplaneRecord& dataplane() const { return records<DataplaneRecord>(SnapshotSection::dataplane)[0]; }
    std::span<const InterfaceRecord> interfaces() const {
        return records<InterfaceRecord>(SnapshotSection::interfaces);
    }
    std::span<const LocalAddressRecord> local_addresses() const {
        return records<LocalAddressRecord>(SnapshotSection::local_addresses);
    }
    std::span<const RouteRecord> routes() const { return records<RouteRecord>(SnapshotSection::routes); }
    std::span<const ListenerRecord> listeners() const { return records<ListenerRecord>(SnapshotSection::listeners); }
    std::span<const HttpRouteRecord> http_routes() const {
        return records<HttpRouteRecord>(SnapshotSection::http_routes);
    }
    std::span<const BackendRecord> backends() const { return records<BackendRecord>(SnapshotSection::backends); }
    std::span<const ServerRecord> servers() const { return records<ServerRecord>(SnapshotSection::servers); }
    std::span<const SourceRecord> sources() const { return records<SourceRecord>(SnapshotSection::sources); }
    std::string_view text(StringRef ref) const;

  private:
    template <typename Record>
    std::span<const Record> records(SnapshotSection section) const {
        const SectionRef& ref = header_->sections[static_cast<uint32_t>(section)];
        return {reinterpret_cast<const Record*>(bytes_.data() + ref.offset), ref.count};
    }

    std::span<const std::byte> bytes_;
    const SnapshotHeader* header_ = nullptr;
};

/// Collects records and strings and writes them out as one snapshot. Used by control and by tests.
class SnapshotBuilder {
  public:
    DataplaneRecord dataplane{};
    std::vector<InterfaceRecord> interfaces;
    std::vector<LocalAddressRecord> local_addresses;
    std::vector<RouteRecord> routes;
    std::vector<ListenerRecord> listeners;
    std::vector<HttpRouteRecord> http_routes;
    std::vector<BackendRecord> backends;
    std::vector<ServerRecord> servers;
    std::vector<SourceRecord> sources;

    /// Puts a text into the string table (equal texts share one place).
    StringRef text(std::string_view value);

    /// The finished snapshot. Deterministic: equal content gives equal bytes but for the generation.
    std::vector<std::byte> build(uint64_t generation) const;

  private:
    std::string strings_;
};

}  // namespace millrace
