#include "load/addresses.h"

#include <charconv>

#include <millrace/limits.h>
#include <millrace/snapshot.h>

namespace millrace::load {
namespace {

void increment(IpAddress& address) {
    for (size_t i = address.bytes.size(); i-- > 0;)
        if (++address.bytes[i] != 0) return;
}

/// Adds one entry of the list; false when it is none.
bool add_range(std::string_view entry, std::vector<IpAddress>& addresses) {
    const size_t dash = entry.find('-');
    const auto first = parse_ip_address(entry.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_ip_address(entry.substr(dash + 1));
    if (!first || !last || *last < *first || first->is_v4() != last->is_v4()) return false;
    for (IpAddress address = *first; addresses.size() <= local_address_max; increment(address)) {
        addresses.push_back(address);
        if (address == *last) break;
    }
    return true;
}

InterfaceRecord interface_record(SnapshotBuilder& snapshot, const InterfaceSettings& settings, const char* name,
                                 uint16_t mtu) {
    InterfaceRecord record{};
    record.name = snapshot.text(name);
    record.device = snapshot.text(settings.device);
    record.driver = settings.driver;
    record.take_over = 1;
    record.memif_server = settings.memif_server ? 1 : 0;
    record.mtu = mtu;
    record.queues = 1;
    record.rx_descriptors = record.tx_descriptors = 2048;
    return record;
}

void add_pool(SnapshotBuilder& snapshot, const PoolSettings& pool, uint16_t interface) {
    for (const IpAddress& address : pool.addresses)
        snapshot.local_addresses.push_back({address, interface, pool.prefix_length, {}});
}

void add_route(SnapshotBuilder& snapshot, const IpAddress& network, uint8_t prefix_length, const IpAddress& gateway,
               uint16_t interface) {
    snapshot.routes.push_back({network, gateway, interface, prefix_length, {}});
}

}  // namespace

std::optional<std::vector<IpAddress>> parse_addresses(std::string_view text, std::string& error) {
    std::vector<IpAddress> addresses;
    for (size_t comma = 0; comma != std::string_view::npos; text.remove_prefix(comma + 1)) {
        comma = text.find(',');
        if (!add_range(text.substr(0, comma), addresses)) {
            error = "'" + std::string(text.substr(0, comma)) +
                    "' is no address and no range: write 198.18.4.1 or 198.18.4.1-198.18.4.200";
            return std::nullopt;
        }
        if (comma == std::string_view::npos) break;
    }
    if (addresses.size() > local_address_max) {
        error = "more than " + std::to_string(local_address_max) + " addresses";
        return std::nullopt;
    }
    return addresses;
}

std::optional<Target> parse_target(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    const std::string_view digits = text.substr(colon + 1);
    const auto address = parse_ip_address(host);
    uint16_t port = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (!address || failure != std::errc{} || end != digits.data() + digits.size() || port == 0) return std::nullopt;
    return Target{*address, port};
}

std::vector<std::byte> make_snapshot(const Settings& settings) {
    SnapshotBuilder snapshot;
    snapshot.dataplane.cores[0] = settings.core;
    snapshot.dataplane.core_count = snapshot.dataplane.worker_count = 1;
    snapshot.dataplane.shard_count = 1;
    // Of these only the cores and huge pages concern the generator; the rest is what the format asks for.
    snapshot.dataplane.relays_max = 1;
    snapshot.dataplane.chunk_bytes_max = chunk_bytes_min;
    snapshot.dataplane.drain_rate_min = drain_rate_min_low;
    snapshot.dataplane.neighbours_max = neighbours_max_low;
    snapshot.dataplane.half_open_max = snapshot.dataplane.time_wait_max = 1;
    snapshot.dataplane.send_queue_bytes = snapshot.dataplane.send_queue_max_bytes = send_queue_bytes_max;
    snapshot.dataplane.tcp.path_mtu_min = path_mtu_min_low;
    snapshot.dataplane.huge_pages = settings.huge_pages ? 1 : 0;
    const uint16_t server_interface = settings.server_interface_index();
    if (settings.client)
        snapshot.interfaces.push_back(interface_record(snapshot, settings.client_interface, "clients", settings.mtu));
    if (settings.server && (server_interface == 1 || !settings.client))
        snapshot.interfaces.push_back(interface_record(
            snapshot, settings.server_interface.value_or(settings.client_interface), "servers", settings.mtu));
    if (settings.client) {
        add_pool(snapshot, settings.clients, 0);
        for (const Target& target : settings.targets)
            if (settings.clients.gateway && settings.clients.gateway->is_v4() == target.address.is_v4())
                add_route(snapshot, target.address, target.address.is_v4() ? 32 : 128, *settings.clients.gateway, 0);
    }
    if (settings.server) {
        add_pool(snapshot, settings.servers, server_interface);
        if (settings.servers.gateway) {
            const IpAddress everybody = settings.servers.gateway->is_v4() ? IpAddress::v4(0, 0, 0, 0) : IpAddress{};
            add_route(snapshot, everybody, 0, *settings.servers.gateway, server_interface);
        }
    }
    return snapshot.build(1);
}

}  // namespace millrace::load
