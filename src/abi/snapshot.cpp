// Checking and building configuration snapshots. The check trusts nothing: every index, count, enumeration, range and
// text that a reader may follow is proven here once, so that readers need no checks of their own. All arithmetic on
// offsets is 64-bit, over values of at most 32 bits each, so it can't wrap.
#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include <millrace/assert.h>
#include <millrace/snapshot.h>

namespace millrace {

namespace {

constexpr size_t section_count = static_cast<size_t>(SnapshotSection::count);

struct SectionRule {
    const char* name;
    uint32_t record_bytes;
    uint32_t count_min;
    uint32_t count_max;
};
constexpr SectionRule section_rules[section_count] = {
    {"dataplane", sizeof(DataplaneRecord), 1, 1},
    {"interfaces", sizeof(InterfaceRecord), 0, interface_max},
    {"local addresses", sizeof(LocalAddressRecord), 0, local_address_max},
    {"routes", sizeof(RouteRecord), 0, route_max},
    {"listeners", sizeof(ListenerRecord), 0, listener_slot_max},
    {"http routes", sizeof(HttpRouteRecord), 0, http_route_max},
    {"backends", sizeof(BackendRecord), 0, backend_slot_max},
    {"servers", sizeof(ServerRecord), 0, server_slot_max},
    {"sources", sizeof(SourceRecord), 0, source_max},
    {"strings", 1, 0, snapshot_bytes_max},
};

constexpr uint64_t round_up_8(uint64_t value) {
    return (value + 7) & ~uint64_t{7};
}

uint64_t fnv1a_64(std::span<const std::byte> bytes) {
    uint64_t hash = 0xcbf29ce484222325;
    for (std::byte byte : bytes) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
    return hash;
}

bool in_range(uint64_t value, uint64_t low, uint64_t high) {
    return value >= low && value <= high;
}

bool is_timeout(uint32_t milliseconds) {
    return in_range(milliseconds, 1, timeout_ms_max);
}

/// An address that one host may own: not unspecified, not multicast, not broadcast.
bool is_host_address(const IpAddress& address) {
    if (!address.is_v4()) return !address.is_unspecified() && address.bytes[0] != 0xff;
    return address.bytes[12] != 0 && address.bytes[12] < 224;
}

/// True when no bit behind the prefix is set.
bool is_network(const IpAddress& address, uint8_t prefix_length) {
    IpAddress masked = address;
    const unsigned first = (address.is_v4() ? 96u : 0u) + prefix_length;
    for (unsigned bit = first; bit < 128; ++bit)
        masked.bytes[bit / 8] = static_cast<uint8_t>(masked.bytes[bit / 8] & ~(0x80u >> bit % 8));
    return masked == address;
}

bool is_prefix(const IpAddress& address, uint8_t length) {
    return length <= (address.is_v4() ? 32 : 128);
}

/// Checks the header and the section table: afterwards every record of every section lies inside `bytes`.
bool check_layout(std::span<const std::byte> bytes, std::string& error) {
    const auto fail = [&](const std::string& why) {
        error = "snapshot: " + why;
        return false;
    };
    if (reinterpret_cast<uintptr_t>(bytes.data()) % 8 != 0) return fail("not aligned to 8 bytes");
    if (bytes.size() < sizeof(SnapshotHeader)) return fail("shorter than its header");
    if (bytes.size() > snapshot_bytes_max) return fail("longer than 16 MiB");
    const auto& header = *reinterpret_cast<const SnapshotHeader*>(bytes.data());
    if (header.magic != snapshot_magic) return fail("wrong magic");
    if (header.abi != abi_version)
        return fail("ABI version " + std::to_string(header.abi) + ", expected " + std::to_string(abi_version));
    if (header.total_bytes != bytes.size())
        return fail("says " + std::to_string(header.total_bytes) + " bytes but has " + std::to_string(bytes.size()));
    uint64_t end = sizeof(SnapshotHeader);
    for (size_t i = 0; i < section_count; ++i) {
        const SectionRule& rule = section_rules[i];
        const SectionRef& ref = header.sections[i];
        const std::string section = std::string("section ") + rule.name;
        if (ref.record_bytes != rule.record_bytes) return fail(section + ": wrong record size");
        if (!in_range(ref.count, rule.count_min, rule.count_max)) return fail(section + ": wrong number of records");
        if (ref.offset != round_up_8(end)) return fail(section + ": wrong offset");
        end = uint64_t{ref.offset} + uint64_t{ref.count} * ref.record_bytes;
        if (end > bytes.size()) return fail(section + ": ends behind the snapshot");
    }
    if (round_up_8(end) != bytes.size()) return fail("bytes behind the last section");
    if (header.content_hash != fnv1a_64(bytes.subspan(sizeof(SnapshotHeader)))) return fail("wrong content hash");
    return true;
}

/// Walks the records of a snapshot whose layout is proven. The first rule that is broken ends the walk.
class RecordChecker {
  public:
    RecordChecker(const SnapshotView& view, uint32_t string_bytes, std::string& error)
        : view_(view), string_bytes_(string_bytes), error_(error) {}

