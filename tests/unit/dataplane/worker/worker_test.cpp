// What a worker does with a frame before TCP sees it: whose it is, who else must see it, and what is counted.
#include "dataplane/worker/worker.h"

#include <array>
#include <functional>
#include <gtest/gtest.h>
#include <memory>

#include "base/rss_key.h"
#include "config/compiled.h"
#include "dataplane/worker/share_out.h"
#include "net/recording_sink.h"

namespace millrace::worker {
namespace {

using config::test::compiled;
using config::test::ip;
using wire::DropReason;
using wire::FrameKind;
using wire::ParsedFrame;

constexpr MacAddress front_mac{{2, 0, 0, 0, 0, 0x10}}, rear_mac{{2, 0, 0, 0, 0, 0x11}};
constexpr MacAddress peer_mac{{2, 0, 0, 0, 0, 0x20}};
constexpr uint16_t shard_count = 4;

using Frame = std::vector<uint8_t>;

/// Worker 0 of two, which owns the even of four shards, on the sample's interfaces: 0, VLAN 7, with 198.18.0.1/24 and
/// 2001:db8::1/64; 1, untagged, with 198.18.1.1/24. "ticker" listens on 198.18.0.1:80.
class WorkerTest : public ::testing::Test {
  protected:
    WorkerTest() {
        builder_.interfaces[1].vlan = 0;
        config_ = compiled(builder_);
        const auto limits = relay::ShardLimits::of(config_->snapshot().dataplane());
        WorkerSetup setup{.index = 0,
                          .worker_count = 2,
                          .shard_owners = owners_,
                          .toeplitz = &toeplitz_,
                          .shards = {},
                          .macs = {front_mac, rear_mac},
                          .sink = &sink_,
                          .port_classes = &port_classes_,
                          .stats = stats_.get(),
                          .other_stats = {},
                          .events = events_.get()};
        for (const uint16_t number : {uint16_t{0}, uint16_t{2}}) {
            std::string error;
            auto region = store::Region::create_anonymous(relay::shard_region_plan(number, limits, false), error);
            EXPECT_TRUE(region) << error;
            shards_.push_back(std::make_unique<relay::Shard>(number, std::move(*region), limits, now_));
            setup.shards.push_back(shards_.back().get());
        }
        worker_ = std::make_unique<Worker>(setup, *config_);
        poll();
        sink_.frames = {};
    }

    void reload() {
        std::unique_ptr<const config::RuntimeConfig> next = compiled(builder_, config_.get());
        worker_->set_config(*next);
        config_ = std::move(next);
        poll();
        sink_.frames = {};
    }

    void poll() {
        worker_->poll(now_ += us_per_ms);
        worker_->publish_gauges();
    }

    /// Gives the worker one frame; who else must see it.
    uint16_t receive(const Frame& frame, uint16_t interface = 0, bool learn_only = false, bool verified = false) {
        const net::InboundFrame inbound{.bytes = frame,
                                        .interface = interface,
                                        .ip_checksum_verified = verified,
                                        .tcp_checksum_verified = verified,
                                        .learn_only = learn_only};
        uint16_t other = 0;
        worker_->receive({&inbound, 1}, {&other, 1}, now_);
        return other;
    }

    static Frame written(const std::function<size_t(std::span<uint8_t>, const wire::LinkHeader&)>& write,
                         const MacAddress& to = front_mac, uint16_t vlan = 7) {
        Frame frame(256);
        frame.resize(write(frame, {peer_mac, to, vlan}));
        EXPECT_FALSE(frame.empty());
        return frame;
    }
    static Frame syn(uint16_t source_port, const char* to = "198.18.0.1", uint16_t port = 80,
                     const MacAddress& mac = front_mac, uint16_t vlan = 7) {
        wire::OutboundSegment segment;
        segment.header.source = ip(ip(to).is_v4() ? "198.18.0.9" : "2001:db8::9");
        segment.header.destination = ip(to);
        segment.header.source_port = source_port;
        segment.header.destination_port = port;
        segment.header.flags = wire::tcp_syn;
        return written([&](auto room, auto& link) { return wire::write_tcp(room, link, segment, {}); }, mac, vlan);
    }
    uint16_t owner(uint16_t source_port, const char* to = "198.18.0.1", uint16_t port = 80) {
        return owners_[toeplitz_.hash(ip(ip(to).is_v4() ? "198.18.0.9" : "2001:db8::9"), ip(to), source_port, port) %
                       shard_count];
    }
    /// The first source port from `from` on whose flow this worker owns.
    uint16_t port_of_mine(const char* to = "198.18.0.1", uint16_t port = 80, uint16_t from = 20000) {
        while (owner(from, to, port) != 0) ++from;
        return from;
    }
    static Frame arp_request(const MacAddress& to = wire::broadcast_mac, const char* target = "198.18.0.1") {
        const wire::ArpPacket packet{.is_request = true,
                                     .sender_mac = peer_mac,
                                     .sender = ip("198.18.0.9"),
                                     .target_mac = {},
                                     .target = ip(target)};
        return written([&](auto room, auto& link) { return wire::write_arp(room, link, packet); }, to);
    }
    uint64_t drops(DropReason reason) { return stats_->worker.drops[static_cast<size_t>(reason)]; }
    uint64_t all_drops() {
        uint64_t sum = stats_->worker.not_ours_dropped;
        for (const uint64_t count : stats_->worker.drops) sum += count;
        return sum;
    }
    std::vector<ParsedFrame> sent() { return sink_.take(0, 7); }
    bool silent() { return sink_.frames[0].empty() && sink_.frames[1].empty(); }

