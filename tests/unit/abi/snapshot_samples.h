// A snapshot that uses every section, and a walk over everything that a reader may follow: shared by the unit tests
// and the fuzzer of SnapshotView.
#pragma once

#include <cstdint>
#include <string_view>

#include <millrace/snapshot.h>

namespace millrace::test {

inline SnapshotBuilder sample_snapshot() {
    SnapshotBuilder b;
    b.dataplane.cores[0] = 2;
    b.dataplane.cores[1] = 3;
    b.dataplane.core_count = b.dataplane.worker_count = 2;
    b.dataplane.shard_count = 4;
    b.dataplane.relays_max = 1000;
    b.dataplane.chunk_bytes_max = 64u << 20;
    b.dataplane.half_open_max = 100;
    b.dataplane.time_wait_max = 100;
    b.dataplane.send_queue_bytes = 128u << 10;
    b.dataplane.tcp = {CongestionControl::cubic, 1, 40, 552, {}};
    b.dataplane.send_queue_max_bytes = 1u << 20;
    b.dataplane.drain_rate_min = 1024;
    b.dataplane.neighbours_max = 1024;
    b.interfaces.push_back({.name = b.text("front"),
                            .device = b.text("veth0"),
                            .driver = Driver::af_xdp,
                            .take_over = 0,
                            .memif_server = 0,
                            .reserved0 = 0,
                            .vlan = 7,
                            .mtu = 1500,
                            .queues = 2,
                            .rx_descriptors = 1024,
                            .tx_descriptors = 1024,
                            .reserved = {}});
    b.interfaces.push_back(b.interfaces[0]);
    b.interfaces[1].name = b.text("rear");
    b.interfaces[1].driver = Driver::pci;
    b.interfaces[1].device = b.text("0000:3b:00.1");
    b.local_addresses.push_back({IpAddress::v4(198, 18, 0, 1), 0, 24, {}});
    b.local_addresses.push_back({*parse_ip_address("2001:db8::1"), 0, 64, {}});
    b.local_addresses.push_back({IpAddress::v4(198, 18, 1, 1), 1, 24, {}});
    b.routes.push_back({IpAddress::v4(0, 0, 0, 0), IpAddress::v4(198, 18, 0, 254), 0, 0, {}});

    ListenerRecord listener{};
    listener.name = b.text("ticker");
    listener.address = IpAddress::v4(198, 18, 0, 1);
    listener.port = 80;
    listener.slot = 5;
    listener.headers_max = 100;
    listener.head_bytes_max = 16384;
    listener.head_timeout_ms = 10'000;
    listener.idle_timeout_ms = 3'600'000;
    listener.route_count = 2;
    b.listeners.push_back(listener);
    listener.name = b.text("raw");
    listener.address = {};
    listener.port = 81;
    listener.slot = 0;
    listener.mode = ListenerMode::tcp;
    listener.first_route = 2;
    listener.route_count = 1;
    b.listeners.push_back(listener);
    b.http_routes.push_back({b.text("*.example.com"), b.text("/stream"), 1, {}});
    b.http_routes.push_back({b.text(""), b.text(""), 0, {}});
    b.http_routes.push_back({b.text(""), b.text(""), 0, {}});

    BackendRecord backend{};
    backend.name = b.text("quotes");
    backend.maglev_size = 65537;
    backend.server_count = 2;
    backend.source_count = 1;
    backend.connect_timeout_ms = 5000;
    backend.upgrade_timeout_ms = 10'000;
    backend.idle_timeout_ms = 3'600'000;
    backend.eject_after = 3;
    backend.eject_ms = 10'000;
    backend.algorithm = Algorithm::maglev;
    backend.hash_header = b.text("x-user");
    b.backends.push_back(backend);
    backend.name = b.text("rest");
    backend.slot = 9;
    backend.algorithm = Algorithm::least_conn;
    backend.first_server = 2;
    backend.server_count = 1;
    backend.first_source = 1;
    backend.source_count = 0;
    b.backends.push_back(backend);
    b.servers.push_back({b.text("a"), IpAddress::v4(198, 18, 1, 10), 8080, 0, 1, 0});
    b.servers.push_back({b.text("b"), IpAddress::v4(198, 18, 1, 11), 8080, 1, 0, 0});
    b.servers.push_back({b.text("a"), *parse_ip_address("2001:db8::10"), 8080, 4095, 1000, 1});
    b.sources.push_back({2, 1024, 65535, 0});
    return b;
}

/// Reads everything that an opened snapshot leads to; under AddressSanitizer a wrong step ends the program.
inline uint64_t walk(const SnapshotView& view) {
    uint64_t sum = 0;
    const auto text = [&](StringRef ref) {
        for (char c : view.text(ref)) sum += static_cast<unsigned char>(c);
    };
    const DataplaneRecord& d = view.dataplane();
    for (uint32_t i = 0; i < d.core_count; ++i) sum += d.cores[i];
    for (const InterfaceRecord& r : view.interfaces()) text(r.name), text(r.device);
    for (const LocalAddressRecord& r : view.local_addresses()) text(view.interfaces()[r.interface].name);
    for (const RouteRecord& r : view.routes()) text(view.interfaces()[r.interface].name);
    for (const ListenerRecord& r : view.listeners()) {
        text(r.name);
        for (const HttpRouteRecord& route : view.http_routes().subspan(r.first_route, r.route_count)) {
            text(route.host), text(route.path_prefix);
            text(view.backends()[route.backend].name);
        }
    }
    for (const BackendRecord& r : view.backends()) {
        text(r.name), text(r.hash_header);
        for (const ServerRecord& server : view.servers().subspan(r.first_server, r.server_count)) {
            text(server.name);
            text(view.backends()[server.backend].name);
        }
        for (const SourceRecord& source : view.sources().subspan(r.first_source, r.source_count))
            sum += view.local_addresses()[source.local_address].address.bytes[15];
    }
    return sum;
}

}  // namespace millrace::test
