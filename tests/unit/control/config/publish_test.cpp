// From a configuration to a snapshot: what it holds, and that slots stay what they were.
#include "control/config/publish.h"

#include <gtest/gtest.h>
#include <set>

#include "sample.h"

namespace millrace::control {
namespace {

/// A snapshot with the bytes that it views.
struct Published {
    std::vector<std::byte> bytes;
    SnapshotView view;
    std::vector<uint16_t> new_servers;
};

bool all_idle(SlotKind, uint16_t) {
    return true;
}

std::unique_ptr<Published> publish(std::string_view text, const Published* previous = nullptr,
                                   const SlotIsIdle& is_idle = all_idle) {
    const LoadResult loaded = test::load(text);
    EXPECT_TRUE(loaded.ok()) << test::diagnostics_of(loaded);
    PublishResult result = to_snapshot(loaded.config, previous ? &previous->view : nullptr, is_idle);
    EXPECT_TRUE(result.snapshot.has_value()) << result.error;
    auto published = std::make_unique<Published>();
    published->bytes = result.snapshot->build(1);
    std::string error;
    EXPECT_TRUE(published->view.open(published->bytes, error)) << error;
    published->new_servers = result.new_server_slots;
    return published;
}

/// "backend/server@address" → slot, "backend/" → slot, "listener" → slot.
std::map<std::string, uint16_t> slots_of(const SnapshotView& view) {
    std::map<std::string, uint16_t> slots;
    for (const ListenerRecord& r : view.listeners()) slots[std::string(view.text(r.name))] = r.slot;
    for (const BackendRecord& r : view.backends()) slots[std::string(view.text(r.name)) + "/"] = r.slot;
    for (const ServerRecord& r : view.servers())
        slots[std::string(view.text(view.backends()[r.backend].name)) + "/" + std::string(view.text(r.name)) + "@" +
              to_string(r.address)] = r.slot;
    return slots;
}

TEST(Publish, SampleBecomesASnapshot) {
    const auto p = publish(test::sample_text);
    const SnapshotView& view = p->view;
    EXPECT_EQ(view.dataplane().core_count, 2);
    EXPECT_EQ(view.dataplane().worker_count, 2) << "all the cores";
    EXPECT_EQ(view.dataplane().shard_count, 16);
    ASSERT_EQ(view.interfaces().size(), 2u);
    EXPECT_EQ(view.interfaces()[0].queues, 2) << "one per core";
    EXPECT_EQ(view.interfaces()[1].queues, 2);
    EXPECT_EQ(view.local_addresses().size(), 3u);
    EXPECT_EQ(view.local_addresses()[2].interface, 1);
    ASSERT_EQ(view.listeners().size(), 2u);
    ASSERT_EQ(view.http_routes().size(), 2u);
    EXPECT_EQ(view.text(view.http_routes()[0].path_prefix), "/stream");
    EXPECT_EQ(view.http_routes()[1].backend, 1);
    ASSERT_EQ(view.backends().size(), 2u);
    EXPECT_EQ(view.backends()[0].server_count, 3u);
    EXPECT_EQ(view.backends()[0].source_count, 1u);
    EXPECT_EQ(view.sources()[0].local_address, 2);
    EXPECT_EQ(view.servers().size(), 4u);
    EXPECT_EQ(p->new_servers.size(), 4u);
}

TEST(Publish, CarriesTheSettingsOfTcp) {
    const auto plain = publish(test::sample_text);
    const TcpRecord& defaults = plain->view.dataplane().tcp;
    EXPECT_EQ(defaults.congestion_control, CongestionControl::cubic);
    EXPECT_EQ(defaults.idle_restart, 1);
    EXPECT_EQ(defaults.ack_delay_ms, 40);
    EXPECT_EQ(defaults.path_mtu_min, 552);
    EXPECT_EQ(plain->view.listeners()[0].keepalive.idle_s, 0);
    const auto p = publish(test::edited(
        test::edited(test::sample_text, "[control]",
                     "[dataplane.tcp]\ncongestion_control = \"newreno\"\nidle_restart = false\nack_delay = \"5ms\"\n"
                     "path_mtu_min = 1006\n[control]"),
        "port = 80", "port = 80\nkeepalive = { idle = \"2h\", interval = \"30s\", count = 5 }"));
    const TcpRecord& tcp = p->view.dataplane().tcp;
    EXPECT_EQ(tcp.congestion_control, CongestionControl::newreno);
    EXPECT_EQ(tcp.idle_restart, 0);
    EXPECT_EQ(tcp.ack_delay_ms, 5);
    EXPECT_EQ(tcp.path_mtu_min, 1006);
    EXPECT_EQ(p->view.listeners()[0].keepalive.idle_s, 7200);
    EXPECT_EQ(p->view.listeners()[0].keepalive.interval_s, 30);
    EXPECT_EQ(p->view.listeners()[0].keepalive.count, 5);
}

TEST(Publish, CarriesThatServersSpeakTls) {
    const auto p = publish(test::edited(test::sample_text, "balance = \"maglev\"",
                                        "balance = \"maglev\"\ntls = { verify = false, handshake_timeout = \"3s\" }"));
    EXPECT_EQ(p->view.backends()[0].tls, 1);
    EXPECT_EQ(p->view.backends()[0].handshake_timeout_ms, 3000u);
    EXPECT_EQ(p->view.backends()[1].tls, 0);
}

TEST(Publish, AnHttpListenersBackendIsItsLastRoute) {
    const auto p = publish(test::edited(test::sample_text, "port = 80", "port = 80\nbackend = \"rest\""));
    ASSERT_EQ(p->view.listeners()[0].route_count, 2u);
    EXPECT_EQ(p->view.http_routes()[1].path_prefix.length, 0u);
    EXPECT_EQ(p->view.http_routes()[1].backend, 1);
}

TEST(Publish, TheSameConfigurationGivesTheSameContent) {
    const auto first = publish(test::sample_text);
    const auto again = publish(test::sample_text, first.get());
    EXPECT_EQ(first->view.content_hash(), again->view.content_hash());
    EXPECT_EQ(first->bytes, again->bytes);
    EXPECT_TRUE(again->new_servers.empty());
    // Comments and spelling don't count.
    const auto spelled =
        publish(test::edited(test::sample_text, "port = 80", "# the port\nport   = 0x50"), first.get());
    EXPECT_EQ(first->view.content_hash(), spelled->view.content_hash());
}

TEST(Publish, SlotsFollowNamesWhateverTheOrder) {
    const auto first = publish(test::sample_text);
    // The two servers of "quotes" change places, and a new backend with a server stands before the others.
    std::string text = test::edited(test::sample_text, "name = \"a\"\naddress = \"198.18.1.10:8080\"",
                                    "name = \"b\"\naddress = \"quotes.example.com:8080\"");
    text = test::edited(text, "[[backend.server]]\nname = \"b\"\naddress = \"quotes.example.com:8080\"\n[[backend]]",
                        "[[backend.server]]\nname = \"a\"\naddress = \"198.18.1.10:8080\"\n[[backend]]");
    text = test::edited(text, "[[backend]]\nname = \"quotes\"",
                        "[[backend]]\nname = \"new\"\n[[backend.server]]\nname = \"a\"\naddress = \"198.18.1.10:9\"\n"
                        "[[backend]]\nname = \"quotes\"");
    const auto second = publish(text, first.get());
    const auto before = slots_of(first->view), after = slots_of(second->view);
    for (const auto& [name, slot] : before) {
        ASSERT_TRUE(after.contains(name)) << name;
        EXPECT_EQ(after.at(name), slot) << name;
    }
    EXPECT_EQ(after.at("new/"), 2);
    EXPECT_EQ(after.at("new/a@198.18.1.10"), 4);
    EXPECT_EQ(second->new_servers, std::vector<uint16_t>{4});
}

TEST(Publish, AChangedAddressIsANewServer) {
    const auto first = publish(test::sample_text);
    const auto second = publish(test::edited(test::sample_text, "198.18.1.10:8080", "198.18.1.20:8080"), first.get());
    const uint16_t old_slot = slots_of(first->view).at("quotes/a@198.18.1.10");
    const uint16_t new_slot = slots_of(second->view).at("quotes/a@198.18.1.20");
    // The old slot may still gain relays until the dataplane has adopted the new snapshot.
    EXPECT_NE(old_slot, new_slot);
    EXPECT_EQ(second->new_servers, std::vector<uint16_t>{new_slot});
    // A changed port is the same server.
    const auto third = publish(test::edited(test::sample_text, "198.18.1.10:8080", "198.18.1.10:9"), first.get());
    EXPECT_EQ(slots_of(third->view), slots_of(first->view));
}

TEST(Publish, AFreedSlotIsReusedOnlyWhenIdle) {
    const auto first = publish(test::sample_text);
    const uint16_t freed = slots_of(first->view).at("quotes/a@198.18.1.10");
    const auto second = publish(test::edited(test::sample_text, "198.18.1.10:8080", "198.18.1.20:8080"), first.get());
    const std::string more =
        test::edited(test::edited(test::sample_text, "198.18.1.10:8080", "198.18.1.20:8080"), "name = \"rest\"\n",
                     "name = \"rest\"\n[[backend.server]]\nname = \"z\"\naddress = \"198.18.1.30:8080\"\n");
    const auto busy = publish(more, second.get(),
                              [&](SlotKind kind, uint16_t slot) { return kind != SlotKind::server || slot != freed; });
    EXPECT_NE(slots_of(busy->view).at("rest/z@198.18.1.30"), freed);
    const auto idle = publish(more, second.get());
    EXPECT_EQ(slots_of(idle->view).at("rest/z@198.18.1.30"), freed);
}

TEST(Publish, SaysWhenSlotsRunOut) {
    const LoadResult loaded = test::load(test::sample_text);
    const PublishResult result =
        to_snapshot(loaded.config, nullptr, [](SlotKind kind, uint16_t) { return kind != SlotKind::backend; });
    EXPECT_FALSE(result.snapshot.has_value());
    EXPECT_EQ(
        result.error,
        "no free slot for backend quotes: those of removed ones are held by live relays, or by configurations that the "
        "dataplane has in force or may yet take");
}

TEST(Publish, TwoServersOfOneAddressHaveASlotEach) {
    const std::string text = test::edited(test::sample_text, "name = \"rest\"\n",
                                          "name = \"rest\"\n[[backend.server]]\nname = \"z\"\n"
                                          "address = \"[2001:db8::10]:9090\"\n");
    const auto first = publish(text);
    std::set<uint16_t> slots;
    for (const ServerRecord& server : first->view.servers()) slots.insert(server.slot);
    EXPECT_EQ(slots.size(), first->view.servers().size());
    EXPECT_EQ(publish(text, first.get())->bytes, first->bytes);
}

}  // namespace
}  // namespace millrace::control