    std::array<uint16_t, shard_count> owners_ = {0, 1, 0, 1};
    SnapshotBuilder builder_ = millrace::test::sample_snapshot();
    std::unique_ptr<const config::RuntimeConfig> config_;
    Toeplitz toeplitz_{rss_verification_key};
    PortClasses port_classes_{toeplitz_, shard_count, 1024, 65535};
    std::unique_ptr<relay::StatsBlock> stats_ = std::make_unique<relay::StatsBlock>();
    std::unique_ptr<WorkerEvents> events_ = std::make_unique<WorkerEvents>();
    net::test::RecordingSink sink_;
    TimeUs now_ = 1000 * us_per_s;
    std::vector<std::unique_ptr<relay::Shard>> shards_;
    std::unique_ptr<Worker> worker_;
};

TEST_F(WorkerTest, NamesTheOwnerOfEachFlow) {
    int mine = 0;
    for (const char* to : {"198.18.0.1", "2001:db8::1"}) {
        for (uint16_t port = 20000; port < 20050; ++port) {
            const uint16_t expected = owner(port, to) == 0 ? nobody_else : owner(port, to);
            EXPECT_EQ(receive(syn(port, to)), expected) << to << " " << port;
            if (expected == nobody_else) ++mine;
        }
    }
    EXPECT_GT(mine, 20);
    EXPECT_LT(mine, 80);
    EXPECT_EQ(stats_->worker.tcp.segments_in + stats_->worker.unknown_flow_resets, static_cast<uint64_t>(mine))
        << "what belongs to others is left to them";
    EXPECT_EQ(all_drops(), 0u);
}

TEST_F(WorkerTest, TakesAWholeBurst) {
    std::vector<Frame> frames;
    std::vector<net::InboundFrame> burst;
    for (uint16_t i = 0; i < burst_max; ++i)
        frames.push_back(i % 8 == 0 ? arp_request() : syn(static_cast<uint16_t>(20000 + i)));
    for (const Frame& frame : frames) burst.push_back({.bytes = frame});
    std::vector<uint16_t> others(burst_max, 77);
    worker_->receive(burst, others, now_);
    for (uint16_t i = 0; i < burst_max; ++i) {
        const uint16_t expected = i % 8 == 0                                     ? everybody
                                  : owner(static_cast<uint16_t>(20000 + i)) == 0 ? nobody_else
                                                                                 : uint16_t{1};
        EXPECT_EQ(others[i], expected) << i;
    }
}

TEST_F(WorkerTest, GivesNeighboursMessagesToEverybody) {
    EXPECT_EQ(receive(arp_request()), everybody);
    EXPECT_EQ(sent().size(), 1u) << "and answers them";

    wire::NdpMessage message;
    message.source = ip("2001:db8::9");
    message.target = ip("2001:db8::1");
    message.destination = wire::solicited_node_address(message.target);
    EXPECT_EQ(receive(written([&](auto room, auto& link) { return wire::write_ndp_solicitation(room, link, message); },
                              wire::multicast_mac(message.destination))),
              everybody);
    EXPECT_EQ(sent().size(), 1u);
    message.target = message.source;
    message.destination = ip("2001:db8::1");
    EXPECT_EQ(
        receive(written([&](auto room, auto& link) { return wire::write_ndp_advertisement(room, link, message); })),
        everybody);
    EXPECT_TRUE(silent());
}

TEST_F(WorkerTest, KeepsNeighboursMessagesThatConcernNobodyHere) {
    EXPECT_EQ(receive(arp_request(wire::broadcast_mac, "198.18.0.8")), nobody_else);
    wire::NdpMessage message;
    message.source = message.target = ip("2001:db8::9");
    message.destination = wire::all_nodes_address;
    message.has_link_address = true;
    message.link_address = peer_mac;
    EXPECT_EQ(receive(written([&](auto room, auto& link) { return wire::write_ndp_advertisement(room, link, message); },
                              wire::multicast_mac(message.destination))),
              nobody_else);
}

TEST_F(WorkerTest, SharesAFloodOfNeighboursMessagesInPart) {
    for (int ms = 0; ms < 2; ++ms) {
        uint32_t shared = 0;
        for (int i = 0; i < 1000; ++i) shared += receive(arp_request()) == everybody ? 1 : 0;
        EXPECT_EQ(shared, 64u);
        now_ += us_per_ms;
    }
    EXPECT_EQ(stats_->worker.neighbour_messages_kept, 2 * (1000u - 64u));
}

TEST_F(WorkerTest, KeepsCopiesOfNeighboursMessages) {
    EXPECT_EQ(receive(arp_request(), 0, true), nobody_else);
    EXPECT_TRUE(silent());
}

TEST_F(WorkerTest, KeepsOthersNeighboursMessages) {
    EXPECT_EQ(receive(arp_request(rear_mac)), nobody_else);
    EXPECT_EQ(stats_->worker.not_ours_dropped, 1u);
    EXPECT_TRUE(silent());
}

TEST_F(WorkerTest, AnswersEcho) {
    const wire::IcmpEcho echo{.source = ip("198.18.0.9"), .destination = ip("198.18.0.1"), .payload = {}};
    EXPECT_EQ(
        receive(written([&](auto room, auto& link) { return wire::write_icmp_echo_request(room, link, echo, {}); })),
        nobody_else);
    EXPECT_EQ(sent().at(0).kind, FrameKind::icmp_echo_reply);
}

TEST_F(WorkerTest, CountsDropsByTheirReason) {
    const uint16_t port = port_of_mine();
    Frame frame = syn(port);
    EXPECT_EQ(receive(Frame(frame.begin(), frame.begin() + 30)), nobody_else);
    EXPECT_EQ(drops(DropReason::bad_length), 1u);
    EXPECT_EQ(receive(syn(port, "198.18.0.1", 80, front_mac, 8)), nobody_else);
    EXPECT_EQ(receive(syn(port, "198.18.0.1", 80, front_mac, 0)), nobody_else);
    EXPECT_EQ(receive(syn(port, "198.18.0.1", 80, rear_mac, 7), 1), nobody_else) << "tagged, on an untagged link";
    EXPECT_EQ(drops(DropReason::wrong_vlan), 3u);
    frame.back() ^= 1;
    EXPECT_EQ(receive(frame), nobody_else);
    EXPECT_EQ(drops(DropReason::bad_tcp_checksum), 1u);
    EXPECT_EQ(all_drops(), 5u);
    EXPECT_TRUE(silent());
}

TEST_F(WorkerTest, BelievesTheDevicesChecksums) {
    Frame frame = syn(port_of_mine());
    frame[18 + 20 + 16] ^= 1;  // of TCP's checksum
    receive(frame, 0, false, true);
    EXPECT_EQ(sent().size(), 1u);
}

TEST_F(WorkerTest, CountsWhatIsNotOurs) {
    receive(syn(port_of_mine(), "198.18.0.1", 80, rear_mac));
    EXPECT_EQ(stats_->worker.not_ours_dropped, 1u) << "another MAC address";
    receive(syn(port_of_mine("198.18.0.2"), "198.18.0.2"));
    EXPECT_EQ(stats_->worker.not_ours_dropped, 2u) << "another IP address";
    EXPECT_EQ(all_drops(), 2u);
    EXPECT_TRUE(silent());
}

TEST_F(WorkerTest, OpensConnectionsOnlyByTheInterfaceOfTheAddress) {
    receive(syn(port_of_mine("198.18.1.1", 81), "198.18.1.1", 81));
    EXPECT_EQ(stats_->worker.not_ours_dropped, 1u);
    EXPECT_TRUE(silent());
    receive(syn(port_of_mine("198.18.1.1", 81), "198.18.1.1", 81, rear_mac, 0), 1);
    EXPECT_EQ(all_drops(), 1u);
    EXPECT_EQ(stats_->worker.tcp.passive_opens, 1u);
}

// The stranger may be a lie, so nothing is remembered of its MAC address and nobody is asked for it.
TEST_F(WorkerTest, AnswersTheFirstSynOfAStranger) {
    receive(syn(port_of_mine()));
    std::vector<ParsedFrame> frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    ASSERT_EQ(frames[0].kind, FrameKind::tcp);
    EXPECT_EQ(frames[0].tcp.flags, wire::tcp_syn | wire::tcp_ack);
    EXPECT_EQ(frames[0].tcp.source, ip("198.18.0.1"));
    EXPECT_EQ(frames[0].destination_mac, peer_mac);
    poll();
    EXPECT_TRUE(silent());
}

TEST_F(WorkerTest, RefusesASynThatNobodyListensForTheWayItCame) {
    receive(syn(port_of_mine("198.18.0.1", 82), "198.18.0.1", 82));
    const std::vector<ParsedFrame> frames = sent();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].destination_mac, peer_mac);
    EXPECT_TRUE(frames[0].tcp.has(wire::tcp_rst));
    poll();
    EXPECT_TRUE(silent());
}