    bool check() {
        return check_dataplane() && check_interfaces() && check_local_addresses() && check_routes() &&
               check_http_routes() && check_listeners() && check_servers() && check_sources() && check_backends();
    }

  private:
    /// Names the record that all following rules are about.
    void at(const char* record, size_t index) {
        record_ = record;
        index_ = index;
    }
    bool rule(bool holds, const char* broken) {
        if (!holds) error_ = std::string(record_) + " " + std::to_string(index_) + ": " + broken;
        return holds;
    }
    bool in_bounds(StringRef ref) const { return uint64_t{ref.offset} + ref.length <= string_bytes_; }
    bool name(StringRef ref) { return rule(in_bounds(ref) && valid_name(view_.text(ref)), "bad name"); }

    /// Groups of `count` records from `first` must follow each other: `next` is where this one has to begin.
    bool group(uint32_t first, uint32_t count, size_t total, uint64_t& next, const char* broken) {
        if (count == 0) return true;
        const bool holds = first == next && uint64_t{first} + count <= total;
        next += count;
        return rule(holds, broken);
    }

    bool check_dataplane() {
        at("dataplane", 0);
        const DataplaneRecord& d = view_.dataplane();
        if (!rule(in_range(d.core_count, 1, worker_max), "number of cores out of range") ||
            !rule(in_range(d.worker_count, 1, d.core_count), "number of workers out of range"))
            return false;
        for (uint32_t i = 0; i < d.core_count; ++i) {
            if (!rule(d.cores[i] <= core_max, "core out of range")) return false;
            for (uint32_t j = 0; j < i; ++j)
                if (!rule(d.cores[i] != d.cores[j], "core named twice")) return false;
        }
        return rule(std::has_single_bit(d.shard_count), "number of shards is no power of two") &&
               rule(in_range(d.shard_count, d.core_count, shard_max), "number of shards out of range") &&
               rule(in_range(d.relays_max, 1, relays_max_max), "relays_max out of range") &&
               rule(in_range(d.chunk_bytes_max, chunk_bytes_min, chunk_bytes_max_max), "chunk memory out of range") &&
               rule(in_range(d.chunk_bytes_max / d.shard_count, shard_chunk_bytes_min, shard_chunk_bytes_max),
                    "chunk memory of a shard out of range") &&
               rule(in_range(d.half_open_max, 1, handshakes_max_max), "half_open_max out of range") &&
               rule(in_range(d.time_wait_max, 1, handshakes_max_max), "time_wait_max out of range") &&
               rule(d.idle_sleep_us <= idle_sleep_us_max, "idle sleep out of range") &&
               rule(in_range(d.send_queue_bytes, send_queue_bytes_min, send_queue_bytes_max),
                    "send queue out of range") &&
               rule(in_range(d.send_queue_max_bytes, send_queue_bytes_min, send_queue_bytes_max),
                    "send queue maximum out of range") &&
               rule(std::has_single_bit(d.neighbours_max) &&
                        in_range(d.neighbours_max, neighbours_max_low, neighbours_max_high),
                    "neighbours_max out of range") &&
               rule(in_range(d.drain_rate_min, drain_rate_min_low, drain_rate_min_high),
                    "drain_rate_min out of range") &&
               rule(d.huge_pages <= 1, "huge_pages is neither 0 nor 1") &&
               rule(d.crypto_threads <= crypto_threads_max, "crypto_threads out of range") &&
               rule(d.crypto_threads == 0 || in_range(d.tls_handshakes_max, 1, tls_handshakes_max_max),
                    "tls_handshakes_max out of range") &&
               rule(d.syn_cookies <= SynCookies::always, "unknown syn_cookies") && check_tcp(d.tcp);
    }

    bool check_tcp(const TcpRecord& r) {
        return rule(r.congestion_control <= CongestionControl::newreno, "unknown congestion_control") &&
               rule(r.idle_restart <= 1, "idle_restart is neither 0 nor 1") &&
               rule(r.ack_delay_ms <= ack_delay_ms_max, "ack_delay out of range") &&
               rule(in_range(r.path_mtu_min, path_mtu_min_low, path_mtu_min_high), "path_mtu_min out of range");
    }

