// Recovery with SACK: RFC 6675 §5, RFC 9937 §6, RFC 8985 §6.3 and §7, RFC 3522, RFC 4015, RFC 3708, RFC 3168 §6.1.2.
#include <gtest/gtest.h>

#include "dataplane/tcp/recovery.h"
#include "sack_loss.h"

namespace millrace::tcp {
namespace {

using Seqs = std::vector<uint32_t>;

// RFC 9937 §6: on the way down from a pipe above ssthresh, 0.7 segments are sent for each that is delivered.
TEST(RecoverySack, RateIsReducedInProportion) {
    SackLoss c(40'000);
    c.ack(0, {{1000, 4000}});
    EXPECT_EQ(c.warm.ssthresh, 7000u) << "RFC 9438 §4.6";
    EXPECT_EQ(c.seqs(c.sent), Seqs{0}) << "the fast retransmit and no more";
    for (uint32_t end = 5000; end <= 10'000; end += 1000) c.ack(0, {{1000, end}});
    EXPECT_NEAR(static_cast<double>(c.sent.size()), 9 * 0.7, 1.0);
    EXPECT_EQ(c.counters.retransmitted_segments, 1u);
    c.ack(10'000 + static_cast<uint32_t>(c.sent.size() - 1) * 1000);
    EXPECT_FALSE(c.hot.has(flag_fast_recovery));
    EXPECT_EQ(c.warm.cwnd, 7000u);
}

// RFC 6675 §5: all holes within one round trip, none twice.
TEST(RecoverySack, EveryHoleIsFilledOnce) {
    SackLoss c(10'000);
    c.ack(0, {{9000, 10'000}, {7000, 8000}, {5000, 6000}, {2000, 3000}});
    c.advance(5000);
    for (int i = 0; i < 4; ++i) c.ack(0, {{9000, 10'000}, {7000, 8000}, {5000, 6000}, {2000, 3000}});
    c.ack(2000, {{9000, 10'000}, {7000, 8000}, {5000, 6000}, {2000, 3000}});
    c.ack(5000, {{9000, 10'000}, {7000, 8000}, {5000, 6000}});
    const Seqs again = c.seqs(c.sent);
    EXPECT_EQ(again, (Seqs{0, 1000, 3000, 4000, 6000, 8000}));
}

TEST(RecoverySack, StateIsGivenBack) {
    SackLoss c(10'000);
    c.ack(0, {{1000, 10'000}});
    EXPECT_NE(c.warm.extension, store::no_chunk);
    c.ack(10'000);
    EXPECT_EQ(c.warm.extension, store::no_chunk);
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

// RFC 8985 §6.3: a timeout sends the head, and what is as old, but nothing that was reported.
TEST(RecoverySack, TimeoutSparesWhatWasReported) {
    SackLoss c(10'000);
    c.ack(0, {{2000, 3000}, {8000, 9000}});
    c.flush_all();
    c.sent.clear();
    while (c.counters.rto_timeouts == 0) c.expire();
    c.flush_all();
    EXPECT_EQ(c.warm.cwnd, 1000u);
    EXPECT_EQ(c.seqs(c.sent).back(), 0u);
    c.sent.clear();
    for (uint32_t at : {1000u, 3000u, 4000u, 5000u, 6000u, 7000u, 9000u, 10'000u}) c.ack(at);
    for (const uint32_t seq : c.seqs(c.sent)) EXPECT_TRUE(seq != 2000 && seq != 8000) << seq;
    EXPECT_EQ(in_flight(c.hot), 0u);
}

TEST(RecoverySack, WorksWithoutAChunkForItsState) {
    SackLoss c(10'000);
    c.exhaust_chunks();
    EXPECT_TRUE(c.ack(0, {{1000, 10'000}}).empty());
    EXPECT_GT(c.counters.recovery_without_state, 0u);
    while (c.counters.rto_timeouts == 0) c.expire();
    EXPECT_EQ(c.seqs(c.flush_all()), Seqs{0});
    c.ack(10'000);
    EXPECT_EQ(in_flight(c.hot), 0u);
}

// RFC 8985 §7.3: after two round trips of silence one segment goes: new data if there is, ...
TEST(RecoverySack, TailProbeIsNewDataIfThereIsSome) {
    SackLoss c(20'000);
    c.now -= 10'000;
    EXPECT_EQ(*next_deadline(c.context(), c.ep()), c.now + 2 * c.hot.srtt_us);
    c.expire();
    EXPECT_EQ(c.seqs(c.flush_all()), Seqs{10'000}) << "beyond the congestion window";
    EXPECT_EQ(c.counters.tail_loss_probes, 1u);
    EXPECT_EQ(*next_deadline(c.context(), c.ep()), c.now + c.options.rto_min_us) << "one probe, then the timeout";
    EXPECT_TRUE(c.flush_all().empty());
}

// RFC 8985 §7.2: each new segment starts the wait anew, though others wait behind it and no ACK has come.
TEST(RecoverySack, TailProbeWaitsTwoRoundTripsFromTheLatestSegment) {
    SackLoss c(25'500);
    c.advance(5000);
    c.warm.cwnd += 3000;
    EXPECT_EQ(c.seqs(c.flush_all()), (Seqs{10'000, 11'000, 12'000}));
    EXPECT_EQ(*next_deadline(c.context(), c.ep()), c.now + 2 * c.hot.srtt_us);
}

// The same while what waits was queued behind the last byte sent.
TEST(RecoverySack, TailProbeWaitsTwoRoundTripsWhateverIsQueuedLater) {
    SackLoss c(10'000);
    c.advance(5000);
    c.warm.cwnd += 1000;
    c.send_text(pattern(1000, 10'000));
    EXPECT_EQ(c.seqs(c.flush_all()), Seqs{10'000});
    c.send_text(pattern(5000, 11'000));
    EXPECT_TRUE(c.flush_all().empty());
    EXPECT_EQ(*next_deadline(c.context(), c.ep()), c.now + 2 * c.hot.srtt_us);
}

// ... or else the last segment again; the SACK that it brings starts fast recovery (§7.4).
TEST(RecoverySack, TailProbeFindsALossAtTheEnd) {
    SackLoss c(5000);
    c.ack(1000);
    c.expire();
    EXPECT_EQ(c.seqs(c.flush_all()), Seqs{4000});
    c.advance(10'000);
    const Seqs out = c.seqs(c.ack(1000, {{4000, 5000}}));
    EXPECT_EQ(out.at(0), 1000u);
    EXPECT_EQ(c.counters.rto_timeouts, 0u);
}

// §7.4.2: a probe that repaired the only loss still was congestion; one that was not needed comes back as a D-SACK.
TEST(RecoverySack, TailProbeThatRepairedALossReducesTheWindow) {
    for (const bool needed : {true, false}) {
        SackLoss c(5000);
        c.ack(4000);
        c.send_text(pattern(1000, 5000));
        c.flush_all();
        c.expire();
        c.flush_all();
        const uint32_t before = c.warm.cwnd;
        c.advance(10'000);
        if (needed)
            c.ack(6000);
        else
            c.ack(6000, {{5000, 6000}});
        c.send_text(pattern(1000, 6000));
        c.flush_all();
        c.advance(10'000);
        c.ack(7000);
        EXPECT_EQ(c.warm.cwnd < before, needed);
        EXPECT_EQ(c.warm.extension, store::no_chunk);
    }
}

// RFC 8985 §7.2: a lone segment may wait for a delayed ACK; with the usual smallest timeout it gets no probe.
TEST(RecoverySack, LoneSegmentGetsNoProbe) {
    SackLoss c(500);
    c.now -= 10'000;
    EXPECT_EQ(*next_deadline(c.context(), c.ep()), c.now + c.options.rto_min_us);
}

// RFC 3522, RFC 4015 §3.2: the ACK of what was sent again echoes a timestamp from before.
TEST(RecoverySack, SpuriousRetransmissionIsUndoneByTimestamps) {
    SackLoss c;
    const uint32_t cwnd = c.warm.cwnd;
    const uint32_t first = c.last_ts_value;
    c.ack(0, {{1000, 4000}}, first);
    EXPECT_TRUE(c.hot.has(flag_fast_recovery));
    c.ack(4000, {}, first);
    EXPECT_FALSE(c.hot.has(flag_fast_recovery));
    EXPECT_EQ(c.counters.spurious_recoveries, 1u);
    EXPECT_GE(c.warm.cwnd, cwnd);
    EXPECT_GT(c.warm.ssthresh, 1'000'000u);
}

TEST(RecoverySack, RealRetransmissionIsNotUndone) {
    SackLoss c;
    c.ack(0, {{1000, 4000}});
    c.advance(10'000);
    c.ack(4000);
    EXPECT_EQ(c.counters.spurious_recoveries, 0u);
    EXPECT_EQ(c.warm.ssthresh, 7000u);
}

TEST(RecoverySack, SpuriousTimeoutIsUndoneByTimestamps) {
    SackLoss c(10'000);
    const uint32_t first = c.last_ts_value;
    while (c.counters.rto_timeouts == 0) c.expire();
    c.flush_all();
    EXPECT_EQ(c.warm.cwnd, 1000u);
    c.ack(1000, {}, first);
    EXPECT_FALSE(c.hot.has(flag_rto_recovery));
    EXPECT_GE(c.warm.cwnd, 10'000u);
    c.sent.clear();
    c.ack(2000, {}, first);
    EXPECT_EQ(c.counters.spurious_recoveries, 1u);
    EXPECT_TRUE(c.sent.empty()) << "nothing else goes twice";
}

// RFC 3708 §3.
TEST(RecoverySack, SpuriousRetransmissionIsUndoneByDuplicateSacks) {
    SackLoss c;
    c.ack(0, {{1000, 4000}});
    c.ack(4000);
    EXPECT_EQ(c.counters.spurious_recoveries, 0u);
    c.ack(4000, {{0, 1000}});
    EXPECT_EQ(c.counters.spurious_recoveries, 1u);
    EXPECT_GT(c.warm.ssthresh, 1'000'000u);
}

// RFC 3168 §6.1.2: once per round trip, announced by CWR on the next new data; only new data is ECN-capable (§6.1.5).
TEST(RecoverySack, CongestionEchoHalvesOncePerRoundTrip) {
    SackLoss c(40'000);
    c.hot.set(flag_ecn);
    c.in(0, 1000, "", wire::tcp_ece);
    const uint32_t reduced = c.warm.cwnd;
    EXPECT_EQ(reduced, 6300u);
    c.in(0, 2000, "", wire::tcp_ece);
    c.in(0, 3000, "", wire::tcp_ece);
    EXPECT_GE(c.warm.cwnd, reduced);
    c.in(0, 6000, "", wire::tcp_ece);
    EXPECT_EQ(c.counters.ecn_reductions, 1u);
    const auto out = c.flush_all();
    ASSERT_GE(out.size(), 2u);
    EXPECT_TRUE(out[0].has(wire::tcp_cwr));
    EXPECT_EQ(out[0].header.ip_ecn, 2);
    EXPECT_FALSE(out[1].has(wire::tcp_cwr));
    c.in(0, 11'000, "", wire::tcp_ece);
    EXPECT_EQ(c.counters.ecn_reductions, 2u);
    c.in(0, 12'000);
    EXPECT_EQ(c.counters.retransmitted_segments, 0u);
}

// RFC 5681 §4.1: the sender restarts after a pause.
TEST(RecoverySack, WindowDecaysWhileIdle) {
    SackLoss c(10'000);
    c.warm.cwnd = 80'000;
    c.ack(10'000);
    c.advance(450'000);
    c.send_text(pattern(60'000));
    const size_t burst = c.flush_all().size();
    EXPECT_EQ(c.warm.cwnd, 20'000u);
    EXPECT_EQ(burst, 20u);
}

}  // namespace
}  // namespace millrace::tcp
