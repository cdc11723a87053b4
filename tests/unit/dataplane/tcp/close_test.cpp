// RFC 9293 §3.6, §3.10.4, §3.10.5, §3.10.7.1 and the state diagram of §3.3.2.
#include "dataplane/tcp/close.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

/// Established, our FIN sent.
struct Closing : Connection {
    Closing() {
        establish();
        shutdown_send(context(), ep());
        const auto out = flush_all();
        fin_sent = out.size() == 1 && out[0].has(wire::tcp_fin);
    }
    bool fin_sent = false;
};

TEST(Close, ActiveClose) {
    Closing c;
    EXPECT_TRUE(c.fin_sent);
    EXPECT_EQ(c.hot.state, State::fin_wait_1);
    EXPECT_EQ(c.in(0, 1).bits, 0);
    EXPECT_EQ(c.hot.state, State::fin_wait_2);
    EXPECT_FALSE(next_deadline(c.context(), c.ep()));
    EXPECT_EQ(c.in(0, 1, "late").consumed, 4u) << "half closed: the peer may send";
    const Events events = c.in(4, 1, "", wire::tcp_fin);
    EXPECT_EQ(events.bits, event_peer_fin | event_time_wait);
    EXPECT_EQ(c.hot.state, State::time_wait);
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(c.ack_of(out[0]), 5u);
    EXPECT_EQ(c.seq_of(out[0]), 1u);
}

TEST(Close, FinAndAckOfOursInOneSegment) {
    Closing c;
    EXPECT_EQ(c.in(0, 1, "bye", wire::tcp_fin).bits, event_data | event_peer_fin | event_time_wait);
    EXPECT_EQ(c.received, "bye");
}

TEST(Close, PassiveClose) {
    Connection c;
    c.establish();
    EXPECT_EQ(c.in(0, 0, "", wire::tcp_fin).bits, event_peer_fin);
    EXPECT_EQ(c.hot.state, State::close_wait);
    EXPECT_EQ(c.send_text("rest"), 4u) << "our direction is open";
    shutdown_send(c.context(), c.ep());
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u) << "data, FIN and ACK together";
    EXPECT_TRUE(out[0].has(wire::tcp_fin));
    EXPECT_EQ(out[0].payload, "rest");
    EXPECT_EQ(c.ack_of(out[0]), 1u);
    EXPECT_EQ(c.hot.state, State::last_ack);
    const Events events = c.in(1, 5);
    EXPECT_EQ(events.bits, event_acked | event_closed);
    EXPECT_EQ(c.hot.state, State::closed);
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

TEST(Close, SimultaneousClose) {
    Closing c;
    EXPECT_EQ(c.in(0, 0, "", wire::tcp_fin).bits, event_peer_fin);
    EXPECT_EQ(c.hot.state, State::closing);
    EXPECT_EQ(c.ack_of(c.flush_all().at(0)), 1u);
    EXPECT_EQ(c.in(1, 1).bits, event_time_wait);
    EXPECT_EQ(c.hot.state, State::time_wait);
}