// Connections that it has go on (tests/sim); new ones are refused.
TEST_F(WorkerTest, LetsNobodyNewInAtAnAddressThatAReloadRemoves) {
    receive(syn(port_of_mine()));
    EXPECT_EQ(sent().size(), 1u);
    builder_.local_addresses[0].address = ip("198.18.0.5");
    builder_.listeners[0].address = ip("198.18.0.5");
    reload();
    receive(syn(port_of_mine("198.18.0.1", 81), "198.18.0.1", 81));
    EXPECT_EQ(stats_->worker.unknown_flow_resets, 1u);
    EXPECT_EQ(sent().size(), 1u);
    receive(syn(port_of_mine("198.18.0.5"), "198.18.0.5"));
    EXPECT_EQ(sent().size(), 1u);
}

// The device hashes addresses, not ids.
TEST_F(WorkerTest, AnswersToPingsGoToTheWorkerThatAsked) {
    const auto answer = [&](uint16_t id, const char* to = "198.18.0.1") {
        const wire::IcmpEcho echo{
            .source = ip("198.18.0.9"), .destination = ip(to), .id = id, .sequence = 1, .payload = {}};
        return receive(
            written([&](auto room, auto& link) { return wire::write_icmp_echo_reply(room, link, echo, {}); }));
    };
    EXPECT_EQ(answer(0x4d01), 1);
    EXPECT_EQ(answer(0x4d00), nobody_else) << "our own";
    EXPECT_EQ(answer(0x4d02), nobody_else) << "there are two workers";
    EXPECT_EQ(answer(0x4e01), nobody_else) << "of somebody else";
    EXPECT_EQ(answer(0x4d01, "198.18.0.77"), nobody_else) << "not to us";
    for (int i = 0; i < 100; ++i) answer(0x4d01);
    EXPECT_EQ(answer(0x4d01), nobody_else) << "a flood displaces nobody's frames";
}

