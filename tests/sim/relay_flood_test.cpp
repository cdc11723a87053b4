// SYN floods against the whole worker: spoofed neighbours by the thousand, honest clients between them. RFC 4987.
#include <array>

#include "dataplane/wire/write.h"
#include "tests/sim/scene.h"

namespace millrace::sim {
namespace {

/// Sends SYNs from addresses of 198.18/16 that nobody has, at a steady rate, and answers nothing.
class Flooder : public Node {
  public:
    explicit Flooder(TimeUs interval_us) : interval_us_(interval_us) {}

    void receive(std::span<const uint8_t>, TimeUs) override {}
    std::optional<TimeUs> next_deadline(TimeUs now) override { return std::max(now, next_at_); }
    void poll(TimeUs now, const FrameSink& send) override {
        if (now < next_at_) return;
        next_at_ = now + interval_us_;
        const auto number = static_cast<uint32_t>(sent++);
        wire::OutboundSegment syn;
        syn.header.source =
            IpAddress::v4(198, 18, static_cast<uint8_t>(16 + (number >> 8 & 127)), static_cast<uint8_t>(number));
        syn.header.destination = balancer_v4;
        syn.header.source_port = static_cast<uint16_t>(1024 + number % 60000);
        syn.header.destination_port = http_port;
        syn.header.seq = number * 2654435761u;
        syn.header.flags = wire::tcp_syn;
        syn.header.window = 65535;
        syn.header.options.has_mss = true;
        syn.header.options.mss = 1460;
        std::array<uint8_t, 128> room;
        send(std::span(room).first(wire::write_tcp(room, {mac, balancer_mac, 0}, syn, {})));
    }

    static constexpr MacAddress mac{{2, 0, 0, 0, 9, 9}};
    uint64_t sent = 0;

  private:
    TimeUs interval_us_;
    TimeUs next_at_ = 0;
};

TEST(RelayFlood, Rfc4987_SpoofedSynsCostNoRelayNoNeighbourAndNoHonestClient) {
    Scene scene;
    scene.link.delay_us = 2000;
    scene.start();
    scene.server(1, echo_upgraded);
    Flooder flooder(250);
    scene.network.attach(flooder, Flooder::mac, scene.link);
    scene.run(2);  // 8,000 SYNs for 256 places
    const tcp::Counters before = scene.balancer->tcp_counters();
    EXPECT_GT(before.syn_cookies_sent, 7000u);
    EXPECT_EQ(scene.balancer->worker_total(&relay::WorkerStats::relays_open), 0u);

    for (int i = 1; i <= 50; ++i) {
        Peer& peer = scene.client(i).connect(http_port);
        peer.send(upgrade_request("/"));
        EXPECT_TRUE(scene.run(0.2, [&] { return head_length(peer.received) != 0; })) << "client " << i;
    }
    EXPECT_GT(scene.balancer->tcp_counters().syn_cookies_accepted, 40u);
    EXPECT_EQ(scene.balancer->worker_total(&relay::WorkerStats::relays_open), 50u);
    scene.balancer->publish_gauges();
    EXPECT_EQ(scene.balancer->worker_total(&relay::WorkerStats::neighbours_evicted), 0u);
    EXPECT_LT(scene.balancer->stats().worker.ip.solicitations_sent, 120u) << "for the 51 that are real";
    EXPECT_EQ(scene.balancer->tcp_counters().half_open_overflow, 0u);
}

TEST(RelayFlood, WithoutCookiesTheFloodShutsHonestClientsOut) {
    Scene scene;
    scene.config.dataplane.syn_cookies = SynCookies::off;
    scene.start();
    scene.server(1, echo_upgraded);
    Flooder flooder(250);
    scene.network.attach(flooder, Flooder::mac, scene.link);
    scene.run(0.5);
    Peer& peer = scene.client().connect(http_port);
    EXPECT_FALSE(scene.run(0.2, [&] { return peer.established(); }));
    EXPECT_GT(scene.balancer->tcp_counters().half_open_overflow, 1000u);
}

}  // namespace
}  // namespace millrace::sim
