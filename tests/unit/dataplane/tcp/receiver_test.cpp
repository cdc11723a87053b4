// RFC 9293 §3.10.7.4, RFC 7323 §4–§5, RFC 5961 §3–§5, RFC 5681 §3.2 (duplicate ACKs).
#include "dataplane/tcp/receiver.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

TEST(Receiver, InOrderPayloadIsConsumedAndAcknowledgedOnce) {
    Connection c;
    c.establish();
    EXPECT_EQ(c.in(0, 0, "ab").consumed, 2u);
    EXPECT_EQ(c.in(2, 0, "cd").consumed, 2u);
    EXPECT_EQ(c.received, "abcd");
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u) << "one ACK for the burst";
    EXPECT_EQ(c.ack_of(out[0]), 4u);
    EXPECT_EQ(out[0].header.flags, wire::tcp_ack);
    EXPECT_TRUE(c.flush_all().empty());
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

TEST(Receiver, WhatTheConsumerLeavesIsNotAcknowledged) {
    Connection c;
    c.establish();
    c.accept_max = 3;
    const Events events = c.in(0, 0, "abcdef", wire::tcp_fin);
    EXPECT_EQ(events.consumed, 3u);
    EXPECT_FALSE(events.has(event_peer_fin));
    EXPECT_EQ(c.ack_of(c.flush_all()[0]), 3u);
    EXPECT_EQ(c.counters.payload_refused, 1u);
    c.accept_max = SIZE_MAX;
    EXPECT_TRUE(c.in(3, 0, "def", wire::tcp_fin).has(event_peer_fin));
    EXPECT_EQ(c.received, "abcdef");
}

TEST(Receiver, NothingAcceptedNothingAcknowledged) {
    Connection c;
    c.establish();
    c.accept_max = 0;
    EXPECT_EQ(c.in(0, 0, "abc").consumed, 0u);
    EXPECT_EQ(c.ack_of(c.flush_all()[0]), 0u);
}

TEST(Receiver, KnownBytesAreCutFromTheLeft) {
    Connection c;
    c.establish();
    c.in(0, 0, "abcd");
    EXPECT_EQ(c.in(2, 0, "cdef").consumed, 2u);
    EXPECT_EQ(c.received, "abcdef");
}

TEST(Receiver, DuplicateIsAnsweredWithAnAck) {
    Connection c;
    c.establish();
    c.in(0, 0, "abcd");
    c.flush_all();
    EXPECT_EQ(c.in(0, 0, "abcd").consumed, 0u);
    EXPECT_EQ(c.received, "abcd");
    EXPECT_EQ(c.ack_of(c.flush_all().at(0)), 4u);
    EXPECT_EQ(c.counters.duplicate_data_in, 1u);
}

TEST(Receiver, BytesBeyondTheWindowAreCutFromTheRight) {
    Connection c;
    c.options.receive_window_bytes = 10;
    c.receive_space = 10;
    c.establish();
    EXPECT_EQ(c.in(0, 0, "0123456789A", wire::tcp_fin).consumed, 10u);
    EXPECT_EQ(c.received, "0123456789");
    EXPECT_EQ(c.counters.beyond_window_in, 1u);
    EXPECT_EQ(c.hot.state, State::established) << "its FIN was outside";
}

TEST(Receiver, OutOfOrderBytesAreCutAtTheWindowToo) {
    Connection c;
    c.options.receive_window_bytes = 10;
    c.receive_space = 10;
    c.establish();
    c.in(5, 0, "56789ABCDEF");
    EXPECT_EQ(c.in(0, 0, "01234").consumed, 10u);
    EXPECT_EQ(c.received, "0123456789");
}

// RFC 5681 §3.2: the peer counts duplicate ACKs, so a burst must not merge them.
TEST(Receiver, EachOutOfOrderSegmentOwesADuplicateAck) {
    Connection c;
    c.establish();
    for (uint32_t i = 1; i <= 3; ++i) c.in(i * 10, 0, "0123456789");
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 3u);
    for (const Sent& segment : out) EXPECT_EQ(c.ack_of(segment), 0u);
    EXPECT_TRUE(c.flush_all().empty());
    EXPECT_EQ(c.in(0, 0, "0123456789").consumed, 40u);
    EXPECT_EQ(c.ack_of(c.flush_all().at(0)), 40u);
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

