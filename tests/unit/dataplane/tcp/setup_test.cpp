// Active opens: RFC 9293 §3.5, §3.10.7.3; options of RFC 9293 §3.7.1 and RFC 7323; RFC 6298 §5.7; RFC 6928.
#include "dataplane/tcp/setup.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

TEST(Setup, SynOffersMssScaleTimestampsAndSack) {
    Connection c;
    c.options.window_scale = 7;
    c.open();
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    const wire::TcpSegment& syn = out[0].header;
    EXPECT_EQ(syn.flags, wire::tcp_syn | wire::tcp_ece | wire::tcp_cwr) << "RFC 3168 §6.1.1";
    EXPECT_EQ(syn.seq, c.iss.value);
    EXPECT_EQ(syn.destination, Connection::peer);
    EXPECT_TRUE(syn.options.has_mss && syn.options.has_window_scale && syn.options.has_timestamps);
    EXPECT_TRUE(syn.options.sack_permitted);
    EXPECT_EQ(syn.options.mss, 1460);
    EXPECT_EQ(syn.options.window_scale, 7);
    EXPECT_EQ(syn.window, 65535);
    EXPECT_TRUE(c.flush_all().empty()) << "once is enough";
}

TEST(Setup, SynAckEstablishes) {
    Connection c;
    c.open();
    c.flush_all();
    c.advance(20'000);
    const Events events = c.give(c.syn_ack(1460));
    EXPECT_TRUE(events.has(event_established));
    EXPECT_EQ(c.hot.state, State::established);
    EXPECT_EQ(c.hot.mss, 1448) << "room for the timestamps of every segment";
    EXPECT_EQ(c.warm.cwnd, 10u * 1448) << "RFC 6928";
    EXPECT_EQ(c.hot.srtt_us, 20'000u);
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].header.flags, wire::tcp_ack);
    EXPECT_EQ(c.seq_of(out[0]), 0u);
    EXPECT_EQ(c.ack_of(out[0]), 0u);
    EXPECT_FALSE(next_deadline(c.context(), c.ep()));
}

// RFC 2018 §2: only when both SYNs permit it.
TEST(Setup, SackNeedsBothSides) {
    for (const bool ours : {false, true})
        for (const bool peers : {false, true}) {
            Connection c;
            c.options.sack = ours;
            c.peer_sack = peers;
            c.open();
            EXPECT_EQ(c.flush_all().at(0).header.options.sack_permitted, ours);
            c.give(c.syn_ack());
            EXPECT_EQ(c.hot.has(flag_sack), ours && peers);
        }
}

TEST(Setup, OptionsThatThePeerDoesNotSendAreOff) {
    Connection c;
    c.options.window_scale = 7;
    c.peer_timestamps = false;
    c.open();
    c.flush_all();
    wire::TcpSegment reply = c.syn_ack();
    reply.options = {};
    reply.window = 1000;
    c.give(reply);
    EXPECT_EQ(c.hot.mss, 536) << "RFC 9293 §3.7.1, MUST-15";
    EXPECT_EQ(c.hot.scales, 0);
    EXPECT_EQ(c.hot.snd_wnd, 1000u);
    EXPECT_FALSE(c.flush_all()[0].header.options.has_timestamps);
}

TEST(Setup, WindowOfTheSynAckIsNotScaledLaterOnesAre) {
    Connection c;
    c.options.window_scale = 3;
    c.open();
    c.flush_all();
    wire::TcpSegment reply = c.syn_ack();
    reply.options.window_scale = 4;
    reply.window = 1000;
    c.give(reply);
    EXPECT_EQ(c.hot.snd_wnd, 1000u);
    c.in(0, 0, "x", 0, {.window = 1000});
    EXPECT_EQ(c.hot.snd_wnd, 16'000u);
    c.receive_space = 16'000;
    EXPECT_EQ(c.flush_all()[0].header.window, (65535u - 1) >> 3) << "what the SYN promised is kept";
}

TEST(Setup, TinyMssIsRaised) {
    Connection c;
    c.open();
    c.flush_all();
    c.give(c.syn_ack(1));
    EXPECT_EQ(c.hot.mss, 88 - 12);
}

TEST(Setup, DataQueuedBeforeTheHandshakeFollowsIt) {
    Connection c;
    c.open();
    EXPECT_EQ(c.send_text("hello "), 6u);
    EXPECT_EQ(c.flush_all().size(), 1u);
    EXPECT_EQ(c.send_text("world"), 5u);
    EXPECT_TRUE(c.flush_all().empty());
    c.give(c.syn_ack());
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].payload, "hello world");
    EXPECT_EQ(c.seq_of(out[0]), 0u);
}