// So a frame that waits in an inbox while its shard moves goes on to the new owner, and none is dropped.
TEST_F(WorkerTest, NamesTheNewOwnerOfAShardThatMoved) {
    const uint16_t port = port_of_mine();
    EXPECT_EQ(receive(syn(port)), nobody_else);
    const size_t number = toeplitz_.hash(ip("198.18.0.9"), ip("198.18.0.1"), port, 80) % shard_count;
    relay::Shard& shard = *shards_[number / 2];
    ASSERT_EQ(shard.number, number);
    worker_->release_shard(shard, now_);
    owners_[number] = 1;
    worker_->after_moves(now_);
    EXPECT_EQ(stats_->worker.half_open, 0u);
    EXPECT_EQ(receive(syn(port)), 1);
    worker_->take_shard(shard, now_);
    owners_[number] = 0;
    worker_->after_moves(now_);
    EXPECT_EQ(stats_->worker.half_open, 1u);
    EXPECT_EQ(receive(syn(port)), nobody_else);
}

TEST(ShareOut, TheFrameOfAQueueComesToTheOwnerOfItsShard) {
    for (uint16_t workers = 1; workers <= 8; ++workers) {
        for (uint16_t polling = 1; polling <= workers; ++polling) {
            for (uint16_t shard = 0; shard < 16; ++shard) {
                const uint16_t queue = shard % workers;
                EXPECT_EQ(owner_of(shard, workers, polling), queue % polling);
            }
        }
    }
}

}  // namespace
}  // namespace millrace::worker