    bool check_interfaces() {
        for (size_t i = 0; i < view_.interfaces().size(); ++i) {
            const InterfaceRecord& r = view_.interfaces()[i];
            at("interface", i);
            const auto descriptors = [](uint16_t n) {
                return std::has_single_bit(n) && in_range(n, descriptors_min, descriptors_max);
            };
            if (!name(r.name) || !rule(r.driver <= Driver::pci, "unknown driver") ||
                !rule(in_bounds(r.device) && valid_device(r.driver, view_.text(r.device)), "bad device") ||
                !rule(r.take_over <= 1, "take_over is neither 0 nor 1") ||
                !rule(r.memif_server <= 1, "memif_server is neither 0 nor 1") ||
                !rule(r.vlan <= vlan_max, "VLAN out of range") ||
                !rule(in_range(r.mtu, mtu_min, mtu_max), "MTU out of range") ||
                !rule(in_range(r.queues, 1, worker_max), "number of queues out of range") ||
                !rule(descriptors(r.rx_descriptors), "rx_descriptors is no power of two in range") ||
                !rule(descriptors(r.tx_descriptors), "tx_descriptors is no power of two in range"))
                return false;
            for (size_t j = 0; j < i; ++j)
                if (!rule(view_.text(r.name) != view_.text(view_.interfaces()[j].name), "name used twice"))
                    return false;
        }
        return true;
    }

    bool check_local_addresses() {
        addresses_.reserve(view_.local_addresses().size());
        for (size_t i = 0; i < view_.local_addresses().size(); ++i) {
            const LocalAddressRecord& r = view_.local_addresses()[i];
            at("local address", i);
            if (!rule(r.interface < view_.interfaces().size(), "no such interface") ||
                !rule(is_host_address(r.address), "not the address of a host") ||
                !rule(is_prefix(r.address, r.prefix_length), "prefix too long"))
                return false;
            addresses_.push_back(r.address);
        }
        std::sort(addresses_.begin(), addresses_.end());
        at("local address", 0);
        return rule(std::adjacent_find(addresses_.begin(), addresses_.end()) == addresses_.end(),
                    "some address stands twice");
    }

    bool check_routes() {
        for (size_t i = 0; i < view_.routes().size(); ++i) {
            const RouteRecord& r = view_.routes()[i];
            at("route", i);
            if (!rule(r.interface < view_.interfaces().size(), "no such interface") ||
                !rule(is_prefix(r.network, r.prefix_length), "prefix too long") ||
                !rule(is_network(r.network, r.prefix_length), "bits set behind the prefix") ||
                !rule(is_host_address(r.gateway), "the gateway is not the address of a host") ||
                !rule(r.gateway.is_v4() == r.network.is_v4(), "the gateway is of another family"))
                return false;
        }
        return true;
    }

    bool check_http_routes() {
        for (size_t i = 0; i < view_.http_routes().size(); ++i) {
            const HttpRouteRecord& r = view_.http_routes()[i];
            at("http route", i);
            if (!rule(r.backend < view_.backends().size(), "no such backend") ||
                !rule(in_bounds(r.host) && (r.host.length == 0 || valid_host_pattern(view_.text(r.host))),
                      "bad host") ||
                !rule(in_bounds(r.path_prefix) &&
                          (r.path_prefix.length == 0 || valid_path_prefix(view_.text(r.path_prefix))),
                      "bad path"))
                return false;
        }
        return true;
    }

    bool check_keepalive(const KeepaliveRecord& r) {
        return rule(r.idle_s == 0 || (in_range(r.idle_s, keepalive_s_min, keepalive_idle_s_max) &&
                                      in_range(r.interval_s, keepalive_s_min, keepalive_s_max) &&
                                      in_range(r.count, 1, keepalive_count_max)),
                    "keepalive out of range");
    }

