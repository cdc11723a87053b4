// Compiling a snapshot: what is looked up and built, what a reload hands on, and which changes it refuses.
#include "dataplane/config/runtime_config.h"

#include <algorithm>
#include <functional>
#include <gtest/gtest.h>
#include <set>

#include "config/compiled.h"

namespace millrace::config {
namespace {

using millrace::test::sample_snapshot;
using test::compiled;
using test::ip;
using test::refusal;

TEST(RuntimeConfig, ResolvesNamesAndGroups) {
    const auto config = compiled(sample_snapshot());
    ASSERT_EQ(config->listeners().size(), 2u);
    const Listener& ticker = config->listeners()[0];
    EXPECT_EQ(ticker.name, "ticker");
    ASSERT_EQ(ticker.routes.size(), 2u);
    EXPECT_EQ(ticker.routes[0].host, "*.example.com");
    EXPECT_EQ(ticker.routes[0].path_prefix, "/stream");
    EXPECT_EQ(ticker.routes[0].backend, 1);
    EXPECT_EQ(config->listeners()[1].routes.size(), 1u);

    ASSERT_EQ(config->backends().size(), 2u);
    const Backend& quotes = config->backends()[0];
    EXPECT_EQ(quotes.name, "quotes");
    EXPECT_EQ(quotes.hash_header, "x-user");
    EXPECT_EQ(quotes.servers.size(), 2u);
    EXPECT_EQ(quotes.sources.size(), 1u);
    EXPECT_EQ(config->backends()[1].servers[0].slot, 4095);
    EXPECT_TRUE(config->backends()[1].sources.empty());
}

TEST(RuntimeConfig, RefusesWhatIsNoSnapshot) {
    std::string error;
    EXPECT_EQ(RuntimeConfig::compile({}, nullptr, error), nullptr);
    EXPECT_EQ(error, "snapshot: shorter than its header");
    std::vector<std::byte> bytes = sample_snapshot().build(1);
    bytes.back() ^= std::byte{1};
    EXPECT_EQ(RuntimeConfig::compile(bytes, nullptr, error), nullptr);
    EXPECT_NE(error, "");
}

TEST(RuntimeConfig, FindsTheListenerOfAnAddressAndPort) {
    const auto config = compiled(sample_snapshot());
    EXPECT_EQ(config->find_listener(ip("198.18.0.1"), 80)->name, "ticker");
    EXPECT_EQ(config->find_listener(ip("198.18.1.1"), 80), nullptr) << "bound to another address";
    EXPECT_EQ(config->find_listener(ip("198.18.0.1"), 81)->name, "raw") << "bound to all of them";
    EXPECT_EQ(config->find_listener(ip("2001:db8::1"), 81)->name, "raw") << "of any family";
    EXPECT_EQ(config->find_listener(ip("198.18.0.1"), 82), nullptr);
}

// What makes "the" listener unambiguous.
TEST(RuntimeConfig, RefusesListenersThatOverlap) {
    SnapshotBuilder b = sample_snapshot();
    b.listeners[1].port = 80;
    EXPECT_EQ(refusal(b, nullptr), "listener 1: overlaps another listener");
}

TEST(RuntimeConfig, FindsListenersBySlot) {
    const auto config = compiled(sample_snapshot());
    EXPECT_EQ(config->listener_of_slot(5)->name, "ticker");
    EXPECT_EQ(config->listener_of_slot(0)->name, "raw");
    EXPECT_EQ(config->listener_of_slot(1), nullptr);
}

TEST(RuntimeConfig, KeepsTheSlotsOfWhatIsGone) {
    SnapshotBuilder b = sample_snapshot();
    b.listeners[0].idle_timeout_ms = 1111;
    b.backends[1].idle_timeout_ms = 2222;
    const auto before = compiled(b);
    EXPECT_EQ(before->backend_of_server(4095)->name, "rest");

    SnapshotBuilder less = sample_snapshot();
    less.listeners.erase(less.listeners.begin());
    less.listeners[0].first_route = 0;
    less.http_routes = {{less.text(""), less.text(""), 0, {}}};
    less.backends.pop_back();
    less.servers.pop_back();
    const auto after = compiled(less, before.get());

    EXPECT_EQ(after->listener_of_slot(5), nullptr);
    EXPECT_EQ(after->listener_by_slot(5).idle_timeout_ms, 1111u) << "its relays go on";
    const ServerBySlot& gone = after->server_by_slot(4095);
    EXPECT_FALSE(gone.present);
    EXPECT_EQ(gone.idle_timeout_ms, 2222u);
    EXPECT_EQ(gone.address, ip("2001:db8::10"));
    EXPECT_EQ(gone.port, 8080);
    EXPECT_EQ(gone.backend_slot, 9);
    EXPECT_EQ(after->backend_of_server(4095), nullptr);
    EXPECT_TRUE(after->server_by_slot(0).present);

    const auto again = compiled(b, after.get());
    EXPECT_TRUE(again->server_by_slot(4095).present);
}

TEST(RuntimeConfig, TellsABackendFromOthersInItsSlot) {
    const auto compile = [](const SnapshotBuilder& b, uint64_t generation, const RuntimeConfig* previous) {
        std::string error;
        return RuntimeConfig::compile(b.build(generation), previous, error);
    };
    SnapshotBuilder b = sample_snapshot();
    const auto first = compile(b, 5, nullptr);
    const uint16_t slot = first->backends()[0].record->slot;
    EXPECT_EQ(first->backends()[0].since, 5u);
    const auto same = compile(b, 6, first.get());
    EXPECT_EQ(same->backend_of_slot(slot, 5), &same->backends()[0]);
    b.backends[0].name = b.text("another");
    const auto other = compile(b, 7, same.get());
    EXPECT_EQ(other->backend_of_slot(slot, 5), nullptr);
    EXPECT_EQ(other->backend_of_slot(slot, 7), &other->backends()[0]);
    EXPECT_EQ(other->backends()[1].since, 5u) << "it went on";
}

TEST(RuntimeConfig, GivesNewValuesToSlotsThatStay) {
    const auto before = compiled(sample_snapshot());
    SnapshotBuilder b = sample_snapshot();
    b.listeners[0].idle_timeout_ms = 7;
    b.backends[0].idle_timeout_ms = 8;
    b.servers[0].address = ip("198.18.1.99");
    const auto after = compiled(b, before.get());
    EXPECT_EQ(after->listener_by_slot(5).idle_timeout_ms, 7u);
    EXPECT_EQ(after->server_by_slot(0).idle_timeout_ms, 8u);
    EXPECT_EQ(after->server_by_slot(0).address, ip("198.18.1.99"));
}

TEST(RuntimeConfig, TakesAnotherNumberOfWorkers) {
    const auto before = compiled(sample_snapshot());
    SnapshotBuilder b = sample_snapshot();
    b.dataplane.worker_count = 1;
    EXPECT_EQ(compiled(b, before.get())->snapshot().dataplane().worker_count, 1);
}

TEST(RuntimeConfig, RefusesWhatOnlyARestartCanChange) {
    const auto before = compiled(sample_snapshot());
    const auto with = [](const std::function<void(SnapshotBuilder&)>& change) {
        SnapshotBuilder b = sample_snapshot();
        change(b);
        return b;
    };
    const std::string remedy = "; that takes effect when millrace-dataplane is restarted";
    const auto setting = [&](const char* key) { return '"' + std::string(key) + "\" of [dataplane] changed" + remedy; };
    EXPECT_EQ(refusal(with([](auto& b) { b.dataplane.relays_max = 2000; }), before.get()), setting("relays_max"));
    EXPECT_EQ(refusal(with([](auto& b) { b.dataplane.cores[1] = 1; }), before.get()), setting("cores"));
    EXPECT_EQ(refusal(with([](auto& b) { b.dataplane.shard_count = 8; }), before.get()), setting("shards"));
    EXPECT_EQ(refusal(with([](auto& b) { ++b.dataplane.half_open_max; }), before.get()), setting("half_open_max"));
    EXPECT_EQ(refusal(with([](auto& b) { ++b.dataplane.time_wait_max; }), before.get()), setting("time_wait_max"));
    EXPECT_EQ(refusal(with([](auto& b) { ++b.dataplane.idle_sleep_us; }), before.get()), setting("idle_sleep"));
    EXPECT_EQ(refusal(with([](auto& b) { ++b.dataplane.send_queue_bytes; }), before.get()), setting("send_queue"));
    EXPECT_EQ(refusal(with([](auto& b) { ++b.dataplane.send_queue_max_bytes; }), before.get()),
              setting("send_queue_max"));
    EXPECT_EQ(refusal(with([](auto& b) { b.dataplane.chunk_bytes_max *= 2; }), before.get()), setting("chunk_memory"));
    EXPECT_EQ(refusal(with([](auto& b) { b.dataplane.drain_rate_min *= 2; }), before.get()), setting("drain_rate_min"));
    EXPECT_EQ(refusal(with([](auto& b) { b.dataplane.neighbours_max *= 2; }), before.get()), setting("neighbours_max"));
    EXPECT_EQ(refusal(with([](auto& b) { b.dataplane.huge_pages ^= 1; }), before.get()), setting("huge_pages"));
    EXPECT_EQ(refusal(with([](auto& b) { b.dataplane.syn_cookies = SynCookies::always; }), before.get()),
              setting("syn_cookies"));
    EXPECT_EQ(
        refusal(with([](auto& b) { b.dataplane.tcp.congestion_control = CongestionControl::newreno; }), before.get()),
        setting("tcp.congestion_control"));
    EXPECT_EQ(refusal(with([](auto& b) { b.dataplane.tcp.idle_restart ^= 1; }), before.get()),
              setting("tcp.idle_restart"));
    EXPECT_EQ(refusal(with([](auto& b) { ++b.dataplane.tcp.ack_delay_ms; }), before.get()), setting("tcp.ack_delay"));
    EXPECT_EQ(refusal(with([](auto& b) { ++b.dataplane.tcp.path_mtu_min; }), before.get()),
              setting("tcp.path_mtu_min"));

    const auto device = [&](const char* name) {
        return "the device of interface \"" + std::string(name) + "\" changed" + remedy;
    };
    EXPECT_EQ(refusal(with([](auto& b) { b.interfaces[0].device = b.text("veth1"); }), before.get()), device("front"));
    EXPECT_EQ(refusal(with([](auto& b) { b.interfaces[0].driver = Driver::af_packet; }), before.get()),
              device("front"));
    EXPECT_EQ(refusal(with([](auto& b) { b.interfaces[1].vlan = 8; }), before.get()), device("rear"));
    EXPECT_EQ(refusal(with([](auto& b) { b.interfaces[1].mtu = 1400; }), before.get()), device("rear"));
    EXPECT_EQ(refusal(with([](auto& b) { b.interfaces[1].queues = 4; }), before.get()), device("rear"));
    EXPECT_EQ(refusal(with([](auto& b) { b.interfaces[1].rx_descriptors = 512; }), before.get()), device("rear"));
    EXPECT_EQ(refusal(with([](auto& b) { b.interfaces[1].tx_descriptors = 512; }), before.get()), device("rear"));
    EXPECT_EQ(refusal(with([](auto& b) { b.interfaces[1].memif_server = 1; }), before.get()), device("rear"));
    EXPECT_EQ(refusal(with([](auto& b) { std::swap(b.interfaces[0], b.interfaces[1]); }), before.get()),
              device("rear"));
    EXPECT_EQ(refusal(with([](auto& b) {
                          b.interfaces.push_back(b.interfaces[0]);
                          b.interfaces[2].name = b.text("third");
                      }),
                      before.get()),
              "the number of interfaces changed" + remedy);

    EXPECT_NE(compiled(with([](auto& b) { b.interfaces[0].name = b.text("outside"); }), before.get()), nullptr)
        << "a name is only a name";
}

TEST(RuntimeConfig, KeepsTheIdsOfLocalAddresses) {
    const auto before = compiled(sample_snapshot());
    const uint16_t v6 = before->local_id(ip("2001:db8::1"));
    const uint16_t rear = before->local_id(ip("198.18.1.1"));
    EXPECT_EQ(before->local_id(ip("198.18.0.2")), no_slot);

    SnapshotBuilder b = sample_snapshot();
    b.local_addresses[0].address = ip("198.18.0.5");  // in the place of 198.18.0.1
    b.listeners[0].address = ip("198.18.0.5");
    std::swap(b.local_addresses[0], b.local_addresses[2]);
    b.sources[0].local_address = 0;
    const auto after = compiled(b, before.get());
    EXPECT_EQ(after->local_id(ip("2001:db8::1")), v6);
    EXPECT_EQ(after->local_id(ip("198.18.1.1")), rear);
    EXPECT_EQ(after->local_id_of_record(0), rear);
    EXPECT_EQ(after->local_id(ip("198.18.0.1")), no_slot) << "given up";
    const uint16_t old_id = before->local_id(ip("198.18.0.1"));
    EXPECT_EQ(after->local_addresses()[old_id].address, ip("198.18.0.1")) << "but its relays still name it";
    EXPECT_FALSE(after->local_addresses()[old_id].present);
    EXPECT_EQ(after->known_local_id(ip("198.18.0.1")), old_id);
    EXPECT_EQ(after->find_listener(ip("198.18.0.1"), 81), nullptr) << "nobody new is let in";
    const uint16_t new_id = after->local_id(ip("198.18.0.5"));
    EXPECT_NE(new_id, no_slot);
    EXPECT_EQ(std::set({old_id, v6, rear, new_id}).size(), 4u) << "no id twice";

    const auto back = compiled(sample_snapshot(), after.get());
    EXPECT_EQ(back->local_id(ip("198.18.0.1")), old_id);
    EXPECT_EQ(back->local_id(ip("198.18.0.5")), no_slot);
}

TEST(RuntimeConfig, FollowsAnAddressToAnotherInterface) {
    const auto before = compiled(sample_snapshot());
    SnapshotBuilder b = sample_snapshot();
    b.local_addresses[1].interface = 1;
    const auto after = compiled(b, before.get());
    const uint16_t id = after->local_id(ip("2001:db8::1"));
    EXPECT_EQ(id, before->local_id(ip("2001:db8::1")));
    EXPECT_EQ(after->local_addresses()[id].interface, 1);
}

TEST(RuntimeConfig, RunsOutOfAddressIdsAfterManyReloads) {
    SnapshotBuilder b = sample_snapshot();
    const size_t fixed = b.local_addresses.size();
    const auto fill = [&](uint8_t second) {
        b.local_addresses.resize(fixed);
        for (int i = 0; i < 2000; ++i)
            b.local_addresses.push_back(
                {IpAddress::v4(198, second, static_cast<uint8_t>(i / 200 + 10), static_cast<uint8_t>(i % 200)),
                 0,
                 32,
                 {}});
    };
    fill(18);
    const auto first = compiled(b);
    fill(19);
    const auto second = compiled(b, first.get());
    ASSERT_NE(second, nullptr);
    b.local_addresses.resize(fixed);
    for (int i = 0; i < 200; ++i)
        b.local_addresses.push_back({IpAddress::v4(198, 19, 200, static_cast<uint8_t>(i)), 0, 32, {}});
    EXPECT_EQ(refusal(b, second.get()),
              "more local addresses than a process can have over its life; restart millrace-dataplane");
    fill(18);
    EXPECT_NE(compiled(b, second.get()), nullptr) << "those that were there before cost no id";
}

TEST(RuntimeConfig, BuildsMaglevTables) {
    SnapshotBuilder b = sample_snapshot();
    b.servers[1].weight = 1;
    const auto config = compiled(b);
    const std::vector<uint16_t>& table = config->backends()[0].maglev_table;
    ASSERT_EQ(table.size(), 65537u);
    const auto first = static_cast<double>(std::ranges::count(table, 0));
    EXPECT_NEAR(first / 65537, 0.5, 0.01);
    EXPECT_TRUE(config->backends()[1].maglev_table.empty());
}

// Balancers side by side must agree on a client's server, whatever slots or names their control processes gave out.
TEST(RuntimeConfig, BuildsTheSameMaglevTableEverywhere) {
    SnapshotBuilder b = sample_snapshot();
    b.servers[1].weight = 1;
    const std::vector<uint16_t> here = compiled(b)->backends()[0].maglev_table;
    b.servers[0].name = b.text("other");
    b.servers[0].slot = 77;
    EXPECT_EQ(compiled(b)->backends()[0].maglev_table, here);
    b.servers[0].port = 8081;
    EXPECT_NE(compiled(b)->backends()[0].maglev_table, here);
}

}  // namespace
}  // namespace millrace::config