TEST(Close, FinFollowsTheQueue) {
    Connection c;
    c.establish(1000);
    c.send_text(pattern(12'000));
    shutdown_send(c.context(), c.ep());
    for (const Sent& segment : c.flush_all()) EXPECT_FALSE(segment.has(wire::tcp_fin));
    EXPECT_EQ(c.hot.state, State::established);
    c.in(0, 10'000);
    const auto out = c.flush_all();
    EXPECT_TRUE(out.back().has(wire::tcp_fin));
    EXPECT_EQ(c.in(0, 12'000).acked, 2000u);
    EXPECT_EQ(c.hot.state, State::fin_wait_1);
    c.in(0, 12'001);
    EXPECT_EQ(c.hot.state, State::fin_wait_2);
}

TEST(Close, ShutdownTwiceSendsOneFin) {
    Closing c;
    shutdown_send(c.context(), c.ep());
    EXPECT_TRUE(c.flush_all().empty());
}

TEST(Close, ShutdownBeforeTheHandshakeFollowsIt) {
    Connection c;
    c.open();
    c.flush_all();
    c.send_text("x");
    shutdown_send(c.context(), c.ep());
    c.give(c.syn_ack());
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].payload, "x");
    EXPECT_TRUE(out[0].has(wire::tcp_fin));
}

TEST(Close, AbortSendsAResetWhereThePeerKnowsUs) {
    Connection c;
    c.establish();
    c.send_text(pattern(500));
    c.in(10, 0, "held");
    c.flush_all();
    const auto reset = tcp::abort(c.context(), c.ep());
    ASSERT_TRUE(reset);
    EXPECT_EQ(reset->header.flags, wire::tcp_rst | wire::tcp_ack);
    EXPECT_EQ(reset->header.seq, (c.iss + 501).value);
    EXPECT_EQ(reset->header.ack, (c.irs + 1).value);
    EXPECT_EQ(reset->local_id, 7);
    EXPECT_EQ(c.hot.state, State::closed);
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
    EXPECT_FALSE(tcp::abort(c.context(), c.ep()));
}

TEST(Close, AbortIsSilentInSynSentAndAfterBothFins) {
    Connection c;
    c.open();
    c.flush_all();
    EXPECT_FALSE(tcp::abort(c.context(), c.ep()));
    Closing d;
    d.in(0, 0, "", wire::tcp_fin);
    EXPECT_FALSE(tcp::abort(d.context(), d.ep()));
}

TEST(Close, ClosedEndpointIgnoresEverything) {
    Connection c;
    c.establish();
    tcp::abort(c.context(), c.ep());
    EXPECT_EQ(c.in(0, 0, "x").bits, 0);
    EXPECT_TRUE(c.flush_all().empty());
    EXPECT_FALSE(next_deadline(c.context(), c.ep()));
    EXPECT_EQ(c.send_text("x"), 0u);
}

TEST(Close, RetransmittedFinIsAnsweredInTimeWait) {
    Closing c;
    c.in(0, 1, "", wire::tcp_fin);
    c.flush_all();
    c.in(0, 1, "", wire::tcp_fin);
    EXPECT_EQ(c.ack_of(c.flush_all().at(0)), 1u);
}

TEST(Close, EveryChunkIsNamed) {
    Connection c;
    c.establish(1000);
    c.send_text(pattern(5000));
    c.in(10, 0, "one");
    c.in(20, 0, "two");
    uint64_t bytes = 0;
    EXPECT_TRUE(for_each_chunk(c.chunks, c.hot, c.warm, [&](store::ChunkId id) {
        bytes += store::chunk_class_bytes[c.chunks.header(id).size_class];
        return true;
    }));
    EXPECT_EQ(bytes, c.chunks.bytes_in_use());
    EXPECT_FALSE(for_each_chunk(c.chunks, c.hot, c.warm, [](store::ChunkId) { return false; }));
    release(c.context(), c.ep());
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

// RFC 9293 §3.10.7.1.
TEST(Close, ResetForASegmentOfNoConnection) {
    wire::TcpSegment segment;
    segment.source = Connection::peer;
    segment.destination = Connection::local;
    segment.source_port = 1;
    segment.destination_port = 2;
    segment.seq = 100;
    segment.ack = 200;
    segment.flags = wire::tcp_ack;
    segment.payload = bytes_of("abc");
    auto reset = reset_for_unknown(segment, 5);
    ASSERT_TRUE(reset);
    EXPECT_EQ(reset->header.flags, wire::tcp_rst);
    EXPECT_EQ(reset->header.seq, 200u);
    EXPECT_EQ(reset->header.destination, Connection::peer);
    EXPECT_EQ(reset->header.source_port, 2);
    EXPECT_EQ(reset->local_id, 5);

    segment.flags = wire::tcp_syn;
    reset = reset_for_unknown(segment, 5);
    EXPECT_EQ(reset->header.flags, wire::tcp_rst | wire::tcp_ack);
    EXPECT_EQ(reset->header.seq, 0u);
    EXPECT_EQ(reset->header.ack, 104u) << "payload and SYN count";

    segment.flags = wire::tcp_rst;
    EXPECT_FALSE(reset_for_unknown(segment, 5));
}

}  // namespace
}  // namespace millrace::tcp
