// Path MTU discovery and ICMP errors: RFC 1191, RFC 8201, RFC 4821 §7, RFC 5927 §4 - §6, RFC 1122 §4.2.3.9.
#include "dataplane/tcp/path_mtu.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

using Kind = IcmpReport::Kind;

struct Path : Connection {
    Path() { establish(1448); }
    Events icmp(Kind kind, uint32_t seq, uint32_t mtu = 0) {
        return on_icmp_error(context(), ep(), {kind, mtu, iss + 1 + seq});
    }
    /// Payload sizes of what comes out now.
    std::vector<size_t> sizes() {
        std::vector<size_t> result;
        for (const Sent& segment : flush_all()) result.push_back(segment.payload.size());
        return result;
    }
};

TEST(PathMtu, Rfc1191_6_5_WhatIsTooBigIsCutAnewAndSentAtOnce) {
    Path c;
    c.send_text(pattern(4000));
    EXPECT_EQ(c.sizes(), (std::vector<size_t>{1448, 1448, 1104}));
    const uint32_t cwnd = c.warm.cwnd;
    c.advance(5'000);
    c.icmp(Kind::too_big, 0, 1400);
    EXPECT_EQ(c.counters.path_mtu_lowered, 1u);
    EXPECT_EQ(c.hot.mss, 1348);
    EXPECT_EQ(c.warm.cwnd, cwnd) << "it is not congestion";
    const auto out = c.flush_all();
    std::string again;
    for (const Sent& segment : out) {
        EXPECT_LE(segment.payload.size(), 1348u);
        again += segment.payload;
    }
    EXPECT_EQ(again, pattern(4000));
    c.in(0, 4000);
    EXPECT_EQ(c.warm.queued, 0u);
}

TEST(PathMtu, Rfc5927_4_1_AMessageAboutNothingInFlightIsIgnored) {
    Path c;
    c.send_text(pattern(4000));
    c.flush_all();
    c.in(0, 1448);
    for (const uint32_t seq : {1447u, 4000u, 4001u, 0u - 1, 1u << 31}) c.icmp(Kind::too_big, seq, 600);
    EXPECT_EQ(c.hot.mss, 1448);
    EXPECT_EQ(c.counters.icmp_ignored, 5u);
    c.icmp(Kind::too_big, 1448, 600);
    EXPECT_EQ(c.hot.mss, 600 - 52);
    c.in(0, 4000);
    c.icmp(Kind::too_big, 3999, 560);
    EXPECT_EQ(c.hot.mss, 600 - 52) << "nothing is in flight";
}

TEST(PathMtu, Rfc1191_NoMessageLeadsBelowTheFloorOrUp) {
    Path c;
    c.send_text(pattern(4000));
    c.flush_all();
    c.icmp(Kind::too_big, 0, 9000);
    EXPECT_EQ(c.hot.mss, 1448);
    c.icmp(Kind::too_big, 0, 68);
    EXPECT_EQ(c.hot.mss, 552 - 52);
    c.icmp(Kind::too_big, 0, 1400);
    EXPECT_EQ(c.hot.mss, 552 - 52) << "RFC 8201 §4: only time leads up";
}

TEST(PathMtu, Rfc1191_5_ARouterThatNamesNoSizeMeansTheNextStep) {
    Path c;
    c.send_text(pattern(4000));
    c.flush_all();
    for (const int bytes : {1492, 1400, 1280, 1006, 552, 552}) {
        c.icmp(Kind::too_big, 0, 0);
        EXPECT_EQ(c.hot.mss, bytes - 52);
    }
}

TEST(PathMtu, Rfc8201_4_LessThan1280IsDiscardedOnIpv6) {
    Path c;
    c.hot.peer = *parse_ip_address("2001:db8::2");
    c.hot.mss = 1428;
    c.send_text(pattern(4000));
    c.flush_all();
    c.icmp(Kind::too_big, 0, 1279);
    EXPECT_EQ(c.hot.mss, 1428);
    c.icmp(Kind::too_big, 0, 1280);
    EXPECT_EQ(c.hot.mss, 1280 - 72);
}

TEST(PathMtu, Rfc4821_7_7_FullSegmentsThatVanishAreMadeSmaller) {
    Path c;
    c.send_text(pattern(4000));
    c.flush_all();
    for (int i = 0; i < 40 && c.counters.path_mtu_black_holes < 2; ++i) {
        c.expire();
        c.flush_all();
    }
    EXPECT_EQ(c.hot.mss, 1400 - 52);
    EXPECT_GT(c.warm.backoff, 2) << "one or two timeouts are no black hole";
}

TEST(PathMtu, Rfc4821_7_7_TheEndOfTheDataMayVanishToo) {
    Path c;
    c.send_text(pattern(1302));
    c.flush_all();
    for (int i = 0; i < 3; ++i) {
        c.expire();
        c.flush_all();
    }
    EXPECT_EQ(c.hot.mss, 1280 - 52) << "the step below the segment, not below the largest";
}

TEST(PathMtu, Rfc4821_SmallSegmentsThatVanishSayNothingOfThePath) {
    Path c;
    c.send_text("small");
    c.flush_all();
    for (int i = 0; i < 8; ++i) {
        c.expire();
        c.flush_all();
    }
    EXPECT_EQ(c.hot.mss, 1448);
}

TEST(PathMtu, Rfc1191_6_3_ItIsRaisedStepByStepToWhereItWas) {
    Path c;
    c.send_text(pattern(4000));
    c.flush_all();
    c.icmp(Kind::too_big, 0, 1280);
    for (const int mss : {1400 - 52, 1492 - 52, 1448, 1448}) {
        path_mtu_raise(c.context(), c.ep());
        EXPECT_EQ(c.hot.mss, mss);
    }
    EXPECT_EQ(c.warm.mss_full, 0);
    EXPECT_EQ(c.counters.path_mtu_raised, 3u);
}

TEST(Icmp, Rfc5927_5_2_NoErrorEndsAnEstablishedConnection) {
    Path c;
    c.send_text("x");
    c.flush_all();
    EXPECT_EQ(c.icmp(Kind::hard, 0).bits, 0);
    EXPECT_EQ(c.icmp(Kind::soft, 0).bits, 0);
    EXPECT_EQ(c.hot.state, State::established);
    EXPECT_EQ(c.counters.icmp_soft_errors, 2u);
}

TEST(Icmp, Rfc1122_4_2_3_9_AHardErrorRefusesAnOpenASoftOneDoesNot) {
    Connection c;
    c.open();
    EXPECT_EQ(on_icmp_error(c.context(), c.ep(), {Kind::hard, 0, c.iss}).bits, 0) << "the SYN has not gone out";
    c.flush_all();
    EXPECT_EQ(on_icmp_error(c.context(), c.ep(), {Kind::soft, 0, c.iss}).bits, 0);
    EXPECT_EQ(on_icmp_error(c.context(), c.ep(), {Kind::hard, 0, c.iss + 1}).bits, 0) << "forged";
    EXPECT_EQ(on_icmp_error(c.context(), c.ep(), {Kind::too_big, 576, c.iss}).bits, 0);
    EXPECT_EQ(c.hot.state, State::syn_sent);
    EXPECT_EQ(on_icmp_error(c.context(), c.ep(), {Kind::hard, 0, c.iss}).bits, event_refused);
    EXPECT_EQ(c.hot.state, State::closed);
}

}  // namespace
}  // namespace millrace::tcp