    bool check_listener(const ListenerRecord& r) {
        const IpAddress& address = r.address;
        return name(r.name) &&
               rule(address.is_unspecified() || std::binary_search(addresses_.begin(), addresses_.end(), address),
                    "its address is no local address") &&
               rule(r.port != 0, "port 0") && rule(r.slot < listener_slot_max, "slot out of range") &&
               rule(r.mode <= ListenerMode::tcp, "unknown mode") &&
               rule(r.forwarded_for <= ForwardedPolicy::replace && r.forwarded_proto <= ForwardedPolicy::replace &&
                        r.forwarded_host <= ForwardedPolicy::replace,
                    "unknown policy of a forwarding header") &&
               rule(r.request_id <= RequestIdPolicy::always, "unknown policy of X-Request-ID") &&
               rule(r.tls <= 1, "tls is neither 0 nor 1") &&
               rule(r.tls == 0 || view_.dataplane().crypto_threads != 0, "TLS without a crypto thread") &&
               rule(r.tls == 0 || is_timeout(r.handshake_timeout_ms), "handshake timeout out of range") &&
               rule(in_bounds(r.client_subject_header) &&
                        (r.client_subject_header.length == 0 || valid_header_name(view_.text(r.client_subject_header))),
                    "bad header name") &&
               rule(in_range(r.headers_max, 1, headers_max_max), "headers_max out of range") &&
               rule(in_range(r.head_bytes_max, head_bytes_min, head_bytes_max_max), "head_bytes_max out of range") &&
               rule(is_timeout(r.head_timeout_ms), "head timeout out of range") &&
               rule(is_timeout(r.idle_timeout_ms), "idle timeout out of range") && check_keepalive(r.keepalive) &&
               rule(r.retry_after_s <= retry_after_s_max, "retry_after out of range");
    }

    bool check_listeners() {
        const auto listeners = view_.listeners();
        uint64_t next_route = 0;
        for (size_t i = 0; i < listeners.size(); ++i) {
            const ListenerRecord& r = listeners[i];
            at("listener", i);
            if (!check_listener(r) || !group(r.first_route, r.route_count, view_.http_routes().size(), next_route,
                                             "its routes are not where they belong"))
                return false;
            if (r.mode == ListenerMode::tcp) {
                if (!rule(r.route_count == 1, "tcp mode takes exactly one route")) return false;
                const HttpRouteRecord& route = view_.http_routes()[r.first_route];
                if (!rule(route.host.length == 0 && route.path_prefix.length == 0, "tcp mode matches no host or path"))
                    return false;
            }
            for (size_t j = 0; j < i; ++j) {
                const ListenerRecord& other = listeners[j];
                const bool overlap =
                    r.port == other.port &&
                    (r.address == other.address || r.address.is_unspecified() || other.address.is_unspecified());
                if (!rule(r.slot != other.slot, "slot used twice") || !rule(!overlap, "overlaps another listener") ||
                    !rule(view_.text(r.name) != view_.text(other.name), "name used twice"))
                    return false;
            }
        }
        return rule(next_route == view_.http_routes().size(), "routes behind the last listener's");
    }

    bool check_servers() {
        std::vector<bool> used(server_slot_max);
        for (size_t i = 0; i < view_.servers().size(); ++i) {
            const ServerRecord& r = view_.servers()[i];
            at("server", i);
            if (!name(r.name) || !rule(is_host_address(r.address), "not the address of a host") ||
                !rule(r.port != 0, "port 0") || !rule(r.slot < server_slot_max, "slot out of range") ||
                !rule(!used[r.slot], "slot used twice") ||
                !rule(r.weight <= server_weight_max, "weight out of range") ||
                !rule(r.backend < view_.backends().size(), "no such backend"))
                return false;
            used[r.slot] = true;
        }
        return true;
    }

    bool check_sources() {
        for (size_t i = 0; i < view_.sources().size(); ++i) {
            const SourceRecord& r = view_.sources()[i];
            at("source", i);
            if (!rule(r.local_address < view_.local_addresses().size(), "no such local address") ||
                !rule(r.port_low >= source_port_min && r.port_low <= r.port_high, "bad range of ports"))
                return false;
        }
        return true;
    }

    bool check_backend(const BackendRecord& r) {
        const bool maglev = r.algorithm == Algorithm::maglev;
        return name(r.name) && rule(r.slot < backend_slot_max, "slot out of range") &&
               rule(r.algorithm <= Algorithm::ip_hash, "unknown algorithm") &&
               rule(r.when_all_down <= WhenAllDown::try_all, "unknown when_all_down") &&
               rule(in_bounds(r.hash_header) &&
                        (r.hash_header.length == 0 || valid_header_name(view_.text(r.hash_header))),
                    "bad header name") &&
               rule(!maglev || (in_range(r.maglev_size, maglev_size_min, maglev_size_max) && is_prime(r.maglev_size)),
                    "maglev_size is no prime in range") &&
               rule(is_timeout(r.connect_timeout_ms), "connect timeout out of range") &&
               rule(is_timeout(r.upgrade_timeout_ms), "upgrade timeout out of range") &&
               rule(is_timeout(r.idle_timeout_ms), "idle timeout out of range") && check_keepalive(r.keepalive) &&
               rule(r.eject_after <= eject_after_max, "eject_after out of range") &&
               rule(r.eject_after == 0 || is_timeout(r.eject_ms), "time of ejection out of range") &&
               rule(r.retries <= retries_max, "retries out of range") && rule(r.tls <= 1, "tls is neither 0 nor 1") &&
               rule(r.tls == 0 || view_.dataplane().crypto_threads != 0, "TLS without a crypto thread") &&
               rule(r.tls == 0 || is_timeout(r.handshake_timeout_ms), "handshake timeout out of range");
    }