TEST(Receiver, OwedDuplicatesEndWhenTheHoleFillsInTheSameBurst) {
    Connection c;
    c.establish();
    c.in(10, 0, "0123456789");
    c.in(20, 0, "0123456789");
    c.in(0, 0, "0123456789");
    EXPECT_EQ(c.flush_all().size(), 1u);
}

TEST(Receiver, OwedDuplicatesWaitForCredit) {
    Connection c;
    c.establish();
    for (uint32_t i = 1; i <= 9; ++i) c.in(i * 10, 0, "0123456789");
    EXPECT_TRUE(c.flush_with(2).wants_credit);
    EXPECT_EQ(c.sent.size(), 2u);
    EXPECT_FALSE(c.flush_with(100).wants_credit);
    EXPECT_EQ(c.sent.size(), 7u) << "at most seven are remembered";
}

TEST(Receiver, FinAheadOfItsTimeWaits) {
    Connection c;
    c.establish();
    EXPECT_FALSE(c.in(3, 0, "def", wire::tcp_fin).has(event_peer_fin));
    const Events events = c.in(0, 0, "abc");
    EXPECT_TRUE(events.has(event_peer_fin));
    EXPECT_EQ(c.received, "abcdef");
    EXPECT_EQ(c.hot.state, State::close_wait);
    EXPECT_EQ(c.ack_of(c.flush_all().back()), 7u) << "the FIN counts one";
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

TEST(Receiver, BareFinAheadOfItsTimeWaits) {
    Connection c;
    c.establish();
    c.in(3, 0, "", wire::tcp_fin);
    EXPECT_GT(c.chunks.bytes_in_use(), 0u);
    EXPECT_TRUE(c.in(0, 0, "abc").has(event_peer_fin));
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

TEST(Receiver, NothingIsTakenBehindTheFin) {
    Connection c;
    c.establish();
    c.in(0, 0, "abc", wire::tcp_fin);
    c.flush_all();
    EXPECT_EQ(c.in(4, 0, "more").consumed, 0u);
    EXPECT_EQ(c.received, "abc");
    EXPECT_EQ(c.ack_of(c.flush_all().at(0)), 4u);
}

TEST(Receiver, FinFitsIntoAFullWindow) {
    Connection c;
    c.options.receive_window_bytes = 4;
    c.receive_space = 4;
    c.establish();
    c.receive_space = 0;
    EXPECT_TRUE(c.in(0, 0, "abcd", wire::tcp_fin).has(event_peer_fin));
    EXPECT_TRUE(c.hot.rcv_nxt <= c.hot.rcv_adv);
    EXPECT_EQ(c.ack_of(c.flush_all().at(0)), 5u);
}

// RFC 9293 §3.10.7.4: with a closed window, valid ACKs still count.
TEST(Receiver, AckCountsAtAClosedWindow) {
    Connection c;
    c.options.receive_window_bytes = 4;
    c.receive_space = 4;
    c.establish();
    c.send_text("xyz");
    c.flush_all();
    c.receive_space = 0;
    c.in(0, 0, "abcd");
    EXPECT_EQ(c.in(4, 3, "e").acked, 3u);
    EXPECT_EQ(c.received, "abcd");
}

TEST(Receiver, KeepAliveProbeIsAnswered) {
    Connection c;
    c.establish();
    c.options.challenge_acks_per_second = 0;
    c.in(static_cast<uint32_t>(-1), 0);
    EXPECT_EQ(c.flush_all().size(), 1u);
}

TEST(Receiver, AckOutsideTheWindowIsAnsweredWithinTheBudget) {
    Connection c;
    c.establish();
    c.in(static_cast<uint32_t>(-100), 0);
    EXPECT_EQ(c.flush_all().size(), 1u);
    c.advance(us_per_s / 4);
    c.in(100'000, 0);
    EXPECT_TRUE(c.flush_all().empty()) << "not this connection's turn";
    c.advance(us_per_s / 4);
    c.in(100'000, 0);
    EXPECT_EQ(c.flush_all().size(), 1u);
    EXPECT_EQ(c.counters.challenge_acks, 2u);
    c.options.challenge_interval_ms = 0;
    c.budgets.challenges.left = 0;
    c.in(100'000, 0);
    EXPECT_TRUE(c.flush_all().empty());
}

// RFC 7323 §5.3 R1.
TEST(Receiver, PawsDropsAnOldSegmentAndAnswers) {
    Connection c;
    c.establish();
    const uint32_t recent = c.hot.ts_recent;
    EXPECT_EQ(c.in(0, 0, "old", 0, {.ts_value = recent - 1}).consumed, 0u);
    EXPECT_EQ(c.received, "");
    EXPECT_EQ(c.ack_of(c.flush_all().at(0)), 0u);
    EXPECT_EQ(c.counters.paws_rejected, 1u);
    EXPECT_EQ(c.in(0, 0, "new", 0, {.ts_value = recent}).consumed, 3u);
}

// The reply to an old pure ACK could be old to the other side: without a limit the two would go on for ever.
TEST(Receiver, PawsAnswersPureAcksWithinTheBudget) {
    Connection c;
    c.establish();
    const uint32_t recent = c.hot.ts_recent;
    c.in(0, 0, "", 0, {.ts_value = recent - 1});
    EXPECT_EQ(c.flush_all().size(), 1u);
    c.in(0, 0, "", 0, {.ts_value = recent - 1});
    EXPECT_TRUE(c.flush_all().empty());
    EXPECT_EQ(c.counters.challenge_acks_limited, 1u);
}

// RFC 7323 §5.5: after 24 days a timestamp says nothing.
TEST(Receiver, PawsForgetsAfter24Days) {
    Connection c;
    c.establish();
    const uint32_t recent = c.hot.ts_recent;
    c.advance(25ull * 24 * 3600 * us_per_s);
    EXPECT_EQ(c.in(0, 0, "x", 0, {.ts_value = recent - 1}).consumed, 1u);
    EXPECT_EQ(c.hot.ts_recent, recent - 1);
}

// RFC 7323 §3.2.
TEST(Receiver, SegmentWithoutTheNegotiatedTimestampIsDropped) {
    Connection c;
    c.establish();
    EXPECT_EQ(c.in(0, 0, "x", 0, {.without_timestamps = true}).consumed, 0u);
    EXPECT_TRUE(c.flush_all().empty());
    EXPECT_EQ(c.counters.missing_timestamp, 1u);
}

// RFC 7323 §4.3: the echo is of the earliest segment not yet acknowledged, and never of one beyond a hole.
TEST(Receiver, EchoIsOfTheFirstUnacknowledgedSegment) {
    Connection c;
    c.establish();
    const uint32_t recent = c.hot.ts_recent;
    c.in(10, 0, "ahead", 0, {.ts_value = recent + 5});
    EXPECT_EQ(c.hot.ts_recent, recent);
    c.flush_all();
    c.in(0, 0, "ab", 0, {.ts_value = recent + 7});
    c.in(2, 0, "cd", 0, {.ts_value = recent + 9});
    EXPECT_EQ(c.flush_all().at(0).header.options.ts_echo, recent + 7);
    c.in(4, 0, "ef", 0, {.ts_value = recent + 11});
    EXPECT_EQ(c.flush_all().at(0).header.options.ts_echo, recent + 11);
}

// RFC 7323 §4.3: Last.ACK.sent has not moved while only out-of-order segments came: the segment that fills the hole
// counts, as Eifel detection (RFC 3522) needs it.
TEST(Receiver, EchoIsOfTheSegmentThatFillsTheHole) {
    Connection c;
    c.establish();
    const uint32_t recent = c.hot.ts_recent;
    c.in(10, 0, "0123456789", 0, {.ts_value = recent + 5});
    c.in(0, 0, "0123456789", 0, {.ts_value = recent + 9});
    EXPECT_EQ(c.flush_all().back().header.options.ts_echo, recent + 9);
}

// RFC 5961 §3.2.
TEST(Receiver, ResetCountsOnlyAtRcvNxt) {
    Connection c;
    c.establish();
    EXPECT_EQ(c.give(c.from_peer(wire::tcp_rst, 100'000, 0, "", {})).bits, 0);
    EXPECT_TRUE(c.flush_all().empty());
    EXPECT_EQ(c.give(c.from_peer(wire::tcp_rst, 1, 0, "", {})).bits, 0);
    EXPECT_EQ(c.flush_all().size(), 1u) << "challenge ACK";
    EXPECT_EQ(c.hot.state, State::established);
    EXPECT_EQ(c.give(c.from_peer(wire::tcp_rst, 0, 0, "", {})).bits, event_reset);
    EXPECT_EQ(c.hot.state, State::closed);
}

// RFC 7323 §5.2: PAWS does not apply to RST.
TEST(Receiver, ResetNeedsNoTimestamp) {
    Connection c;
    c.establish();
    EXPECT_EQ(c.give(c.from_peer(wire::tcp_rst, 0, 0, "", {.without_timestamps = true})).bits, event_reset);
}

// RFC 5961 §4.2: any SYN gets a challenge ACK, and a restarted peer then resets us.
TEST(Receiver, SynIsChallenged) {
    Connection c;
    c.establish();
    for (uint32_t seq : {0u, 5u, 1'000'000u}) {
        c.advance(us_per_s);
        c.give(c.from_peer(wire::tcp_syn, seq, 0, "", {}));
        const auto out = c.flush_all();
        ASSERT_EQ(out.size(), 1u);
        EXPECT_EQ(c.ack_of(out[0]), 0u);
    }
    EXPECT_EQ(c.hot.state, State::established);
}

TEST(Receiver, SegmentWithoutAckIsDropped) {
    Connection c;
    c.establish();
    EXPECT_EQ(c.give(c.from_peer(0, 0, 0, "x", {})).consumed, 0u);
}

TEST(Receiver, ChallengeAcksEndWithTheBudget) {
    Connection c;
    c.options.challenge_acks_per_second = 10;
    c.options.challenge_interval_ms = 0;
    c.establish();
    size_t answers = 0;
    for (int i = 0; i < 100; ++i) {
        c.give(c.from_peer(wire::tcp_syn, 0, 0, "", {}));
        answers += c.flush_all().size();
    }
    EXPECT_GE(answers, 5u);
    EXPECT_LE(answers, 15u);
    EXPECT_EQ(c.counters.challenge_acks_limited, 100 - answers);
    c.advance(us_per_s);
    c.give(c.from_peer(wire::tcp_syn, 0, 0, "", {}));
    EXPECT_EQ(c.flush_all().size(), 1u);
}

// RFC 5961 §7: one connection, attacked, does not use up what is there for all.
TEST(Receiver, ChallengeAcksAreLimitedPerConnection) {
    Connection c;
    c.establish();
    size_t answers = 0;
    for (int i = 0; i < 100; ++i) {
        c.advance(10'000);
        c.give(c.from_peer(wire::tcp_rst, 1, 0, "", {}));
        answers += c.flush_all().size();
    }
    EXPECT_EQ(answers, 2u) << "in one second";
    c.advance(us_per_s);
    on_sweep(c.context(), c.ep());
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u) << "and the sweep forgets it";
}

// RFC 9293 §3.10.7.4: nothing lies behind a FIN, even one that waits for what is before it.
TEST(Receiver, NothingIsTakenBehindAFinThatWaits) {
    Connection c;
    c.establish();
    c.in(3, 0, "", wire::tcp_fin);
    c.in(4, 0, "beyond");
    c.in(2, 0, "cdefg");
    EXPECT_TRUE(c.in(0, 0, "ab").has(event_peer_fin));
    EXPECT_EQ(c.received, "abc");
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

TEST(Receiver, FinBeforeDataThatIsHeldDoesNotCount) {
    Connection c;
    c.establish();
    c.in(4, 0, "efgh");
    c.in(2, 0, "", wire::tcp_fin);
    EXPECT_FALSE(c.in(0, 0, "abcd").has(event_peer_fin));
    EXPECT_EQ(c.received, "abcdefgh");
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

TEST(Receiver, HeldDataBehindAFinInOrderIsForgotten) {
    Connection c;
    c.establish();
    c.in(5, 0, "fgh");
    EXPECT_TRUE(c.in(0, 0, "abc", wire::tcp_fin).has(event_peer_fin));
    EXPECT_EQ(c.received, "abc");
    c.flush_all();
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

TEST(Receiver, SequenceNumbersWrap) {
    Connection c;
    c.irs = Seq{0xfffffffa};
    c.establish();
    c.in(5, 0, "fghij");
    EXPECT_EQ(c.in(0, 0, "abcde").consumed, 10u);
    EXPECT_EQ(c.received, "abcdefghij");
    EXPECT_EQ(c.hot.rcv_nxt, (Seq{5}));
}

// Urgent data is passed on as data (RFC 9293 §3.8.5, RFC 6093).
TEST(Receiver, UrgentDataIsData) {
    Connection c;
    c.establish();
    wire::TcpSegment segment = c.from_peer(wire::tcp_ack | wire::tcp_urg, 0, 0, "abc", {});
    segment.urgent = 2;
    EXPECT_EQ(c.give(segment).consumed, 3u);
    EXPECT_EQ(c.received, "abc");
}

}  // namespace
}  // namespace millrace::tcp