TEST(Setup, SynAckWithDataIsConsumed) {
    Connection c;
    c.open();
    c.flush_all();
    wire::TcpSegment reply = c.syn_ack();
    reply.payload = bytes_of("banner");
    const Events events = c.give(reply);
    EXPECT_EQ(events.consumed, 6u);
    EXPECT_EQ(c.received, "banner");
    EXPECT_EQ(c.ack_of(c.flush_all()[0]), 6u);
}

TEST(Setup, RefusedByReset) {
    Connection c;
    c.open();
    c.flush_all();
    wire::TcpSegment reset = c.syn_ack();
    reset.flags = wire::tcp_rst | wire::tcp_ack;
    EXPECT_EQ(c.give(reset).bits, event_refused);
    EXPECT_EQ(c.hot.state, State::closed);
}

// RFC 9293 §3.10.7.3: a RST without ACK, or for another SYN, is no answer to ours.
TEST(Setup, ForeignResetIsIgnored) {
    Connection c;
    c.open();
    c.flush_all();
    wire::TcpSegment reset = c.syn_ack();
    reset.flags = wire::tcp_rst;
    EXPECT_EQ(c.give(reset).bits, 0);
    reset.flags = wire::tcp_rst | wire::tcp_ack;
    reset.ack += 1;
    EXPECT_EQ(c.give(reset).bits, 0);
    EXPECT_EQ(c.hot.state, State::syn_sent);
    EXPECT_TRUE(c.flush_all().empty());
}

// RFC 9293 §3.5.1: the peer still holds an old connection; its ACK is answered by a RST, then our SYN gets through.
TEST(Setup, HalfOpenPeerIsReset) {
    Connection c;
    c.open();
    c.flush_all();
    c.in(500, 12345);
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].header.flags, wire::tcp_rst);
    EXPECT_EQ(c.seq_of(out[0]), 12345u);
    c.expire();
    EXPECT_TRUE(c.flush_all()[0].has(wire::tcp_syn));
    EXPECT_TRUE(c.give(c.syn_ack()).has(event_established));
}

TEST(Setup, SynIsRepeatedWithBackoffAndGivenUp) {
    Connection c;
    c.options.syn_retries = 3;
    c.open();
    c.flush_all();
    const TimeUs start = c.now;
    for (TimeUs at : {1u, 3u, 7u}) {
        EXPECT_EQ(c.expire().bits, 0);
        EXPECT_EQ(c.now - start, at * us_per_s);
        EXPECT_TRUE(c.flush_all()[0].has(wire::tcp_syn));
    }
    EXPECT_EQ(c.expire().bits, event_timed_out);
    EXPECT_EQ(c.now - start, 15 * us_per_s);
    EXPECT_EQ(c.hot.state, State::closed);
    EXPECT_EQ(c.counters.syn_retransmissions, 3u);
}

// RFC 6298 §5.7 without timestamps; RFC 6928 §2 after more than one lost SYN.
TEST(Setup, LostSynsMakeTheStartCautious) {
    Connection c;
    c.peer_timestamps = false;
    c.open();
    c.flush_all();
    for (int i = 0; i < 2; ++i) {
        c.expire();
        c.flush_all();
    }
    c.give(c.syn_ack(1000));
    EXPECT_EQ(c.warm.cwnd, 1000u);
    c.flush_all();
    c.send_text("x");
    c.flush_all();
    EXPECT_EQ(*next_deadline(c.context(), c.ep()) - c.now, 3 * us_per_s);
}

// RFC 9293 §3.5, figure 8.
TEST(Setup, SimultaneousOpen) {
    Connection c;
    c.open();
    c.flush_all();
    wire::TcpSegment syn = c.syn_ack();
    syn.flags = wire::tcp_syn;
    EXPECT_EQ(c.give(syn).bits, 0);
    EXPECT_EQ(c.hot.state, State::syn_received);
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].header.flags, wire::tcp_syn | wire::tcp_ack);
    EXPECT_EQ(out[0].header.seq, c.iss.value);
    EXPECT_EQ(out[0].header.ack, (c.irs + 1).value);
    EXPECT_EQ(c.in(0, 1).bits, 0) << "acknowledges what was not sent";
    EXPECT_TRUE(c.in(0, 0, "data").has(event_established));
    EXPECT_EQ(c.received, "data");
}

TEST(Setup, InitialSequenceNumberObeysTheMinimum) {
    Connection c;
    c.open();
    const Seq natural = c.hot.snd_una;
    open_active(c.context(), c.ep(), c.tuple(), 7, natural + 100'000);
    EXPECT_EQ(c.hot.snd_una, natural + 100'000);
    open_active(c.context(), c.ep(), c.tuple(), 7, natural - 100'000);
    EXPECT_EQ(c.hot.snd_una, natural);
}

}  // namespace
}  // namespace millrace::tcp