    bool check_backends() {
        const auto backends = view_.backends();
        uint64_t next_server = 0, next_source = 0;
        for (size_t i = 0; i < backends.size(); ++i) {
            const BackendRecord& r = backends[i];
            at("backend", i);
            if (!check_backend(r) || !rule(r.server_count != 0, "no server") ||
                !group(r.first_server, r.server_count, view_.servers().size(), next_server,
                       "its servers are not where they belong") ||
                !group(r.first_source, r.source_count, view_.sources().size(), next_source,
                       "its sources are not where they belong"))
                return false;
            for (const ServerRecord& server : view_.servers().subspan(r.first_server, r.server_count))
                if (!rule(server.backend == i, "one of its servers names another backend")) return false;
            for (size_t j = 0; j < i; ++j)
                if (!rule(r.slot != backends[j].slot, "slot used twice") ||
                    !rule(view_.text(r.name) != view_.text(backends[j].name), "name used twice"))
                    return false;
        }
        return rule(next_server == view_.servers().size(), "servers behind the last backend's") &&
               rule(next_source == view_.sources().size(), "sources behind the last backend's");
    }

    const SnapshotView& view_;
    uint32_t string_bytes_;
    std::string& error_;
    std::vector<IpAddress> addresses_;  ///< the local ones, sorted
    const char* record_ = "";
    size_t index_ = 0;
};

}  // namespace

bool SnapshotView::open(std::span<const std::byte> bytes, std::string& error) {
    if (!check_layout(bytes, error)) return false;
    SnapshotView view;
    view.bytes_ = bytes;
    view.header_ = reinterpret_cast<const SnapshotHeader*>(bytes.data());
    const SectionRef& strings = view.header_->sections[static_cast<size_t>(SnapshotSection::strings)];
    if (!RecordChecker(view, strings.count, error).check()) return false;
    *this = view;
    return true;
}

std::string_view SnapshotView::text(StringRef ref) const {
    const SectionRef& strings = header_->sections[static_cast<size_t>(SnapshotSection::strings)];
    return {reinterpret_cast<const char*>(bytes_.data()) + strings.offset + ref.offset, ref.length};
}

StringRef SnapshotBuilder::text(std::string_view value) {
    // Searching the bytes also finds a text inside another one, which is as good: texts are not terminated.
    size_t offset = strings_.find(value);
    if (offset == strings_.npos) {
        offset = strings_.size();
        strings_ += value;
    }
    return {static_cast<uint32_t>(offset), static_cast<uint32_t>(value.size())};
}

std::vector<std::byte> SnapshotBuilder::build(uint64_t generation) const {
    const std::span<const std::byte> contents[section_count] = {
        std::as_bytes(std::span(&dataplane, 1)),   std::as_bytes(std::span(interfaces)),
        std::as_bytes(std::span(local_addresses)), std::as_bytes(std::span(routes)),
        std::as_bytes(std::span(listeners)),       std::as_bytes(std::span(http_routes)),
        std::as_bytes(std::span(backends)),        std::as_bytes(std::span(servers)),
        std::as_bytes(std::span(sources)),         std::as_bytes(std::span(strings_)),
    };
    uint64_t total = sizeof(SnapshotHeader);
    for (const auto& content : contents) total = round_up_8(total + content.size());
    MILLRACE_ASSERT(total <= snapshot_bytes_max);

    std::vector<std::byte> bytes(total);
    SnapshotHeader header{};
    header.magic = snapshot_magic;
    header.abi = abi_version;
    header.total_bytes = static_cast<uint32_t>(total);
    header.generation = generation;
    uint64_t offset = sizeof(SnapshotHeader);
    for (size_t i = 0; i < section_count; ++i) {
        const auto& content = contents[i];
        const uint32_t record_bytes = section_rules[i].record_bytes;
        header.sections[i] = {static_cast<uint32_t>(offset), static_cast<uint32_t>(content.size() / record_bytes),
                              record_bytes, 0};
        std::copy(content.begin(), content.end(), bytes.begin() + static_cast<ptrdiff_t>(offset));
        offset = round_up_8(offset + content.size());
    }
    header.content_hash = fnv1a_64(std::span(bytes).subspan(sizeof header));
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
}

}  // namespace millrace
