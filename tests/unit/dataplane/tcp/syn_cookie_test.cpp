// SYN cookies: RFC 4987 §3.6 (when they are sent, what they carry, which ACKs are believed), RFC 7323 §3.2 (options in
// the timestamp's echo).
#include "dataplane/tcp/syn_cookie.h"

#include <gtest/gtest.h>
#include <vector>

#include "connection.h"

namespace millrace::tcp {
namespace {

using Verdict = HalfOpenTable::Verdict;

/// A listener whose table has room for eight, and clients that differ by their port.
struct Flooded : Stack {
    Flooded() : memory(8), table(memory) {}

    wire::TcpSegment syn(uint16_t port, uint32_t seq = 1000) const {
        wire::TcpSegment segment = from_client(port, wire::tcp_syn, seq, 0);
        segment.options.has_mss = true;
        segment.options.mss = 1448;
        segment.options.has_window_scale = true;
        segment.options.window_scale = 7;
        segment.options.sack_permitted = true;
        return segment;
    }
    wire::TcpSegment from_client(uint16_t port, int flags, uint32_t seq, uint32_t ack) const {
        wire::TcpSegment segment;
        segment.source = IpAddress::v4(198, 18, 0, 9);
        segment.destination = IpAddress::v4(198, 18, 0, 1);
        segment.source_port = port;
        segment.destination_port = 443;
        segment.seq = seq;
        segment.ack = ack;
        segment.flags = static_cast<uint8_t>(flags);
        segment.window = 500;
        segment.options.has_timestamps = timestamps;
        segment.options.ts_value = 100;
        return segment;
    }
    void fill() {
        for (uint16_t port = 1000; port < 1008; ++port) table.on_syn(context(), syn(port), 0);
    }
    wire::OutboundSegment answer(const wire::TcpSegment& syn) {
        const auto out = table.on_syn(context(), syn, 3);
        EXPECT_TRUE(out);
        return out.value_or(wire::OutboundSegment{});
    }
    /// The ACK that completes a handshake, as an honest client sends it.
    wire::TcpSegment ack_of(const wire::OutboundSegment& syn_ack) const {
        wire::TcpSegment segment =
            from_client(syn_ack.header.destination_port, wire::tcp_ack, syn_ack.header.ack, syn_ack.header.seq + 1);
        segment.options.ts_echo = syn_ack.header.options.ts_value;
        return segment;
    }
    std::optional<HalfOpen> accept(const wire::TcpSegment& ack) {
        HalfOpen agreed{};
        verdict = table.on_cookie_ack(context(), ack, 3, agreed);
        return verdict == Verdict::complete ? std::optional(agreed) : std::nullopt;
    }

