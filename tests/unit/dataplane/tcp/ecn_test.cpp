// Explicit Congestion Notification: RFC 3168 §6.1.1 (setup, both roles, through cookies), §6.1.2 - §6.1.6.
#include "dataplane/tcp/ecn.h"

#include <gtest/gtest.h>
#include <vector>

#include "connection.h"

namespace millrace::tcp {
namespace {

constexpr int ask = wire::tcp_ece | wire::tcp_cwr;

struct EcnConnection : Connection {
    EcnConnection() {
        options.ack_delay_ms = 0;
        open();
        flush_all();
        advance(10'000);
        wire::TcpSegment reply = syn_ack(1012);
        reply.flags |= wire::tcp_ece;
        give(reply);
        flush_all();
        sent.clear();
    }
    /// Data from the peer with these ECN bits.
    void data(uint32_t seq, uint8_t ecn, int flags = 0) {
        wire::TcpSegment segment = from_peer(wire::tcp_ack | flags, seq, 0, "0123456789", {});
        segment.ip_ecn = ecn;
        give(segment);
    }
};

TEST(Ecn, Rfc3168_6_1_1_ActiveOpenAsksAndIsOnWhenThePeerAgrees) {
    Connection c;
    c.open();
    const Sent syn = c.flush_all().at(0);
    EXPECT_EQ(syn.header.flags, wire::tcp_syn | ask);
    EXPECT_EQ(syn.header.ip_ecn, 0) << "no SYN is ECT";
    wire::TcpSegment reply = c.syn_ack();
    reply.flags |= wire::tcp_ece;
    c.give(reply);
    EXPECT_TRUE(c.hot.has(flag_ecn));
    EXPECT_EQ(c.flush_all().at(0).header.flags, wire::tcp_ack);
}

TEST(Ecn, Rfc3168_6_1_1_OffWhenThePeerDoesNotAgreeOrReflects) {
    for (const int flags : {0, ask, int{wire::tcp_cwr}}) {
        Connection c;
        c.open();
        c.flush_all();
        wire::TcpSegment reply = c.syn_ack();
        reply.flags = static_cast<uint8_t>(reply.flags | flags);
        c.give(reply);
        EXPECT_FALSE(c.hot.has(flag_ecn)) << flags;
        c.send_text("x");
        EXPECT_EQ(c.flush_all().back().header.ip_ecn, 0);
    }
}

TEST(Ecn, Rfc3168_6_1_1_1_ARepeatedSynNoLongerAsks) {
    Connection c;
    c.open();
    c.flush_all();
    c.expire();
    EXPECT_EQ(c.flush_all().at(0).header.flags, wire::tcp_syn);
    wire::TcpSegment late = c.syn_ack();
    late.flags |= wire::tcp_ece;
    c.give(late);
    EXPECT_FALSE(c.hot.has(flag_ecn)) << "one SYN that did not ask is enough";
}

TEST(Ecn, Rfc3168_6_1_1_PassiveOpenAgreesAlsoThroughACookie) {
    for (const SynCookies cookies : {SynCookies::off, SynCookies::always}) {
        for (const int flags : {ask, 0, int{wire::tcp_ece}}) {
            Connection c;
            c.options.syn_cookies = cookies;
            std::vector<HalfOpen> memory(8);
            HalfOpenTable table(memory);
            wire::TcpSegment syn = c.from_peer(wire::tcp_syn | flags, 0, 0, "", {});
            const auto answer = table.on_syn(c.context(), syn, 0);
            ASSERT_TRUE(answer);
            const bool agreed = flags == ask;
            EXPECT_EQ(answer->header.flags, wire::tcp_syn | wire::tcp_ack | (agreed ? int{wire::tcp_ece} : 0));
            EXPECT_EQ(answer->header.ip_ecn, 0);

            wire::TcpSegment ack = c.from_peer(wire::tcp_ack, 1, 0, "", {});
            ack.ack = answer->header.seq + 1;
            ack.options.ts_echo = answer->header.options.ts_value;
            ack.seq = syn.seq + 1;
            HalfOpen cookie{};
            HalfOpen* entry = table.find(c.context(), ack);
            if (entry == nullptr) {
                ASSERT_EQ(table.on_cookie_ack(c.context(), ack, 0, cookie), HalfOpenTable::Verdict::complete);
                entry = &cookie;
            }
            establish_passive(c.context(), *entry, c.ep());
            EXPECT_EQ(c.hot.has(flag_ecn), agreed);
        }
    }
}

TEST(Ecn, ASettingTurnsItOff) {
    Connection c;
    c.options.ecn = false;
    c.open();
    EXPECT_EQ(c.flush_all().at(0).header.flags, wire::tcp_syn);
}

TEST(Ecn, Rfc3168_6_1_2_NewDataIsEctAndNothingElseIs) {
    EcnConnection c;
    c.send_text(pattern(2000));
    for (const Sent& segment : c.flush_all()) EXPECT_EQ(segment.header.ip_ecn, ip_ect0);
    c.expire();
    const auto again = c.flush_all();
    ASSERT_FALSE(again.empty());
    for (const Sent& segment : again) EXPECT_EQ(segment.header.ip_ecn, 0) << "§6.1.5";
    c.in(0, 2000);
    c.data(0, ip_ect0);
    EXPECT_EQ(c.flush_all().back().header.ip_ecn, 0) << "§6.1.4: a pure ACK";
    shutdown_send(c.context(), c.ep());
    EXPECT_EQ(c.flush_all().back().header.ip_ecn, 0) << "a bare FIN";
}

TEST(Ecn, Rfc3168_6_1_3_EveryAckEchoesUntilTheSenderHasReduced) {
    EcnConnection c;
    c.data(0, ip_ect0);
    EXPECT_FALSE(c.flush_all().back().has(wire::tcp_ece));
    c.data(10, ip_ce);
    EXPECT_TRUE(c.flush_all().back().has(wire::tcp_ece));
    c.data(20, ip_ect0);
    EXPECT_TRUE(c.flush_all().back().has(wire::tcp_ece));
    c.send_text("ours");
    EXPECT_TRUE(c.flush_all().back().has(wire::tcp_ece)) << "also on data";
    c.data(30, ip_ect0, wire::tcp_cwr);
    c.data(40, ip_ect0);
    EXPECT_FALSE(c.flush_all().back().has(wire::tcp_ece));
    c.data(50, ip_ce, wire::tcp_cwr);
    EXPECT_TRUE(c.flush_all().back().has(wire::tcp_ece)) << "marked anew";
}

TEST(Ecn, Rfc3168_6_1_5_AMarkOutsideTheWindowOrOnAnAckIsIgnored) {
    EcnConnection c;
    c.data(0, ip_ect0);
    c.data(0, ip_ce);  // seen before
    wire::TcpSegment ack = c.from_peer(wire::tcp_ack, 10, 0, "", {});
    ack.ip_ecn = ip_ce;
    c.give(ack);
    EXPECT_FALSE(c.hot.has(flag_ece));
    Connection without;
    without.establish();
    wire::TcpSegment marked = without.from_peer(wire::tcp_ack, 0, 0, "x", {});
    marked.ip_ecn = ip_ce;
    without.give(marked);
    EXPECT_FALSE(without.hot.has(flag_ece)) << "never agreed";
}

TEST(Ecn, Rfc3168_6_1_2_CwrGoesOnTheNextNewDataOnce) {
    EcnConnection c;
    c.hot.set(flag_cwr);
    c.data(0, ip_ect0);
    EXPECT_FALSE(c.flush_all().back().has(wire::tcp_cwr)) << "not on an ACK";
    c.send_text(pattern(2000));
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 2u);
    EXPECT_TRUE(out[0].has(wire::tcp_cwr));
    EXPECT_FALSE(out[1].has(wire::tcp_cwr));
}

}  // namespace
}  // namespace millrace::tcp
