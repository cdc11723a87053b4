// Passive opens: RFC 9293 §3.10.7.2, §3.10.7.4 (SYN-RECEIVED); RFC 5961 §3.2, §4.2; the table's policy when full.
#include "dataplane/tcp/half_open.h"

#include <gtest/gtest.h>
#include <vector>

#include "connection.h"
#include "dataplane/base/fault.h"

namespace millrace::tcp {
namespace {

using Verdict = HalfOpenTable::Verdict;

/// A listener and a client whose segments are built by hand.
struct Listener : Stack {
    Listener() : memory(64), table(memory) {}

    wire::TcpSegment from_client(int flags, uint32_t seq, uint32_t ack = 0) const {
        wire::TcpSegment segment;
        segment.source = IpAddress::v4(198, 18, 0, 9);
        segment.destination = IpAddress::v4(198, 18, 0, 1);
        segment.source_port = client_port;
        segment.destination_port = 443;
        segment.seq = seq;
        segment.ack = ack;
        segment.flags = static_cast<uint8_t>(flags);
        segment.window = 5000;
        segment.options.has_timestamps = true;
        segment.options.ts_value = 100;
        return segment;
    }
    wire::TcpSegment syn(uint32_t seq = 1000) const {
        wire::TcpSegment segment = from_client(wire::tcp_syn, seq);
        segment.options.has_mss = true;
        segment.options.mss = 1400;
        segment.options.has_window_scale = true;
        segment.options.window_scale = 5;
        return segment;
    }
    Verdict on_segment(const wire::TcpSegment& segment) {
        HalfOpen* entry = table.find(context(), segment);
        if (entry == nullptr) return Verdict::dropped;
        return table.on_segment(context(), *entry, segment, reply);
    }

