// RFC 9293 §3.8.6.3, RFC 5681 §4.2.
#include "dataplane/tcp/delayed_ack.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

TEST(DelayedAck, FirstSegmentWaitsForTheTimer) {
    Connection c;
    c.establish();
    const TimeUs arrived = c.now;
    c.in(0, 0, "push");
    EXPECT_TRUE(c.flush_all().empty());
    ASSERT_TRUE(next_deadline(c.context(), c.ep()));
    EXPECT_LE(*next_deadline(c.context(), c.ep()), arrived + 40'000);
    EXPECT_GT(*next_deadline(c.context(), c.ep()), arrived + 38'000);
    EXPECT_EQ(c.expire().bits, 0);
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(c.ack_of(out[0]), 4u);
    EXPECT_FALSE(next_deadline(c.context(), c.ep()));
}

TEST(DelayedAck, EverySecondSegmentIsAcknowledgedAtOnce) {
    Connection c;
    c.establish();
    size_t acks = 0;
    for (uint32_t i = 0; i < 100; ++i) {
        c.in(i * 128, 0, pattern(128));
        acks += c.flush_all().size();
    }
    EXPECT_EQ(acks, 50u);
    EXPECT_EQ(c.ack_of(c.sent.back()), 12800u);
}

// No second segment is in sight, and a peer under Nagle's rule (RFC 9293 §3.7.4) may wait for this very ACK.
TEST(DelayedAck, FirstSegmentAfterASilenceIsAcknowledgedAtOnce) {
    Connection c;
    c.establish();
    c.advance(40'000);
    c.in(0, 0, "push");
    EXPECT_EQ(c.flush_all().size(), 1u);
    EXPECT_FALSE(next_deadline(c.context(), c.ep())) << "a lone push costs no timer";
    c.advance(39'000);
    c.in(4, 0, "push");
    EXPECT_TRUE(c.flush_all().empty());
}

// The silence is one without timestamps too.
TEST(DelayedAck, SilenceNeedsNoTimestamps) {
    Connection c;
    c.peer_timestamps = false;
    c.establish();
    c.advance(40'000);
    c.in(0, 0, "push");
    EXPECT_EQ(c.flush_all().size(), 1u);
    c.advance(10'000);
    c.in(4, 0, "push");
    EXPECT_TRUE(c.flush_all().empty());
    EXPECT_LE(*next_deadline(c.context(), c.ep()), c.now + 40'000);
}

TEST(DelayedAck, DataTheOtherWayCarriesIt) {
    Connection c;
    c.establish();
    c.in(0, 0, "ask");
    EXPECT_TRUE(c.flush_all().empty());
    c.send_text("answer");
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].payload, "answer");
    EXPECT_EQ(c.ack_of(out[0]), 3u);
    c.advance(100'000);
    on_deadline(c.context(), c.ep());
    EXPECT_TRUE(c.flush_all().empty());
}

TEST(DelayedAck, BothDeadlinesAreKept) {
    Connection c;
    c.establish();
    c.send_text("data");
    c.flush_all();
    c.in(0, 0, "ask");
    c.flush_all();
    const TimeUs ack_due = *next_deadline(c.context(), c.ep());
    EXPECT_LE(ack_due, c.now + 40'000);
    c.expire();
    EXPECT_EQ(c.counters.rto_timeouts, 0u);
    EXPECT_EQ(c.flush_all().size(), 1u);
    EXPECT_GT(*next_deadline(c.context(), c.ep()), ack_due);
}

// RFC 5681 §4.2: "SHOULD be acknowledged immediately, in order to accelerate loss recovery".
TEST(DelayedAck, HolesAndWhatFillsThemDoNotWait) {
    Connection c;
    c.establish();
    c.in(10, 0, "0123456789");
    EXPECT_EQ(c.flush_all().size(), 1u);
    c.in(30, 0, "0123456789");
    EXPECT_EQ(c.flush_all().size(), 1u);
    c.in(0, 0, "0123456789");
    EXPECT_EQ(c.ack_of(c.flush_all().at(0)), 20u) << "fills one of two holes";
    c.in(20, 0, "0123456789");
    EXPECT_EQ(c.ack_of(c.flush_all().at(0)), 40u);
}

TEST(DelayedAck, FinAndDuplicatesDoNotWait) {
    Connection c;
    c.establish();
    c.in(0, 0, "abcd");
    c.in(0, 0, "abcd");
    EXPECT_EQ(c.flush_all().size(), 1u);
    c.in(2, 0, "cdef");
    EXPECT_EQ(c.flush_all().size(), 1u) << "partly a duplicate";
    c.in(6, 0, "gh", wire::tcp_fin);
    EXPECT_EQ(c.flush_all().size(), 1u);
}

TEST(DelayedAck, AWindowThatCouldHoldThePeerUpDoesNotWait) {
    Connection c;
    c.options.receive_window_bytes = 2500;
    c.receive_space = 2500;
    c.establish(1000);
    c.in(0, 0, pattern(600));
    EXPECT_EQ(c.flush_all().size(), 1u);
}

TEST(DelayedAck, MoreThanTheWindowIsAnsweredAtOnce) {
    Connection c;
    c.options.receive_window_bytes = 4;
    c.receive_space = 4;
    c.establish();
    c.receive_space = 0;
    c.in(0, 0, "abcd");
    c.flush_all();
    c.in(4, 0, "e");  // RFC 9293 §3.8.6.1: a probe
    EXPECT_EQ(c.flush_all().size(), 1u);
    EXPECT_EQ(c.received, "abcd");
}

TEST(DelayedAck, DelayOfZeroTurnsItOff) {
    Connection c;
    c.options.ack_delay_ms = 0;
    c.establish();
    c.in(0, 0, "a");
    EXPECT_EQ(c.flush_all().size(), 1u);
}

// What is sent before the window is not an acknowledgement that the peer reads.
TEST(DelayedAck, WindowProbeDoesNotCarryIt) {
    Connection c;
    c.establish();
    c.in(0, 0, "", 0, {.window = 0});
    c.send_text("waits");
    c.flush_all();
    while (!c.hot.has(flag_probe_wanted)) c.expire();
    c.in(0, 0, "", 0, {.window = 0});  // no silence
    c.in(0, 0, "abc", 0, {.window = 0});
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(c.seq_of(out[0]), static_cast<uint32_t>(-1));
    EXPECT_EQ(c.hot.ack_delayed, 1);
    c.expire();
    EXPECT_EQ(c.ack_of(c.flush_all().at(0)), 3u);
}

}  // namespace
}  // namespace millrace::tcp
