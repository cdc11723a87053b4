// The schedule of health checks and the state machine, with scripted streams and time.
#include "control/health/checker.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace millrace::control {
namespace {

TEST(HealthState, RiseAndFall) {
    HealthState state;
    EXPECT_FALSE(state.take(false, 2, 3));
    EXPECT_FALSE(state.take(false, 2, 3));
    EXPECT_EQ(state.state(), ProbeState::unknown);
    EXPECT_TRUE(state.take(false, 2, 3));
    EXPECT_EQ(state.state(), ProbeState::down);
    EXPECT_FALSE(state.take(true, 2, 3));
    EXPECT_FALSE(state.take(false, 2, 3)) << "a failure clears the passes";
    EXPECT_FALSE(state.take(true, 2, 3));
    EXPECT_TRUE(state.take(true, 2, 3));
    EXPECT_EQ(state.state(), ProbeState::up);
    EXPECT_FALSE(state.take(false, 2, 3));
    EXPECT_FALSE(state.take(false, 2, 3));
    EXPECT_FALSE(state.take(true, 2, 3)) << "a pass clears the failures";
    EXPECT_FALSE(state.take(false, 2, 3));
    EXPECT_FALSE(state.take(false, 2, 3));
    EXPECT_TRUE(state.take(false, 2, 3));
    EXPECT_EQ(state.state(), ProbeState::down);
}

TEST(HealthState, OnePassConfirmsAnUnknownServer) {
    HealthState state;
    EXPECT_TRUE(state.take(true, 5, 3));
    EXPECT_EQ(state.state(), ProbeState::up);
}

class ScriptedStreams : public ProbeStreams {
  public:
    bool open(const StreamOpen& request) override {
        if (!ready) return false;
        opened.push_back(request);
        return true;
    }
    bool send(uint16_t, uint64_t, std::span<const std::byte> bytes) override {
        sent_bytes += bytes.size();
        return ready;
    }
    bool close(uint16_t, uint64_t id) override {
        closed.push_back(id);
        return true;
    }

    uint64_t heartbeat_ms(uint16_t slot) const override { return heartbeats[slot % 2]; }

    bool ready = true;
    uint64_t heartbeats[2] = {};  // of two workers
    size_t sent_bytes = 0;
    std::vector<StreamOpen> opened;
    std::vector<uint64_t> closed;
};

class CheckerTest : public testing::Test {
  protected:
    ProbedServer server(uint16_t slot, ProbeState state = ProbeState::unknown) {
        ProbedServer server{slot, IpAddress::v4(198, 18, 0, static_cast<uint8_t>(slot)), 8080, {}, state};
        server.check.host = "x";
        server.check.interval_ms = 1000;
        server.check.timeout_ms = 400;
        server.check.rise = 2;
        server.check.fall = 2;
        return server;
    }
    /// With both workers alive, unless the first one's heartbeat is given.
    void tick(uint64_t now_ms) { tick(now_ms, now_ms); }
    void tick(uint64_t now_ms, uint64_t heartbeat_ms) {
        streams_.heartbeats[0] = heartbeat_ms;
        streams_.heartbeats[1] = now_ms;
        checker_.tick(now_ms);
    }

