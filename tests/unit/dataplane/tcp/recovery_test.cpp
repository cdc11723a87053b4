// RFC 5681 §3.2, RFC 6582 §3.2, RFC 3042, RFC 6298 §5.4–§5.6: what is sent again, and when.
#include "dataplane/tcp/recovery.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

/// Ten segments of 1000 B in flight, ten more queued, cwnd 10,000.
struct Loss : Connection {
    Loss() {
        options.congestion_control = CongestionControl::newreno;
        establish(1000);
        send_text(pattern(20'000));
        flush_all();
        sent.clear();
    }
    std::vector<Sent> duplicate() {
        in(0, acked);
        return flush_all();
    }
    std::vector<Sent> ack(uint32_t to) {
        acked = to;
        in(0, to);
        return flush_all();
    }
    uint32_t acked = 0;
};

TEST(Recovery, LimitedTransmitThenFastRetransmit) {
    Loss c;
    auto out = c.duplicate();
    ASSERT_EQ(out.size(), 1u) << "RFC 3042: one new segment for each of the first two";
    EXPECT_EQ(c.seq_of(out[0]), 10'000u);
    out = c.duplicate();
    EXPECT_EQ(c.seq_of(out.at(0)), 11'000u);
    out = c.duplicate();
    ASSERT_EQ(out.size(), 1u) << "the third one";
    EXPECT_EQ(c.seq_of(out[0]), 0u);
    EXPECT_EQ(out[0].payload, pattern(1000));
    EXPECT_EQ(c.warm.ssthresh, 6000u) << "half the flight";
    EXPECT_EQ(c.warm.cwnd, 9000u) << "ssthresh + 3 mss";
    EXPECT_EQ(c.counters.fast_retransmits, 1u);
}

TEST(Recovery, FurtherDuplicatesInflateAndFullAckDeflates) {
    Loss c;
    for (int i = 0; i < 3; ++i) c.duplicate();
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(c.duplicate().empty());
    EXPECT_EQ(c.duplicate().size(), 1u) << "cwnd 13,000 over a flight of 12,000";
    c.ack(12'000);
    EXPECT_FALSE(c.hot.has(flag_fast_recovery));
    EXPECT_LE(c.warm.cwnd, c.warm.ssthresh);
    EXPECT_EQ(c.warm.extension, store::no_chunk) << "an extension only as long as needed";
}

TEST(Recovery, PartialAckSendsTheNextHoleAtOnce) {
    Loss c;
    for (int i = 0; i < 3; ++i) c.duplicate();
    const auto out = c.ack(4000);
    ASSERT_GE(out.size(), 1u);
    EXPECT_EQ(c.seq_of(out[0]), 4000u);
    EXPECT_TRUE(c.hot.has(flag_fast_recovery));
    EXPECT_EQ(c.seq_of(c.ack(7000).at(0)), 7000u);
}

// RFC 6582 §3.2 step 3, impatient variant: only the first partial ACK restarts the timer.
TEST(Recovery, OnlyTheFirstPartialAckRestartsTheTimer) {
    Loss c;
    for (int i = 0; i < 3; ++i) c.duplicate();
    c.advance(20'000);
    c.ack(2000);
    const auto deadline = *next_deadline(c.context(), c.ep());
    EXPECT_EQ(deadline, c.now + c.options.rto_min_us);
    c.advance(20'000);
    c.ack(4000);
    EXPECT_NEAR(static_cast<double>(*next_deadline(c.context(), c.ep())), static_cast<double>(deadline), 1000.0);
}

TEST(Recovery, TimeoutGoesBackToSndUnaInSlowStart) {
    Loss c;
    c.expire();
    EXPECT_EQ(c.warm.cwnd, 1000u);
    EXPECT_EQ(c.warm.ssthresh, 5000u);
    auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(c.seq_of(out[0]), 0u);
    out = c.ack(1000);
    ASSERT_EQ(out.size(), 2u) << "slow start";
    EXPECT_EQ(c.seq_of(out[0]), 1000u);
    EXPECT_EQ(c.seq_of(out[1]), 2000u);
    EXPECT_EQ(out[1].payload, pattern(1000, 2000));
    out = c.ack(9000);
    ASSERT_GE(out.size(), 1u);
    EXPECT_EQ(c.seq_of(out[0]), 9000u) << "what the peer already has is skipped";
    EXPECT_EQ(c.seq_of(out.back()) / 1000, 9 + out.size() - 1) << "then new data";
    c.ack(c.hot.snd_nxt - (c.iss + 1));
    EXPECT_FALSE(c.hot.has(flag_rto_recovery));
}

// RFC 5681 §3.1: the threshold is halved once per loss event, not with each timeout of it.
TEST(Recovery, RepeatedTimeoutKeepsTheThreshold) {
    Loss c;
    c.expire();
    c.flush_all();
    c.expire();
    c.flush_all();
    EXPECT_EQ(c.warm.ssthresh, 5000u);
    EXPECT_EQ(c.sent.size(), 2u);
    EXPECT_EQ(c.seq_of(c.sent[1]), 0u);
}

// RFC 6582 §4: duplicate ACKs caused by our own repetitions are no new loss.
TEST(Recovery, DuplicatesAfterATimeoutAreIgnored) {
    Loss c;
    c.expire();
    c.flush_all();
    c.ack(10'000);
    EXPECT_GT(in_flight(c.hot), 0u);
    for (int i = 0; i < 5; ++i) c.duplicate();
    EXPECT_EQ(c.counters.fast_retransmits, 0u);
}

TEST(Recovery, FinIsSentAgain) {
    Connection c;
    c.establish(1000);
    c.send_text(pattern(1500));
    shutdown_send(c.context(), c.ep());
    c.flush_all();
    c.expire();
    auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_FALSE(out[0].has(wire::tcp_fin));
    c.in(0, 1000);
    out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_TRUE(out[0].has(wire::tcp_fin));
    EXPECT_EQ(out[0].payload.size(), 500u);
    c.in(0, 1500);
    c.expire();
    out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_TRUE(out[0].has(wire::tcp_fin) && out[0].payload.empty());
    c.in(0, 1501);
    EXPECT_EQ(c.hot.state, State::fin_wait_2);
}

// Exhaustion: without the recovery state there is still one segment per timeout.
TEST(Recovery, WorksWithoutAChunkForItsState) {
    Loss c;
    c.exhaust_chunks();
    c.expire();
    auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(c.seq_of(out[0]), 0u);
    EXPECT_EQ(c.counters.recovery_without_state, 1u);
    c.ack(1000);
    c.expire();
    EXPECT_EQ(c.seq_of(c.flush_all().at(0)), 1000u);
}

TEST(Recovery, FastRetransmitWorksWithoutAChunkForItsState) {
    Loss c;
    c.exhaust_chunks();
    for (int i = 0; i < 3; ++i) c.duplicate();
    EXPECT_EQ(c.seq_of(c.sent.back()), 0u);
    EXPECT_FALSE(c.hot.has(flag_fast_recovery));
}

TEST(Recovery, RetransmissionWaitsForCredit) {
    Loss c;
    c.expire();
    EXPECT_TRUE(c.flush_with(0).wants_credit);
    EXPECT_TRUE(c.sent.empty());
    c.flush_with(1);
    EXPECT_EQ(c.seq_of(c.sent.at(0)), 0u);
}

// A window that shrank over what is in flight (RFC 9293 §3.8.6): only the first segment goes.
TEST(Recovery, ClosedWindowGetsOneSegmentOnly) {
    Loss c;
    c.in(0, 0, "x", 0, {.window = 0});
    c.warm.cwnd = 10'000;
    c.expire();
    c.warm.cwnd = 10'000;
    EXPECT_EQ(c.flush_all().size(), 1u);
}

/// Without timestamps: ten segments in flight, ten more queued, and the timer has expired.
struct Expired : Connection {
    explicit Expired(bool sack) {
        peer_timestamps = false;
        peer_sack = sack;
        establish(1000);
        send_text(pattern(20'000));
        flush_all();
        cwnd = warm.cwnd;
        if (sack) expire();  // the tail loss probe, with new data
        flush_all();
        end = hot.snd_nxt - (iss + 1);
        expire();
        EXPECT_EQ(flush_all().size(), 1u);
    }
    std::vector<Sent> ack(uint32_t to) {
        in(0, to);
        return flush_all();
    }
    uint32_t cwnd, end;
};

TEST(Frto, Rfc5682_2_1_TwoAcksThatMoveOnUndoATimeout) {
    for (const bool sack : {false, true}) {
        Expired c(sack);
        const auto out = c.ack(1000);
        ASSERT_EQ(out.size(), 2u) << "new data";
        EXPECT_EQ(c.seq_of(out[0]), c.end);
        c.ack(2000);
        EXPECT_EQ(c.counters.spurious_recoveries, 1u);
        EXPECT_FALSE(c.hot.has(flag_rto_recovery));
        EXPECT_EQ(c.warm.cwnd, c.cwnd);
        EXPECT_GT(c.warm.ssthresh, 1u << 20);
        EXPECT_EQ(c.counters.retransmitted_segments, 1u);
        c.ack(c.end + 2000);
        EXPECT_EQ(c.warm.extension, store::no_chunk);
    }
}

TEST(Frto, Rfc5682_2_1_ADuplicateAckMeansLoss) {
    for (const bool sack : {false, true}) {
        Expired c(sack);
        c.ack(1000);
        c.in(0, 1000, "", 0, sack ? Wire{.sack = {{c.end, c.end + 1000}}} : Wire{});
        const auto out = c.flush_all();
        ASSERT_EQ(out.size(), sack ? 2u : 3u) << "three segments at most, less what is in flight";
        EXPECT_EQ(c.seq_of(out[0]), 1000u);
        EXPECT_EQ(c.counters.spurious_recoveries, 0u);
        EXPECT_TRUE(c.hot.has(flag_rto_recovery));
        EXPECT_LE(c.warm.ssthresh, 7000u);
        c.ack(c.end + 2000);
        EXPECT_EQ(c.counters.spurious_recoveries, 0u);
    }
}

TEST(Frto, Rfc5682_2_1_AnAckOfEverythingOrASecondTimeoutIsNoTest) {
    for (const bool sack : {false, true}) {
        Expired c(sack);
        c.ack(c.end);
        EXPECT_EQ(c.counters.spurious_recoveries, 0u);
        Expired d(sack);
        d.ack(1000);
        d.expire();
        EXPECT_EQ(d.seq_of(d.flush_all().at(0)), 1000u) << "what new data did not bring goes again";
        d.ack(2000);
        d.ack(3000);
        EXPECT_EQ(d.counters.spurious_recoveries, 0u);
    }
}

TEST(Recovery, Rfc6298_5_TheTimeoutStaysDoubledUntilSomethingIsMeasured) {
    Connection c;
    c.peer_timestamps = false;
    c.establish(1000, 100'000);
    const auto timeout = [&] { return *next_deadline(c.context(), c.ep()) - c.now; };
    c.send_text("a");
    c.flush_all();
    const TimeUs plain = timeout();
    c.expire();
    c.flush_all();
    c.advance(100'000);
    c.in(0, 1);
    EXPECT_EQ(c.warm.backoff, 0) << "timeouts in a row";
    c.send_text("b");
    c.flush_all();
    EXPECT_EQ(timeout(), 2 * plain);
    c.expire();
    c.flush_all();
    c.in(0, 2);
    c.send_text("c");
    c.flush_all();
    EXPECT_EQ(timeout(), 4 * plain);
    c.advance(100'000);
    c.in(0, 3);
    c.send_text("d");
    c.flush_all();
    EXPECT_LT(timeout(), plain);
}

}  // namespace
}  // namespace millrace::tcp
