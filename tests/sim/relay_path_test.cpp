// What happens to the way between the balancer and its peers while a relay lives: peers that vanish (RFC 9293 §3.8.4),
// paths that take less than the link does (RFC 1191), and forged messages of either (RFC 5927).
#include <array>

#include "dataplane/wire/bytes.h"
#include "dataplane/wire/checksum.h"
#include "tests/sim/scene.h"

namespace millrace::sim {
namespace {

TEST(RelayPath, Rfc9293_3_8_4_KeepaliveEndsARelayWhoseClientVanishedAndNoOther) {
    Scene scene;
    scene.config.listeners[0].keepalive = {10, 10, 3, {}};
    scene.config.listeners[0].idle_timeout_ms = scene.config.backends[0].idle_timeout_ms = 3'600'000;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Station& client = scene.client();
    Peer* far = nullptr;
    Peer& near = scene.upgraded(client, server, far);
    scene.run(200);
    EXPECT_FALSE(near.end_ || far->end_) << "it answers";
    EXPECT_GE(scene.balancer->tcp_counters().keepalive_probes, 8u);
    LinkOptions cut = scene.link;
    cut.loss = 1;
    scene.network.set_link(client.mac(), cut);
    EXPECT_TRUE(scene.run(90, [&] { return far->end_.has_value(); }));
    EXPECT_EQ(far->end_, End::reset);
    const RelayEvent closed = scene.closing();
    EXPECT_EQ(closed.reason, CloseReason::keepalive_timeout);
    EXPECT_EQ(closed.closer, Closer::client);
    scene.expect_idle();
}

TEST(RelayPath, Rfc9293_3_8_4_WithoutKeepaliveNobodyAsks) {
    Scene scene;
    scene.config.listeners[0].idle_timeout_ms = scene.config.backends[0].idle_timeout_ms = 3'600'000;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Peer* far = nullptr;
    scene.upgraded(scene.client(), server, far);
    scene.run(300);
    EXPECT_EQ(scene.balancer->tcp_counters().keepalive_probes, 0u);
}

/// Sends "fragmentation needed" messages that quote a packet.
class Router : public Node {
  public:
    void receive(std::span<const uint8_t>, TimeUs) override {}
    std::optional<TimeUs> next_deadline(TimeUs now) override {
        return out_.empty() ? std::nullopt : std::optional<TimeUs>(now);
    }
    void poll(TimeUs, const FrameSink& send) override {
        for (const auto& frame : std::exchange(out_, {})) send(frame);
    }
    /// `frame` is one of the balancer's; `seq_offset` forges its sequence number.
    void complain(std::span<const uint8_t> frame, uint16_t mtu, uint32_t seq_offset) {
        std::vector<uint8_t> out(14 + 20 + 8 + 28);
        std::copy(balancer_mac.bytes.begin(), balancer_mac.bytes.end(), out.begin());
        std::copy(mac.bytes.begin(), mac.bytes.end(), out.begin() + 6);
        uint8_t* const ip = out.data() + 14;
        const uint8_t* const quoted = frame.data() + 14;
        wire::store_be16(ip - 2, 0x0800);
        wire::store_be32(ip, 0x4500'0000u | static_cast<uint32_t>(out.size() - 14));
        wire::store_be32(ip + 8, 64u << 24 | 1u << 16);
        wire::store_be32(ip + 12, 0xc612'01fd);  // 198.18.1.253
        std::copy(quoted + 12, quoted + 16, ip + 16);
        wire::store_raw(ip + 10, wire::checksum_finish(wire::checksum_add(0, ip, 20)));
        uint8_t* const icmp = ip + 20;
        icmp[0] = 3;
        icmp[1] = 4;
        wire::store_be16(icmp + 6, mtu);
        std::copy(quoted, quoted + 28, icmp + 8);
        wire::store_be32(icmp + 8 + 24, wire::load_be32(quoted + 24) + seq_offset);
        wire::store_raw(icmp + 2, wire::checksum_finish(wire::checksum_add(0, icmp, 36)));
        out_.push_back(std::move(out));
    }

    static constexpr MacAddress mac{{2, 0, 0, 0, 9, 8}};

  private:
    std::vector<std::vector<uint8_t>> out_;
};

/// Streams to a client while a router complains of every packet above `mtu`; returns the largest frame at the end.
size_t largest_frame_at_last(Scene& scene, uint16_t mtu, uint32_t seq_offset) {
    Router router;
    scene.start();
    scene.network.attach(router, Router::mac, scene.link);
    Station& server = scene.server(1, only_upgrade);
    Peer* far = nullptr;
    Peer& near = scene.upgraded(scene.client(), server, far);
    size_t largest = 0;
    scene.network.set_tap([&](TimeUs, std::span<const uint8_t> frame) {
        if (frame.size() < 54 || !std::equal(frame.begin() + 6, frame.begin() + 12, balancer_mac.bytes.begin())) return;
        largest = std::max(largest, frame.size() - 14);
        if (frame.size() - 14 > mtu) router.complain(frame, mtu, seq_offset);
    });
    std::string text(200'000, 'x');
    far->send(text);
    EXPECT_TRUE(scene.run(20, [&] { return near.received.size() >= text.size(); }));
    largest = 0;
    far->send(text);
    EXPECT_TRUE(scene.run(20, [&] { return near.received.size() >= 2 * text.size(); }));
    scene.network.set_tap({});
    const uint64_t raised = scene.balancer->tcp_counters().path_mtu_raised;
    scene.run(60);
    EXPECT_EQ(scene.balancer->tcp_counters().path_mtu_raised, raised)
        << "once in ten minutes, however few relays there are";
    near.abort();
    scene.expect_idle();
    return largest;
}

TEST(RelayPath, Rfc1191_SegmentsShrinkToWhatTheRouterNamesWhicheverWorkerHearsIt) {
    for (const int workers : {1, 2}) {
        Scene scene(1, static_cast<uint16_t>(workers));
        EXPECT_EQ(largest_frame_at_last(scene, 1300, 0), 1300u);
        EXPECT_GT(scene.balancer->tcp_counters().path_mtu_lowered, 0u);
    }
}

TEST(RelayPath, Rfc5927_7_TheConfigurationNamesTheLeast) {
    Scene scene;
    scene.config.dataplane.tcp.path_mtu_min = 1006;
    EXPECT_EQ(largest_frame_at_last(scene, 600, 0), 1006u);
}

TEST(RelayPath, Rfc5927_4_1_ForgedMessagesChangeNothing) {
    Scene scene;
    EXPECT_EQ(largest_frame_at_last(scene, 1300, 1u << 30), 1500u);
    EXPECT_EQ(scene.balancer->tcp_counters().path_mtu_lowered, 0u);
    EXPECT_GT(scene.balancer->tcp_counters().icmp_ignored, 0u);
}

// More hosts than places take them from each other; with places enough nobody loses any.
TEST(RelayPath, KnowsAsManyNeighboursAsItsConfigurationSays) {
    for (const bool enough : {false, true}) {
        Scene scene;
        scene.config.dataplane.neighbours_max = enough ? 512 : 64;
        scene.start();
        scene.server(1, echo_upgraded);
        std::vector<Peer*> peers;
        for (int number = 1; number <= 100; ++number) {
            peers.push_back(&scene.client(number).connect(http_port));
            peers.back()->send(upgrade_request("/"));
            EXPECT_TRUE(scene.run(5, [&] { return status_of(peers.back()->received) == 101; }));
        }
        for (Peer* peer : peers) {
            peer->received.clear();
            peer->send("still there");
            EXPECT_TRUE(scene.run(5, [&] { return peer->received == "still there"; }));
        }
        scene.balancer->publish_gauges();
        const uint64_t evicted = scene.balancer->worker_total(&relay::WorkerStats::neighbours_evicted);
        EXPECT_EQ(evicted == 0, enough) << evicted;
        for (Peer* peer : peers) peer->shutdown();
        scene.expect_idle();
    }
}

}  // namespace
}  // namespace millrace::sim
