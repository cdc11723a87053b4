// RFC 9293 §3.3.2 and §3.10.7.4 (TIME-WAIT), RFC 6191, RFC 1337.
#include "dataplane/tcp/time_wait.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

using Verdict = TimeWaitTable::Verdict;

/// A connection that has just entered TIME_WAIT: rcv_nxt is relative 1, snd_nxt relative 1.
struct Waiting : Connection {
    explicit Waiting(bool timestamps = true) : memory(8), table(memory) {
        peer_timestamps = timestamps;
        establish();
        shutdown_send(context(), ep());
        flush_all();
        in(0, 1, "", wire::tcp_fin);
        flush_all();
        table.insert(context(), ep(), local);
        release(context(), ep());
    }
    Verdict arrives(int flags, uint32_t seq, uint32_t ack, const Wire& extra = {}) {
        answer = table.on_segment(context(), from_peer(flags, seq, ack, "", extra), 7, reply);
        return answer.verdict;
    }
    std::vector<TimeWait> memory;
    TimeWaitTable table;
    TimeWaitTable::Answer answer;
    wire::OutboundSegment reply;
};

TEST(TimeWait, RepeatedFinIsAcknowledgedAndWaitsAnew) {
    Waiting c;
    c.advance(40 * us_per_s);
    EXPECT_EQ(c.arrives(wire::tcp_fin | wire::tcp_ack, 0, 1), Verdict::reply);
    EXPECT_EQ(c.reply.header.flags, wire::tcp_ack);
    EXPECT_EQ(c.reply.header.seq, (c.iss + 2).value);
    EXPECT_EQ(c.reply.header.ack, (c.irs + 2).value);
    EXPECT_TRUE(c.reply.header.options.has_timestamps);
    c.advance(59 * us_per_s);
    EXPECT_TRUE(c.table.contains(c.context(), c.tuple()));
    c.advance(2 * us_per_s);
    EXPECT_FALSE(c.table.contains(c.context(), c.tuple()));
    EXPECT_EQ(c.arrives(wire::tcp_ack, 1, 1), Verdict::unknown);
}

TEST(TimeWait, LastAckAndResetsAreDropped) {
    Waiting c;
    EXPECT_EQ(c.arrives(wire::tcp_ack, 1, 1), Verdict::dropped);
    EXPECT_EQ(c.arrives(wire::tcp_rst, 1, 1), Verdict::dropped) << "RFC 1337";
    EXPECT_TRUE(c.table.contains(c.context(), c.tuple()));
    EXPECT_EQ(c.arrives(wire::tcp_ack, 500, 1), Verdict::reply);
}

// RFC 6191 §2.
TEST(TimeWait, SynWithALargerTimestampMayReuse) {
    Waiting c;
    const uint32_t ts = c.hot.ts_recent;
    EXPECT_EQ(c.arrives(wire::tcp_syn, 5, 0, {.ts_value = ts - 1}), Verdict::reply);
    EXPECT_EQ(c.reply.header.flags, wire::tcp_ack);
    EXPECT_EQ(c.arrives(wire::tcp_syn, static_cast<uint32_t>(-100), 0, {.ts_value = ts + 1}), Verdict::reuse);
    EXPECT_TRUE(c.answer.iss > c.iss + 65536);
    EXPECT_FALSE(c.table.contains(c.context(), c.tuple()));
}

TEST(TimeWait, SynWithTheSameTimestampNeedsALargerSequenceNumber) {
    Waiting c;
    const uint32_t ts = c.hot.ts_recent;
    EXPECT_EQ(c.arrives(wire::tcp_syn, 0, 0, {.ts_value = ts}), Verdict::reply);
    EXPECT_EQ(c.arrives(wire::tcp_syn, 5, 0, {.ts_value = ts}), Verdict::reuse);
}

TEST(TimeWait, SynWithoutTimestampsNeedsALargerSequenceNumber) {
    Waiting c(false);
    EXPECT_EQ(c.arrives(wire::tcp_syn, 0, 0), Verdict::reply);
    EXPECT_EQ(c.arrives(wire::tcp_syn, 5, 0), Verdict::reuse);
}

TEST(TimeWait, OurOwnOpenTakesTheTuple) {
    Waiting c;
    const auto least = c.table.take(c.context(), c.tuple());
    ASSERT_TRUE(least);
    EXPECT_TRUE(*least > c.hot.snd_nxt + 65535);
    EXPECT_FALSE(c.table.take(c.context(), c.tuple()));
}

TEST(TimeWait, OtherTuplesAreUnknown) {
    Waiting c;
    wire::TcpSegment other = c.from_peer(wire::tcp_fin | wire::tcp_ack, 0, 1, "", {});
    other.source_port = 444;
    EXPECT_EQ(c.table.on_segment(c.context(), other, 7, c.reply).verdict, Verdict::unknown);
}

TEST(TimeWait, FullBucketForgetsWhatEndsFirst) {
    Waiting c;
    for (uint16_t i = 0; i < 8; ++i) {
        c.advance(us_per_s);
        c.hot.local_port = static_cast<uint16_t>(1000 + i);
        c.table.insert(c.context(), c.ep(), Connection::local);
    }
    EXPECT_EQ(c.counters.time_wait_evicted, 1u);
    EXPECT_FALSE(c.table.contains(c.context(), c.tuple())) << "the oldest";
    EXPECT_TRUE(c.table.contains(c.context(), {Connection::local, Connection::peer, 1000, 443}));
}

TEST(TimeWait, TheTableSurvivesItsProcess) {
    Waiting c;
    TimeWaitTable again(c.memory);
    EXPECT_TRUE(again.contains(c.context(), c.tuple()));
}

}  // namespace
}  // namespace millrace::tcp