    ScriptedStreams streams_;
    std::vector<std::pair<uint16_t, ProbeState>> changes_;
    Checker checker_{streams_,
                     [this](uint16_t slot, ProbeState state, const std::string&) {
                         changes_.push_back({slot, state});
                     },
                     100, 1};
};

TEST_F(CheckerTest, ProbesEveryServerAtOnceThenEveryInterval) {
    checker_.configure({server(1), server(2)}, 0);
    tick(0);
    ASSERT_EQ(streams_.opened.size(), 2u);
    EXPECT_EQ(streams_.opened[0].id, 100u);
    EXPECT_EQ(streams_.opened[0].timeout_ms, 400u);
    EXPECT_EQ(streams_.opened[1].server_slot, 2);
    for (const StreamOpen& stream : std::vector(streams_.opened)) checker_.stream_opened(stream.id, 10);
    EXPECT_EQ(streams_.closed.size(), 2u);
    EXPECT_EQ(changes_.size(), 2u);
    EXPECT_EQ(changes_[0], std::pair(uint16_t{1}, ProbeState::up));
    tick(899);
    EXPECT_EQ(streams_.opened.size(), 2u);
    tick(1101);
    EXPECT_EQ(streams_.opened.size(), 4u);
    EXPECT_EQ(checker_.summary(1)->passes, 1u);
    EXPECT_EQ(checker_.summary(1)->last_duration_ms, 10u);
    EXPECT_EQ(checker_.summary(9), nullptr);
}

TEST_F(CheckerTest, ProbesSpeakTlsWhereTheCheckSaysSo) {
    ProbedServer plain = server(1), tls = server(2);
    plain.check.tls = false;
    checker_.configure({plain, tls}, 0);
    tick(0);
    ASSERT_EQ(streams_.opened.size(), 2u);
    EXPECT_EQ(streams_.opened[0].tls, 0);
    EXPECT_EQ(streams_.opened[1].tls, 1);
    checker_.stream_closed(streams_.opened[1].id, StreamEnd::tls_handshake, 10);
    EXPECT_EQ(checker_.summary(2)->failures, 1u);
    EXPECT_EQ(checker_.summary(2)->last_reason, "the TLS handshake failed");
    tls.check.tls = false;
    checker_.configure({plain, tls}, 20);
    tick(20);
    EXPECT_EQ(streams_.opened.back().tls, 0) << "another check begins at once";
}

TEST_F(CheckerTest, IntervalsSpread) {
    std::vector<ProbedServer> servers;
    for (uint16_t slot = 0; slot < 50; ++slot) servers.push_back(server(slot));
    checker_.configure(servers, 0);
    tick(0);
    for (const StreamOpen& stream : std::vector(streams_.opened)) checker_.stream_opened(stream.id, 0);
    streams_.opened.clear();
    tick(1000);
    EXPECT_GT(streams_.opened.size(), 10u);
    EXPECT_LT(streams_.opened.size(), 40u);
}

TEST_F(CheckerTest, TimesOutOnceAndCloses) {
    checker_.configure({server(1, ProbeState::up)}, 0);
    tick(0);
    tick(399);
    EXPECT_TRUE(streams_.closed.empty());
    tick(400);
    EXPECT_EQ(streams_.closed, std::vector<uint64_t>{100});
    EXPECT_TRUE(changes_.empty());
    checker_.stream_opened(100, 401);  // too late: belongs to nothing
    tick(1101);
    tick(1501);
    ASSERT_EQ(changes_.size(), 1u);
    EXPECT_EQ(changes_[0].second, ProbeState::down);
    tick(2400);
    tick(2800);
    EXPECT_EQ(changes_.size(), 1u) << "told once";
}

TEST_F(CheckerTest, ASilentDataplaneIsNotTheServersFault) {
    checker_.configure({server(2, ProbeState::up)}, 0);
    tick(0, 0);
    tick(5000, 399);  // the last heartbeat came before the probe's time was over
    EXPECT_EQ(checker_.summary(2)->failures, 0u);
    EXPECT_EQ(checker_.under_way(), 1u);
    checker_.reset(5100);  // the dataplane was found to be away
    EXPECT_EQ(checker_.under_way(), 0u);
    EXPECT_EQ(checker_.summary(2)->failures, 0u);
    tick(5200);
    ASSERT_EQ(streams_.opened.size(), 2u);
    tick(5700, 5600);
    EXPECT_EQ(checker_.summary(2)->failures, 1u);
}

TEST_F(CheckerTest, AWorkerThatStoodStillIsNotTheServersFault) {
    checker_.configure({server(1, ProbeState::up), server(2, ProbeState::up)}, 0);  // 2 is the first worker's
    tick(0);
    tick(300, 100);
    tick(390, 390);  // it is back, with all that came meanwhile still to be read
    tick(420, 420);
    EXPECT_EQ(checker_.summary(1)->failures, 1u) << "the other worker ran all the time";
    EXPECT_EQ(checker_.summary(2)->failures, 0u);
    EXPECT_EQ(checker_.summary(2)->inconclusive, 1u);
    EXPECT_EQ(checker_.summary(2)->last_reason, "its worker stood still meanwhile");
    tick(520, 300);
    EXPECT_EQ(streams_.opened.size(), 2u) << "nothing new for a worker that stands still";
    tick(620, 620);
    ASSERT_EQ(streams_.opened.size(), 3u);
    EXPECT_EQ(streams_.opened[2].server_slot, 2);
    // The dataplane's own clock went on as well.
    tick(900, 700);
    checker_.stream_closed(streams_.opened[2].id, StreamEnd::timed_out, 1021);
    EXPECT_EQ(checker_.summary(2)->failures, 0u);
    EXPECT_EQ(checker_.summary(2)->inconclusive, 2u);
}

TEST_F(CheckerTest, TheDataplanesOwnLimitsDontCount) {
    checker_.configure({server(1, ProbeState::up)}, 0);
    tick(0);
    checker_.stream_closed(100, StreamEnd::no_memory, 10);
    EXPECT_EQ(checker_.summary(1)->failures, 0u);
    EXPECT_EQ(checker_.summary(1)->inconclusive, 1u);
    tick(109);
    EXPECT_EQ(streams_.opened.size(), 1u);
    tick(110);
    EXPECT_EQ(streams_.opened.size(), 2u) << "again soon";
}

TEST_F(CheckerTest, AFullRingIsTriedAgain) {
    checker_.configure({server(1)}, 0);
    streams_.ready = false;
    tick(0);
    streams_.ready = true;
    tick(99);
    EXPECT_TRUE(streams_.opened.empty());
    tick(100);
    EXPECT_EQ(streams_.opened.size(), 1u);
}

TEST_F(CheckerTest, ReconfigurationKeepsWhatIsEqualAndEndsWhatIsGone) {
    checker_.configure({server(1), server(2), server(3)}, 0);
    tick(0);
    ProbedServer changed = server(3);
    changed.check.interval_ms = 2000;
    checker_.configure({server(1), changed}, 50);
    EXPECT_EQ(streams_.closed, (std::vector<uint64_t>{101, 102}));
    tick(50);
    ASSERT_EQ(streams_.opened.size(), 4u);
    EXPECT_EQ(streams_.opened[3].server_slot, 3);
    checker_.stream_opened(100, 60);
    EXPECT_EQ(changes_.size(), 1u) << "the first one's probe went on";
    checker_.stream_opened(101, 60);
    EXPECT_EQ(changes_.size(), 1u);
}

TEST_F(CheckerTest, GoesOnFromAKnownState) {
    checker_.configure({server(1, ProbeState::down)}, 0);
    tick(0);
    checker_.stream_opened(100, 1);
    EXPECT_TRUE(changes_.empty()) << "rise is 2";
    tick(1101);
    checker_.stream_opened(101, 1102);
    ASSERT_EQ(changes_.size(), 1u);
    EXPECT_EQ(changes_[0].second, ProbeState::up);
}

}  // namespace
}  // namespace millrace::control