    uint16_t client_port = 40000;
    std::vector<HalfOpen> memory;
    HalfOpenTable table;
    wire::OutboundSegment reply;
};

TEST(HalfOpen, SynIsAnsweredWithSynAck) {
    Listener l;
    l.options.window_scale = 6;
    const auto out = l.table.on_syn(l.context(), l.syn(), 3);
    ASSERT_TRUE(out);
    EXPECT_EQ(out->local_id, 3);
    EXPECT_EQ(out->header.flags, wire::tcp_syn | wire::tcp_ack);
    EXPECT_EQ(out->header.ack, 1001u);
    EXPECT_EQ(out->header.destination, IpAddress::v4(198, 18, 0, 9));
    EXPECT_EQ(out->header.destination_port, 40000);
    EXPECT_EQ(out->header.options.mss, 1460);
    EXPECT_EQ(out->header.options.window_scale, 6);
    EXPECT_EQ(out->header.options.ts_echo, 100u);
    EXPECT_EQ(l.table.size(), 1u);
    EXPECT_EQ(l.chunks.bytes_in_use(), 0u);
}

TEST(HalfOpen, SynAckOffersOnlyWhatTheSynOffered) {
    Listener l;
    wire::TcpSegment syn = l.syn();
    syn.options = {};
    const auto out = l.table.on_syn(l.context(), syn, 0);
    EXPECT_TRUE(out->header.options.has_mss);
    EXPECT_FALSE(out->header.options.has_window_scale || out->header.options.has_timestamps);
}

// RFC 2018 §2: the SYN-ACK permits it only to a SYN that did, and the connection remembers.
TEST(HalfOpen, SackNeedsBothSides) {
    for (const bool ours : {false, true})
        for (const bool peers : {false, true}) {
            Listener l;
            l.options.sack = ours;
            wire::TcpSegment syn = l.syn();
            syn.options.sack_permitted = peers;
            EXPECT_EQ(l.table.on_syn(l.context(), syn, 3)->header.options.sack_permitted, ours && peers);
            EndpointHot hot{};
            EndpointWarm warm{};
            establish_passive(l.context(), *l.table.find(l.context(), syn), {hot, warm});
            EXPECT_EQ(hot.has(flag_sack), ours && peers);
        }
}

TEST(HalfOpen, CompletingAckWithDataEstablishes) {
    Listener l;
    const auto syn_ack = l.table.on_syn(l.context(), l.syn(), 3);
    l.now += 30'000;
    wire::TcpSegment ack = l.from_client(wire::tcp_ack, 1001, syn_ack->header.seq + 1);
    ack.options.ts_echo = syn_ack->header.options.ts_value;
    ack.payload = bytes_of("GET /");
    ASSERT_EQ(l.on_segment(ack), Verdict::complete);

    EndpointHot hot{};
    EndpointWarm warm{};
    HalfOpen* entry = l.table.find(l.context(), ack);
    establish_passive(l.context(), *entry, {hot, warm});
    l.table.remove(*entry);
    EXPECT_EQ(l.table.size(), 0u);
    std::string text;
    const Events events = receive(l.context(), {hot, warm}, ack, [&](std::span<const uint8_t> bytes) {
        text.append(bytes.begin(), bytes.end());
        return bytes.size();
    });
    EXPECT_EQ(events.bits, event_established | event_data);
    EXPECT_EQ(text, "GET /");
    EXPECT_EQ(hot.state, State::established);
    EXPECT_EQ(hot.local_id, 3);
    EXPECT_EQ(hot.mss, 1400 - 12);
    EXPECT_EQ(hot.snd_wnd, 5000u << 5) << "the ACK's window is scaled";
    EXPECT_EQ(hot.srtt_us, 30'000u);
    EXPECT_EQ(hot.snd_una.value, syn_ack->header.seq + 1);
    EXPECT_EQ(hot.snd_nxt, hot.snd_una);
}

TEST(HalfOpen, RepeatedSynGetsTheSameSynAck) {
    Listener l;
    const auto first = l.table.on_syn(l.context(), l.syn(), 3);
    l.now += 900'000;
    EXPECT_EQ(l.on_segment(l.syn()), Verdict::reply);
    EXPECT_EQ(l.reply.header.seq, first->header.seq);
    EXPECT_TRUE(l.reply.header.has(wire::tcp_syn));
    const auto again = l.table.on_syn(l.context(), l.syn(), 3);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->header.seq, first->header.seq);
    EXPECT_EQ(l.table.size(), 1u);
}

// RFC 9293 §3.10.7.4, fifth step: <SEQ=SEG.ACK><CTL=RST>; the entry stays for the real client.
TEST(HalfOpen, WrongAckIsReset) {
    Listener l;
    const auto syn_ack = l.table.on_syn(l.context(), l.syn(), 3);
    for (uint32_t wrong : {syn_ack->header.seq, syn_ack->header.seq + 2}) {
        EXPECT_EQ(l.on_segment(l.from_client(wire::tcp_ack, 1001, wrong)), Verdict::reply);
        EXPECT_EQ(l.reply.header.flags, wire::tcp_rst);
        EXPECT_EQ(l.reply.header.seq, wrong);
    }
    EXPECT_EQ(l.table.size(), 1u);
}

TEST(HalfOpen, ResetRemovesOnlyWhenExact) {
    Listener l;
    l.table.on_syn(l.context(), l.syn(), 3);
    EXPECT_EQ(l.on_segment(l.from_client(wire::tcp_rst, 999)), Verdict::dropped);
    EXPECT_EQ(l.on_segment(l.from_client(wire::tcp_rst, 1500)), Verdict::reply) << "RFC 5961 §3.2: challenge";
    EXPECT_EQ(l.reply.header.flags, wire::tcp_ack);
    EXPECT_EQ(l.table.size(), 1u);
    EXPECT_EQ(l.on_segment(l.from_client(wire::tcp_rst, 1001)), Verdict::dropped);
    EXPECT_EQ(l.table.size(), 0u);
}

TEST(HalfOpen, OtherSynIsChallenged) {
    Listener l;
    l.table.on_syn(l.context(), l.syn(1000), 3);
    EXPECT_EQ(l.on_segment(l.syn(5000)), Verdict::reply);
    EXPECT_EQ(l.reply.header.flags, wire::tcp_ack);
    EXPECT_EQ(l.reply.header.ack, 1001u);
}

TEST(HalfOpen, SegmentsOutsideTheWindowOrOfThePastAreNotTaken) {
    Listener l;
    const auto syn_ack = l.table.on_syn(l.context(), l.syn(), 3);
    const uint32_t ack = syn_ack->header.seq + 1;
    EXPECT_EQ(l.on_segment(l.from_client(wire::tcp_ack, 1001 + 65536, ack)), Verdict::reply);
    EXPECT_EQ(l.reply.header.flags, wire::tcp_ack);
    wire::TcpSegment old = l.from_client(wire::tcp_ack, 1001, ack);
    old.options.ts_value = 99;
    EXPECT_EQ(l.on_segment(old), Verdict::reply) << "PAWS, RFC 7323 §5.3";
    old.options = {};
    EXPECT_EQ(l.on_segment(old), Verdict::dropped) << "RFC 7323 §3.2";
    EXPECT_EQ(l.on_segment(l.from_client(0, 1001, ack)), Verdict::dropped);
}

TEST(HalfOpen, FullBucketWithoutCookiesDropsAndCountsUntilAnEntryIsStale) {
    Listener l;
    l.options.syn_cookies = SynCookies::off;
    l.memory.resize(8);
    l.table = HalfOpenTable(l.memory);
    for (uint16_t i = 0; i < 8; ++i) {
        l.client_port = static_cast<uint16_t>(1000 + i);
        EXPECT_TRUE(l.table.on_syn(l.context(), l.syn(), 0));
    }
    l.client_port = 2000;
    EXPECT_FALSE(l.table.on_syn(l.context(), l.syn(), 0));
    EXPECT_EQ(l.counters.half_open_overflow, 1u);

    l.now += 1'100'000;
    EXPECT_EQ(l.table.poll(l.context(), 8, 3, [](const wire::OutboundSegment&) {}), 3u) << "within its credit";
    EXPECT_TRUE(l.table.on_syn(l.context(), l.syn(), 0));
    EXPECT_EQ(l.counters.half_open_evicted, 1u);
    EXPECT_EQ(l.table.size(), 8u);
}

TEST(HalfOpen, SynAckIsRepeatedWithBackoffThenForgotten) {
    Listener l;
    l.options.syn_ack_retries = 2;
    const auto first = l.table.on_syn(l.context(), l.syn(), 3);
    const TimeUs start = l.now;
    std::vector<TimeUs> repeated;
    for (int i = 0; i < 200; ++i) {
        l.now += 100'000;
        l.table.poll(l.context(), 64, 10, [&](const wire::OutboundSegment& segment) {
            EXPECT_EQ(segment.header.seq, first->header.seq);
            repeated.push_back((l.now - start) / us_per_s);
        });
    }
    EXPECT_EQ(repeated, (std::vector<TimeUs>{1, 3}));
    EXPECT_EQ(l.table.size(), 0u);
    EXPECT_EQ(l.counters.half_open_expired, 1u);
}

}  // namespace
}  // namespace millrace::tcp
