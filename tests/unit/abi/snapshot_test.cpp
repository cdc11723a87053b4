// SnapshotBuilder and SnapshotView: what goes in comes out; whatever breaks a rule is refused and named.
#include <functional>
#include <gtest/gtest.h>
#include <random>

#include <millrace/snapshot.h>

#include "snapshot_samples.h"

namespace millrace {
namespace {

using test::sample_snapshot;
using test::walk;

std::string open_error(std::span<const std::byte> bytes) {
    SnapshotView view;
    std::string error;
    return view.open(bytes, error) ? "" : error;
}

SnapshotHeader& header_of(std::vector<std::byte>& bytes) {
    return *reinterpret_cast<SnapshotHeader*>(bytes.data());
}

uint64_t fnv1a(std::span<const std::byte> bytes) {
    uint64_t hash = 14695981039346656037u;
    for (std::byte b : bytes) {
        hash ^= static_cast<uint64_t>(b);
        hash *= 1099511628211u;
    }
    return hash;
}

void repair_hash(std::vector<std::byte>& bytes) {
    header_of(bytes).content_hash = fnv1a(std::span(bytes).subspan(sizeof(SnapshotHeader)));
}

TEST(Snapshot, RoundTrip) {
    const std::vector<std::byte> bytes = sample_snapshot().build(42);
    SnapshotView view;
    std::string error;
    ASSERT_TRUE(view.open(bytes, error)) << error;
    EXPECT_EQ(view.generation(), 42u);
    EXPECT_EQ(view.dataplane().core_count, 2);
    EXPECT_EQ(view.dataplane().chunk_bytes_max, 64u << 20);
    ASSERT_EQ(view.interfaces().size(), 2u);
    EXPECT_EQ(view.text(view.interfaces()[1].device), "0000:3b:00.1");
    ASSERT_EQ(view.local_addresses().size(), 3u);
    EXPECT_EQ(to_string(view.local_addresses()[1].address), "2001:db8::1");
    EXPECT_EQ(view.routes().size(), 1u);
    ASSERT_EQ(view.listeners().size(), 2u);
    EXPECT_EQ(view.text(view.listeners()[0].name), "ticker");
    EXPECT_EQ(view.listeners()[0].slot, 5);
    ASSERT_EQ(view.http_routes().size(), 3u);
    EXPECT_EQ(view.text(view.http_routes()[0].host), "*.example.com");
    EXPECT_EQ(view.text(view.http_routes()[0].path_prefix), "/stream");
    EXPECT_EQ(view.text(view.http_routes()[1].host), "");
    ASSERT_EQ(view.backends().size(), 2u);
    EXPECT_EQ(view.text(view.backends()[0].hash_header), "x-user");
    ASSERT_EQ(view.servers().size(), 3u);
    EXPECT_EQ(view.servers()[2].weight, 1000);
    EXPECT_EQ(to_string(view.servers()[2].address), "2001:db8::10");
    ASSERT_EQ(view.sources().size(), 1u);
    EXPECT_EQ(view.sources()[0].port_high, 65535);
    EXPECT_GT(walk(view), 0u);
}

TEST(Snapshot, EqualContentGivesEqualBytesButForTheGeneration) {
    std::vector<std::byte> first = sample_snapshot().build(1), second = sample_snapshot().build(2);
    EXPECT_EQ(header_of(first).content_hash, header_of(second).content_hash);
    header_of(second).generation = 1;
    EXPECT_EQ(first, second);
    SnapshotBuilder changed = sample_snapshot();
    changed.servers[0].weight = 2;
    std::vector<std::byte> third = changed.build(1);
    EXPECT_NE(header_of(third).content_hash, header_of(first).content_hash);
}

TEST(Snapshot, EqualTextsShareOnePlace) {
    SnapshotBuilder b;
    const StringRef first = b.text("quotes"), second = b.text("rest"), again = b.text("quotes");
    EXPECT_EQ(first.offset, again.offset);
    EXPECT_NE(first.offset, second.offset);
}

TEST(Snapshot, AFailedOpenLeavesTheViewAsItWas) {
    const std::vector<std::byte> good = sample_snapshot().build(1);
    std::vector<std::byte> bad = good;
    header_of(bad).magic ^= 1;
    SnapshotView view;
    std::string error;
    ASSERT_TRUE(view.open(good, error));
    EXPECT_FALSE(view.open(bad, error));
    EXPECT_EQ(view.servers().size(), 3u);
}

struct BadRecord {
    std::function<void(SnapshotBuilder&)> damage;
    std::string error;
};

TEST(Snapshot, RefusesRecordsThatBreakARule) {
    const StringRef outside{0xffffffff, 0xffffffff};
    const auto address = [](const char* text) { return *parse_ip_address(text); };
    using B = SnapshotBuilder;
    const BadRecord table[] = {
        {[](B& b) { b.dataplane.core_count = 0; }, "dataplane 0: number of cores out of range"},
        {[](B& b) { b.dataplane.core_count = 65; }, "dataplane 0: number of cores out of range"},
        {[](B& b) { b.dataplane.worker_count = 0; }, "dataplane 0: number of workers out of range"},
        {[](B& b) { b.dataplane.worker_count = 3; }, "dataplane 0: number of workers out of range"},
        {[](B& b) { b.dataplane.cores[1] = 2; }, "dataplane 0: core named twice"},
        {[](B& b) { b.dataplane.cores[1] = 1024; }, "dataplane 0: core out of range"},
        {[](B& b) { b.dataplane.shard_count = 3; }, "dataplane 0: number of shards is no power of two"},
        {[](B& b) { b.dataplane.shard_count = 0; }, "dataplane 0: number of shards is no power of two"},
        {[](B& b) { b.dataplane.shard_count = 1; }, "dataplane 0: number of shards out of range"},
        {[](B& b) { b.dataplane.shard_count = 256; }, "dataplane 0: number of shards out of range"},
        {[](B& b) { b.dataplane.relays_max = 0; }, "dataplane 0: relays_max out of range"},
        {[](B& b) { b.dataplane.relays_max = 0xffffffff; }, "dataplane 0: relays_max out of range"},
        {[](B& b) { b.dataplane.neighbours_max = 1000; }, "dataplane 0: neighbours_max out of range"},
        {[](B& b) { b.dataplane.neighbours_max = 32; }, "dataplane 0: neighbours_max out of range"},
        {[](B& b) { b.dataplane.drain_rate_min = 0; }, "dataplane 0: drain_rate_min out of range"},
        {[](B& b) { b.dataplane.chunk_bytes_max = ~uint64_t{0}; }, "dataplane 0: chunk memory out of range"},
        {[](B& b) { b.dataplane.chunk_bytes_max = b.dataplane.shard_count * (4u << 20) - 1; },
         "dataplane 0: chunk memory of a shard out of range"},
        {[](B& b) {
             b.dataplane.core_count = b.dataplane.worker_count = b.dataplane.shard_count = 1;
             b.dataplane.chunk_bytes_max = uint64_t{513} << 30;
         },
         "dataplane 0: chunk memory of a shard out of range"},
        {[](B& b) { b.dataplane.half_open_max = 0; }, "dataplane 0: half_open_max out of range"},
        {[](B& b) { b.dataplane.time_wait_max = 0; }, "dataplane 0: time_wait_max out of range"},
        {[](B& b) { b.dataplane.idle_sleep_us = 1001; }, "dataplane 0: idle sleep out of range"},
        {[](B& b) { b.dataplane.send_queue_bytes = 0; }, "dataplane 0: send queue out of range"},
        {[](B& b) { b.dataplane.send_queue_max_bytes = 0; }, "dataplane 0: send queue maximum out of range"},
        {[](B& b) { b.dataplane.huge_pages = 2; }, "dataplane 0: huge_pages is neither 0 nor 1"},
        {[](B& b) { b.dataplane.syn_cookies = SynCookies{3}; }, "dataplane 0: unknown syn_cookies"},
        {[](B& b) { b.dataplane.tcp.congestion_control = CongestionControl{2}; },
         "dataplane 0: unknown congestion_control"},
        {[](B& b) { b.dataplane.tcp.idle_restart = 2; }, "dataplane 0: idle_restart is neither 0 nor 1"},
        {[](B& b) { b.dataplane.tcp.ack_delay_ms = 501; }, "dataplane 0: ack_delay out of range"},
        {[](B& b) { b.dataplane.tcp.path_mtu_min = 295; }, "dataplane 0: path_mtu_min out of range"},
        {[](B& b) { b.dataplane.tcp.path_mtu_min = 1281; }, "dataplane 0: path_mtu_min out of range"},

        {[&](B& b) { b.interfaces[0].name = outside; }, "interface 0: bad name"},
        {[](B& b) { b.interfaces[0].name = b.text(""); }, "interface 0: bad name"},
        {[](B& b) {
             b.interfaces[0].name = {1, 0xffffffff};
         },
         "interface 0: bad name"},
        {[](B& b) { b.interfaces[1].name = b.interfaces[0].name; }, "interface 1: name used twice"},
        {[](B& b) { b.interfaces[0].driver = Driver{4}; }, "interface 0: unknown driver"},
        {[&](B& b) { b.interfaces[0].device = outside; }, "interface 0: bad device"},
        {[](B& b) { b.interfaces[0].device = b.text("eth0,start_queue=3"); }, "interface 0: bad device"},
        {[](B& b) { b.interfaces[1].device = b.text("0000:3b:00.9"); }, "interface 1: bad device"},
        {[](B& b) { b.interfaces[1].take_over = 2; }, "interface 1: take_over is neither 0 nor 1"},
        {[](B& b) { b.interfaces[1].memif_server = 2; }, "interface 1: memif_server is neither 0 nor 1"},
        {[](B& b) { b.interfaces[1].vlan = 4095; }, "interface 1: VLAN out of range"},
        {[](B& b) { b.interfaces[1].mtu = 575; }, "interface 1: MTU out of range"},
        {[](B& b) { b.interfaces[1].queues = 0; }, "interface 1: number of queues out of range"},
        {[](B& b) { b.interfaces[1].rx_descriptors = 1000; },
         "interface 1: rx_descriptors is no power of two in range"},
        {[](B& b) { b.interfaces[1].tx_descriptors = 0; }, "interface 1: tx_descriptors is no power of two in range"},

        {[](B& b) { b.local_addresses[2].interface = 2; }, "local address 2: no such interface"},
        {[](B& b) { b.local_addresses[2].prefix_length = 33; }, "local address 2: prefix too long"},
        {[](B& b) { b.local_addresses[1].prefix_length = 129; }, "local address 1: prefix too long"},
        {[](B& b) { b.local_addresses[2].address = {}; }, "local address 2: not the address of a host"},
        {[&](B& b) { b.local_addresses[2].address = address("224.0.0.1"); },
         "local address 2: not the address of a host"},
        {[&](B& b) { b.local_addresses[1].address = address("ff02::1"); },
         "local address 1: not the address of a host"},
        {[](B& b) { b.local_addresses[2] = b.local_addresses[0]; }, "local address 0: some address stands twice"},

        {[](B& b) { b.routes[0].interface = 0xffff; }, "route 0: no such interface"},
        {[](B& b) { b.routes[0].prefix_length = 33; }, "route 0: prefix too long"},
        {[&](B& b) { b.routes[0].network = address("198.18.0.1"); }, "route 0: bits set behind the prefix"},
        {[](B& b) { b.routes[0].gateway = {}; }, "route 0: the gateway is not the address of a host"},
        {[&](B& b) { b.routes[0].gateway = address("2001:db8::9"); }, "route 0: the gateway is of another family"},

        {[](B& b) { b.http_routes[0].backend = 2; }, "http route 0: no such backend"},
        {[&](B& b) { b.http_routes[0].host = outside; }, "http route 0: bad host"},
        {[](B& b) { b.http_routes[0].host = b.text("Example.com"); }, "http route 0: bad host"},
        {[](B& b) { b.http_routes[0].path_prefix = b.text("stream"); }, "http route 0: bad path"},
        {[&](B& b) { b.http_routes[0].path_prefix = outside; }, "http route 0: bad path"},

        {[&](B& b) { b.listeners[0].name = outside; }, "listener 0: bad name"},
        {[](B& b) { b.listeners[1].name = b.listeners[0].name; }, "listener 1: name used twice"},
        {[&](B& b) { b.listeners[0].address = address("198.18.0.2"); }, "listener 0: its address is no local address"},
        {[](B& b) { b.listeners[0].port = 0; }, "listener 0: port 0"},
        {[](B& b) { b.listeners[1].port = 80; }, "listener 1: overlaps another listener"},
        {[](B& b) { b.listeners[0].slot = 256; }, "listener 0: slot out of range"},
        {[](B& b) { b.listeners[1].slot = 5; }, "listener 1: slot used twice"},
        {[](B& b) { b.listeners[0].mode = ListenerMode{2}; }, "listener 0: unknown mode"},
        {[](B& b) { b.listeners[0].forwarded_host = ForwardedPolicy{3}; },
         "listener 0: unknown policy of a forwarding header"},
        {[](B& b) { b.listeners[0].request_id = RequestIdPolicy{3}; }, "listener 0: unknown policy of X-Request-ID"},
        {[](B& b) { b.listeners[0].headers_max = 101; }, "listener 0: headers_max out of range"},
        {[](B& b) { b.listeners[0].head_bytes_max = 16385; }, "listener 0: head_bytes_max out of range"},
        {[](B& b) { b.listeners[0].head_timeout_ms = 0; }, "listener 0: head timeout out of range"},
        {[](B& b) {
             b.listeners[0].keepalive = {9, 10, 1, {}};
         },
         "listener 0: keepalive out of range"},
        {[](B& b) {
             b.listeners[0].keepalive = {3600, 3601, 1, {}};
         },
         "listener 0: keepalive out of range"},
        {[](B& b) {
             b.backends[0].keepalive = {60, 15, 0, {}};
         },
         "backend 0: keepalive out of range"},
        {[](B& b) { b.listeners[0].idle_timeout_ms = 0xffffffff; }, "listener 0: idle timeout out of range"},
        {[](B& b) { b.listeners[0].retry_after_s = 90'000; }, "listener 0: retry_after out of range"},
        {[](B& b) { b.listeners[0].first_route = 1; }, "listener 0: its routes are not where they belong"},
        {[](B& b) { b.listeners[1].first_route = 0xffffffff; }, "listener 1: its routes are not where they belong"},
        {[](B& b) { b.listeners[0].route_count = 0xffffffff; }, "listener 0: its routes are not where they belong"},
        {[](B& b) { b.http_routes.push_back(b.http_routes[0]); }, "listener 1: routes behind the last listener's"},
        {[](B& b) { b.listeners[1].route_count = 0; }, "listener 1: tcp mode takes exactly one route"},
        {[](B& b) { b.http_routes[2].path_prefix = b.text("/"); }, "listener 1: tcp mode matches no host or path"},

        {[](B& b) { b.servers[0].name = b.text("a b"); }, "server 0: bad name"},
        {[](B& b) { b.servers[0].address = {}; }, "server 0: not the address of a host"},
        {[](B& b) { b.servers[0].port = 0; }, "server 0: port 0"},
        {[](B& b) { b.servers[0].slot = 4096; }, "server 0: slot out of range"},
        {[](B& b) { b.servers[2].slot = 0; }, "server 2: slot used twice"},
        {[](B& b) { b.servers[0].weight = 1001; }, "server 0: weight out of range"},
        {[](B& b) { b.servers[0].backend = 2; }, "server 0: no such backend"},

        {[](B& b) { b.sources[0].local_address = 3; }, "source 0: no such local address"},
        {[](B& b) { b.sources[0].port_low = 1023; }, "source 0: bad range of ports"},
        {[](B& b) { b.sources[0].port_high = 1023; }, "source 0: bad range of ports"},

        {[&](B& b) { b.backends[0].name = outside; }, "backend 0: bad name"},
        {[](B& b) { b.backends[1].name = b.backends[0].name; }, "backend 1: name used twice"},
        {[](B& b) { b.backends[0].slot = 256; }, "backend 0: slot out of range"},
        {[](B& b) { b.backends[1].slot = 0; }, "backend 1: slot used twice"},
        {[](B& b) { b.backends[0].algorithm = Algorithm{4}; }, "backend 0: unknown algorithm"},
        {[](B& b) { b.backends[0].when_all_down = WhenAllDown{2}; }, "backend 0: unknown when_all_down"},
        {[&](B& b) { b.backends[1].hash_header = outside; }, "backend 1: bad header name"},
        {[](B& b) { b.backends[0].hash_header = b.text("x:y"); }, "backend 0: bad header name"},
        {[](B& b) { b.backends[0].maglev_size = 65536; }, "backend 0: maglev_size is no prime in range"},
        {[](B& b) { b.backends[0].maglev_size = 241; }, "backend 0: maglev_size is no prime in range"},
        {[](B& b) { b.backends[0].connect_timeout_ms = 0; }, "backend 0: connect timeout out of range"},
        {[](B& b) { b.backends[0].upgrade_timeout_ms = 0; }, "backend 0: upgrade timeout out of range"},
        {[](B& b) { b.backends[0].idle_timeout_ms = 0; }, "backend 0: idle timeout out of range"},
        {[](B& b) { b.backends[0].eject_after = 1001; }, "backend 0: eject_after out of range"},
        {[](B& b) { b.backends[0].eject_ms = 0; }, "backend 0: time of ejection out of range"},
        {[](B& b) { b.backends[0].retries = 11; }, "backend 0: retries out of range"},
        {[](B& b) { b.backends[0].tls = 2; }, "backend 0: tls is neither 0 nor 1"},
        {[](B& b) { b.backends[1].tls = 1; }, "backend 1: TLS without a crypto thread"},
        {[](B& b) {
             b.backends[0].tls = 1;
             b.dataplane.crypto_threads = 1;
             b.dataplane.tls_handshakes_max = 1;
         },
         "backend 0: handshake timeout out of range"},
        {[](B& b) { b.backends[0].server_count = 0; }, "backend 0: no server"},
        {[](B& b) { b.backends[0].first_server = 1; }, "backend 0: its servers are not where they belong"},
        {[](B& b) { b.backends[1].server_count = 0xffffffff; }, "backend 1: its servers are not where they belong"},
        {[](B& b) { b.backends[1].first_server = 0xffffffff; }, "backend 1: its servers are not where they belong"},
        {[](B& b) { b.servers[1].backend = 1; }, "backend 0: one of its servers names another backend"},
        {[](B& b) { b.backends[0].source_count = 2; }, "backend 0: its sources are not where they belong"},
        {[](B& b) { b.backends[0].source_count = 0; }, "backend 1: sources behind the last backend's"},
        {[](B& b) { b.servers.push_back(b.servers[2]), b.servers[3].slot = 7; },
         "backend 1: servers behind the last backend's"},
    };
    for (const BadRecord& row : table) {
        SnapshotBuilder builder = sample_snapshot();
        row.damage(builder);
        EXPECT_EQ(open_error(builder.build(1)), row.error);
    }
}

TEST(Snapshot, RefusesABadLayout) {
    const std::vector<std::byte> good = sample_snapshot().build(1);
    const auto damaged = [&](auto damage) {
        std::vector<std::byte> bytes = good;
        damage(header_of(bytes));
        repair_hash(bytes);
        return open_error(bytes);
    };
    using H = SnapshotHeader;
    EXPECT_EQ(damaged([](H& h) { h.magic = 0; }), "snapshot: wrong magic");
    EXPECT_EQ(damaged([](H& h) { h.abi = 9; }), "snapshot: ABI version 9, expected " + std::to_string(abi_version));
    EXPECT_EQ(damaged([&](H& h) { h.total_bytes += 8; }),
              "snapshot: says " + std::to_string(good.size() + 8) + " bytes but has " + std::to_string(good.size()));
    EXPECT_EQ(damaged([](H& h) { h.sections[0].count = 2; }), "snapshot: section dataplane: wrong number of records");
    EXPECT_EQ(damaged([](H& h) { h.sections[1].record_bytes = 40; }),
              "snapshot: section interfaces: wrong record size");
    EXPECT_EQ(damaged([](H& h) { h.sections[2].offset += 8; }), "snapshot: section local addresses: wrong offset");
    EXPECT_EQ(damaged([](H& h) { h.sections[2].offset = 0; }), "snapshot: section local addresses: wrong offset");
    EXPECT_EQ(damaged([](H& h) { h.sections[7].count = 4097; }), "snapshot: section servers: wrong number of records");
    EXPECT_EQ(damaged([](H& h) { h.sections[9].count = 4000; }), "snapshot: section strings: ends behind the snapshot");
    EXPECT_EQ(damaged([](H& h) { h.sections[9].count = 0; }), "snapshot: bytes behind the last section");

    std::vector<std::byte> changed = good;
    changed[sizeof(SnapshotHeader)] ^= std::byte{1};
    EXPECT_EQ(open_error(changed), "snapshot: wrong content hash");
    EXPECT_EQ(open_error({}), "snapshot: shorter than its header");
    EXPECT_EQ(open_error(std::vector<std::byte>(snapshot_bytes_max + 8)), "snapshot: longer than 16 MiB");
    std::vector<std::byte> shifted(good.size() + 8);
    EXPECT_EQ(open_error(std::span(shifted).subspan(1, good.size())), "snapshot: not aligned to 8 bytes");
    for (size_t size = 0; size < good.size(); ++size) EXPECT_NE(open_error(std::span(good).first(size)), "");
}

TEST(Snapshot, AnyChangedByteIsRefusedOrSafeToWalk) {
    const std::vector<std::byte> good = sample_snapshot().build(1);
    std::mt19937 random(1);
    int opened = 0;
    for (size_t i = 0; i < good.size(); ++i) {
        for (int round = 0; round < 8; ++round) {
            std::vector<std::byte> bytes = good;
            bytes[i] ^= static_cast<std::byte>(1 + random() % 255);
            if (i >= sizeof(SnapshotHeader)) repair_hash(bytes);
            SnapshotView view;
            std::string error;
            if (view.open(bytes, error)) {
                walk(view);
                ++opened;
            } else {
                EXPECT_NE(error, "");
            }
        }
    }
    EXPECT_GT(opened, 100);
}

TEST(ConfigRules, Names) {
    for (const char* good : {"a", "9", "quotes-1.eu_west", "A"}) EXPECT_TRUE(valid_name(good)) << good;
    for (const char* bad : {"", ".a", "-a", "a b", "a/b", "a,b", "ä"}) EXPECT_FALSE(valid_name(bad)) << bad;
    EXPECT_TRUE(valid_name(std::string(63, 'a')));
    EXPECT_FALSE(valid_name(std::string(64, 'a')));
}

TEST(ConfigRules, Devices) {
    EXPECT_TRUE(valid_device(Driver::af_xdp, "eth0"));
    EXPECT_FALSE(valid_device(Driver::af_xdp, "eth0,x=1"));
    EXPECT_FALSE(valid_device(Driver::af_packet, "sixteencharacter"));
    EXPECT_FALSE(valid_device(Driver::af_packet, ".."));
    EXPECT_TRUE(valid_device(Driver::memif, "/run/memif/a.sock"));
    EXPECT_FALSE(valid_device(Driver::memif, "run/a.sock"));
    EXPECT_FALSE(valid_device(Driver::memif, "/run/a,b"));
    EXPECT_FALSE(valid_device(Driver::memif, "/" + std::string(107, 'a')));
    EXPECT_TRUE(valid_device(Driver::pci, "0000:3B:00.7"));
    EXPECT_FALSE(valid_device(Driver::pci, "0000:3b:00.8"));
    EXPECT_FALSE(valid_device(Driver::pci, "3b:00.0"));
    EXPECT_FALSE(valid_device(Driver::pci, "0000:3g:00.0"));
}

TEST(ConfigRules, HostsPathsHeaders) {
    for (const char* good : {"example.com", "*.example.com", "a", "198.18.0.1", "[2001:db8::1]"})
        EXPECT_TRUE(valid_host_pattern(good)) << good;
    for (const char* bad : {"", "*", "*.", "Example.com", "a..b", ".a", "a.", "a:80", "[]", "[x]", "a*.b", "*.*.b"})
        EXPECT_FALSE(valid_host_pattern(bad)) << bad;
    EXPECT_TRUE(valid_path_prefix("/a/b%20c"));
    for (const char* bad : {"", "a", "/a b", "/a?b", "/a#b", "/\x7f", "/\xc3\xa4"})
        EXPECT_FALSE(valid_path_prefix(bad)) << bad;
    EXPECT_TRUE(valid_header_name("X-User_Id~1"));
    for (const char* bad : {"", "a b", "a:", "a\r", "(a)"}) EXPECT_FALSE(valid_header_name(bad)) << bad;
    EXPECT_FALSE(valid_header_name(std::string(65, 'a')));
}

TEST(ConfigRules, Primes) {
    for (uint32_t good : {2u, 3u, 5u, 251u, 65537u, 655373u, 4294967291u}) EXPECT_TRUE(is_prime(good)) << good;
    for (uint32_t bad : {0u, 1u, 4u, 9u, 65536u, 63001u, 4294967295u}) EXPECT_FALSE(is_prime(bad)) << bad;
}

}  // namespace
}  // namespace millrace
