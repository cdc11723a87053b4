// Keepalive: RFC 9293 §3.8.4.
#include "dataplane/tcp/keepalive.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

constexpr KeepaliveRecord settings{60, 15, 3, {}};

struct Idle : Connection {
    Idle() { establish(); }
    /// As the owner's sweep does, after `seconds` more.
    KeepaliveStep step(uint32_t seconds) {
        advance(seconds * us_per_s);
        return keepalive_step(context(), ep(), settings);
    }
};

TEST(Keepalive, Rfc9293_3_8_4_ProbesAnIdlePeerFromBeforeItsWindow) {
    Idle c;
    EXPECT_EQ(c.step(59), KeepaliveStep::none);
    EXPECT_TRUE(c.flush_all().empty());
    EXPECT_EQ(c.step(1), KeepaliveStep::probe);
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].header.seq, (c.hot.snd_nxt - 1).value);
    EXPECT_TRUE(out[0].payload.empty());
    EXPECT_EQ(c.counters.keepalive_probes, 1u);
    EXPECT_EQ(c.counters.window_probes, 0u);
    EXPECT_FALSE(next_deadline(c.context(), c.ep())) << "no timer";
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u) << "no memory";
}

TEST(Keepalive, Rfc9293_3_8_4_AnAnsweredPeerIsLeftAloneForAnotherPeriodAndNeverDies) {
    Idle c;
    c.step(60);
    for (int i = 0; i < 20; ++i) {
        c.flush_all();
        c.advance(20'000);
        c.in(0, 0);
        EXPECT_EQ(c.step(15), KeepaliveStep::none) << i;
        EXPECT_EQ(c.step(44), KeepaliveStep::none) << i;
        EXPECT_EQ(c.step(1), KeepaliveStep::probe) << i;
    }
    EXPECT_EQ(c.counters.keepalive_timeouts, 0u);
}

TEST(Keepalive, Rfc9293_3_8_4_OneLostProbeMeansNothingManyMeanDeath) {
    Idle c;
    EXPECT_EQ(c.step(60), KeepaliveStep::probe);
    c.flush_all();
    EXPECT_EQ(c.step(14), KeepaliveStep::none);
    EXPECT_EQ(c.step(1), KeepaliveStep::probe);
    c.flush_all();
    EXPECT_EQ(c.step(15), KeepaliveStep::probe);
    c.flush_all();
    EXPECT_EQ(c.step(15), KeepaliveStep::dead);
    EXPECT_EQ(c.counters.keepalive_timeouts, 1u);
}

TEST(Keepalive, OffOrWithDataInFlightItDoesNothing) {
    Idle c;
    c.advance(1000 * us_per_s);
    EXPECT_EQ(keepalive_step(c.context(), c.ep(), {}), KeepaliveStep::none);
    c.send_text("x");
    c.flush_all();
    EXPECT_EQ(c.step(60), KeepaliveStep::none) << "the retransmission timer watches";
}

TEST(Keepalive, DataSentWhileProbingHasTheOrdinaryTimer) {
    Idle c;
    c.step(60);
    c.flush_all();
    c.step(15);
    c.flush_all();
    c.send_text("x");
    c.flush_all();
    EXPECT_EQ(c.warm.backoff, 0);
    EXPECT_LE(*next_deadline(c.context(), c.ep()) - c.now, c.options.rto_initial_us);
}

}  // namespace
}  // namespace millrace::tcp