    bool timestamps = true;
    Verdict verdict = Verdict::unknown;  // of the last accept()
    std::vector<HalfOpen> memory;
    HalfOpenTable table;
};

TEST(SynCookie, Rfc4987_3_6_SentExactlyWhenTheTableHasNoRoom) {
    Flooded l;
    l.fill();
    EXPECT_EQ(l.counters.passive_opens, 8u);
    EXPECT_EQ(l.counters.syn_cookies_sent, 0u);
    const auto syn_ack = l.answer(l.syn(2000));
    EXPECT_EQ(syn_ack.header.flags, wire::tcp_syn | wire::tcp_ack);
    EXPECT_EQ(syn_ack.header.ack, 1001u);
    EXPECT_EQ(syn_ack.local_id, 3);
    EXPECT_EQ(l.counters.syn_cookies_sent, 1u);
    EXPECT_EQ(l.table.size(), 8u);
    l.table.remove(l.memory[4]);
    l.answer(l.syn(2000));
    EXPECT_EQ(l.counters.syn_cookies_sent, 1u) << "room again";
    EXPECT_EQ(l.counters.passive_opens, 9u);
}

TEST(SynCookie, OldEntriesKeepTheirPlaceSinceACookieNeedsNone) {
    Flooded l;
    l.fill();
    l.now += 1'100'000;
    l.table.poll(l.context(), 8, 8, [](const wire::OutboundSegment&) {});
    l.answer(l.syn(2000));
    EXPECT_EQ(l.counters.syn_cookies_sent, 1u);
    EXPECT_EQ(l.counters.half_open_evicted, 0u);
}

TEST(SynCookie, AlwaysAndOff) {
    Flooded l;
    l.options.syn_cookies = SynCookies::always;
    l.answer(l.syn(2000));
    EXPECT_EQ(l.table.size(), 0u);
    EXPECT_EQ(l.counters.syn_cookies_sent, 1u);
    l.options.syn_cookies = SynCookies::off;
    l.fill();
    EXPECT_FALSE(l.table.on_syn(l.context(), l.syn(2000), 3));
    EXPECT_EQ(l.counters.half_open_overflow, 1u);
}

TEST(SynCookie, Rfc4987_3_6_TheAckBringsTheTermsBack) {
    Flooded l;
    l.fill();
    const auto syn_ack = l.answer(l.syn(2000));
    EXPECT_TRUE(syn_ack.header.options.has_window_scale && syn_ack.header.options.has_timestamps);
    EXPECT_TRUE(syn_ack.header.options.sack_permitted);
    l.now += 30'000;
    wire::TcpSegment ack = l.ack_of(syn_ack);
    ack.payload = bytes_of("GET /");
    const auto entry = l.accept(ack);
    ASSERT_TRUE(entry);
    EXPECT_EQ(l.counters.syn_cookies_accepted, 1u);

    EndpointHot hot{};
    EndpointWarm warm{};
    establish_passive(l.context(), *entry, {hot, warm});
    std::string text;
    const Events events = receive(l.context(), {hot, warm}, ack, [&](std::span<const uint8_t> bytes) {
        text.append(bytes.begin(), bytes.end());
        return bytes.size();
    });
    EXPECT_EQ(events.bits, event_established | event_data);
    EXPECT_EQ(text, "GET /");
    EXPECT_EQ(hot.mss, 1440 - 12) << "the class below the client's 1448";
    EXPECT_EQ(hot.snd_wnd, 500u << 7);
    EXPECT_EQ(hot.ts_recent, 100u);
    EXPECT_TRUE(hot.has(flag_sack));
    EXPECT_EQ(hot.local_id, 3);
    EXPECT_EQ(hot.snd_nxt.value, syn_ack.header.seq + 1);
    EXPECT_EQ(hot.srtt_us, 0u) << "nothing tells when the SYN-ACK went";
    EXPECT_EQ(warm.backoff, 0);
    EXPECT_EQ(warm.cwnd, 10u * hot.mss);
}

TEST(SynCookie, MssIsTheClassBelowAndNeverMoreThanAnnounced) {
    for (const int announced : {1, 87, 88, 535, 536, 1219, 1220, 1399, 1400, 1459, 1460, 8939, 9000, 65535}) {
        HandshakeTerms terms{};
        terms.peer_mss = static_cast<uint16_t>(announced);
        const uint16_t carried = cookie_terms(terms).peer_mss;
        EXPECT_LE(carried, std::max(announced, 88));
        EXPECT_EQ(cookie_terms(cookie_terms(terms)).peer_mss, carried);
    }
}

TEST(SynCookie, WithoutTimestampsOnlyTheMssIsAgreed) {
    Flooded l;
    l.fill();
    l.timestamps = false;
    const auto syn_ack = l.answer(l.syn(2000));
    EXPECT_FALSE(syn_ack.header.options.has_window_scale || syn_ack.header.options.has_timestamps);
    EXPECT_FALSE(syn_ack.header.options.sack_permitted);
    const auto entry = l.accept(l.ack_of(syn_ack));
    ASSERT_TRUE(entry);
    EXPECT_FALSE(entry->terms.has_window_scale || entry->terms.has_timestamps);
}

// RFC 7323 §5.3: the client's PAWS must take the segments that follow.
TEST(SynCookie, TimestampIsAtMost64MsBehindTheClock) {
    HandshakeTerms terms{};
    terms.has_window_scale = terms.has_sack = 1;
    for (uint32_t scale = 0; scale < 15; ++scale)
        for (uint32_t clock : {0u, 1u, 63u, 64u, 12345u, 0xffff'ffffu}) {
            terms.send_scale = static_cast<uint8_t>(scale);
            const uint32_t value = cookie_timestamp(clock, terms);
            EXPECT_LT(clock - value, 64u);
            EXPECT_EQ(value & 63, scale | 16);
        }
}

TEST(SynCookie, AnyChangedPartIsRefused) {
    Flooded l;
    l.fill();
    const wire::TcpSegment good = l.ack_of(l.answer(l.syn(2000)));
    const std::vector<std::function<void(wire::TcpSegment&)>> changes = {
        [](auto& s) { s.ack += 1; },
        [](auto& s) { s.ack ^= 1u << 27; },
        [](auto& s) { s.ack ^= 1u << 29; },  // another MSS
        [](auto& s) { s.ack ^= 1u << 31; },  // another tick
        [](auto& s) { s.seq += 1; },
        [](auto& s) { s.source_port += 1; },
        [](auto& s) { s.destination_port += 1; },
        [](auto& s) { s.source = IpAddress::v4(198, 18, 0, 10); },
        [](auto& s) { s.destination = IpAddress::v4(198, 18, 0, 2); },
        [](auto& s) { s.options.ts_echo ^= 1; },   // another window scale
        [](auto& s) { s.options.ts_echo ^= 16; },  // another word on SACK
        [](auto& s) { s.options.ts_echo ^= 32; },  // and on ECN
        [](auto& s) { s.options.has_timestamps = false; },
        [](auto& s) { s.flags = wire::tcp_syn | wire::tcp_ack; },
        [](auto& s) { s.flags = wire::tcp_rst | wire::tcp_ack; },
        [](auto& s) { s.flags = 0; },
    };
    for (size_t i = 0; i < changes.size(); ++i) {
        wire::TcpSegment forged = good;
        changes[i](forged);
        EXPECT_FALSE(l.accept(forged)) << "change " << i;
    }
    EXPECT_EQ(l.counters.syn_cookies_rejected, 13u) << "the last three are no ACKs of a handshake";
    EXPECT_TRUE(l.accept(good));
    Secrets others = l.secrets;
    l.secrets.cookies = {9, 9};
    EXPECT_FALSE(l.accept(good)) << "the key of another instance";
    l.secrets = others;
}

TEST(SynCookie, GoodInItsOwnTickAndTheNextOnly) {
    Flooded l;
    l.fill();
    l.now = 100 * cookie_tick_us + 63 * us_per_s;
    const wire::TcpSegment ack = l.ack_of(l.answer(l.syn(2000)));
    l.now = 101 * cookie_tick_us + 63 * us_per_s;
    EXPECT_TRUE(l.accept(ack)) << "64 s later, in the next tick";
    l.now = 102 * cookie_tick_us;
    l.answer(l.syn(2001));  // cookies are still being sent
    EXPECT_FALSE(l.accept(ack)) << "in the tick after the next, which has the same parity";
    l.now = 103 * cookie_tick_us;
    EXPECT_FALSE(l.accept(ack));
}

TEST(SynCookie, Rfc4987_3_6_NoAckIsSearchedUnlessCookiesWereSentRecently) {
    Flooded l;
    EXPECT_FALSE(l.accept(l.from_client(2000, wire::tcp_ack, 1001, 77)));
    EXPECT_EQ(l.verdict, Verdict::unknown) << "RST";
    EXPECT_EQ(l.counters.syn_cookies_rejected, 0u);
    l.fill();
    const wire::TcpSegment ack = l.ack_of(l.answer(l.syn(2000)));
    EXPECT_TRUE(l.accept(ack));
    l.now += 2 * cookie_tick_us;
    EXPECT_FALSE(l.accept(ack));
    EXPECT_EQ(l.counters.syn_cookies_rejected, 0u);
}

// A client whose ACK and first segment were lost, or came late, is established in its own eyes.
TEST(SynCookie, LaterBytesOfALostFirstSegmentAreDroppedNotReset) {
    Flooded l;
    l.fill();
    const wire::TcpSegment ack = l.ack_of(l.answer(l.syn(2000)));
    wire::TcpSegment second = ack;
    second.seq += 1400;
    second.payload = bytes_of("later");
    EXPECT_FALSE(l.accept(second));
    EXPECT_EQ(l.verdict, Verdict::dropped);
    EXPECT_TRUE(l.accept(ack));
}

TEST(SynCookie, ARepeatedSynThatFoundRoomDoesNotSpoilTheCookie) {
    Flooded l;
    l.fill();
    const wire::TcpSegment ack = l.ack_of(l.answer(l.syn(2000)));
    l.table.remove(l.memory[0]);
    l.answer(l.syn(2000));
    HalfOpen* entry = l.table.find(l.context(), ack);
    ASSERT_NE(entry, nullptr);
    wire::OutboundSegment reply;
    EXPECT_EQ(l.table.on_segment(l.context(), *entry, ack, reply), Verdict::complete);
    EXPECT_EQ(entry->iss.value, ack.ack - 1);
    l.table.remove(*entry);
    EXPECT_EQ(l.table.size(), 7u);
}

TEST(SynCookie, WorksOverIpv6) {
    Flooded l;
    l.fill();
    wire::TcpSegment syn = l.syn(2000);
    syn.source = *parse_ip_address("2001:db8::9");
    syn.destination = *parse_ip_address("2001:db8::1");
    wire::TcpSegment ack = l.ack_of(l.answer(syn));
    ack.source = syn.source;
    ack.destination = syn.destination;
    EXPECT_TRUE(l.accept(ack));
    ack.source.bytes[15] = 8;
    EXPECT_FALSE(l.accept(ack));
}

}  // namespace
}  // namespace millrace::tcp
