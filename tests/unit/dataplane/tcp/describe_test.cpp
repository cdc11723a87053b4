// What an operator is told of a connection.
#include "dataplane/tcp/describe.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

TcpInfo info_of(Connection& c) {
    return describe(c.context(), c.ep());
}

TEST(Describe, AClosedOneHasNothingToTell) {
    Connection c;
    const TcpInfo info = info_of(c);
    EXPECT_EQ(info.state, TcpState::closed);
    EXPECT_EQ(info.timer, TcpTimer::none);
    EXPECT_EQ(info.rto_us, 0u);
}

TEST(Describe, AnOpening) {
    Connection c;
    c.open();
    c.flush_all();
    c.advance(300 * us_per_ms);
    const TcpInfo info = info_of(c);
    EXPECT_EQ(info.state, TcpState::syn_sent);
    EXPECT_EQ(info.timer, TcpTimer::syn);
    EXPECT_EQ(info.timer_ms, 700u);
    EXPECT_EQ(info.in_flight, 1u) << "the SYN";
    EXPECT_EQ(info.srtt_us, 0u);
}

TEST(Describe, OptionsAndMeasurements) {
    Connection c;
    c.options.window_scale = 6;
    c.peer_sack = true;
    c.establish(1000, 10'000);
    const TcpInfo info = info_of(c);
    EXPECT_EQ(info.state, TcpState::established);
    EXPECT_EQ(info.flags, tcp_info_timestamps | tcp_info_sack | tcp_info_window_scaling);
    EXPECT_EQ(info.receive_scale, 6);
    EXPECT_EQ(info.send_scale, 0);
    EXPECT_EQ(info.mss, 1000);
    EXPECT_EQ(info.mss_of_handshake, 1000);
    EXPECT_EQ(info.pmtu, 1000 + 12 + 20 + 20);
    EXPECT_EQ(info.srtt_us, 10'000u);
    EXPECT_EQ(info.rttvar_us, 5'000u);
    EXPECT_EQ(info.min_rtt_us, 10'000u);
    EXPECT_EQ(info.rto_us, c.options.rto_min_us);
    EXPECT_EQ(info.cwnd, 10'000u);
    EXPECT_EQ(info.ssthresh, TcpInfo::unlimited);
    EXPECT_EQ(info.timer, TcpTimer::none);
}

TEST(Describe, QueuesInBothDirections) {
    Connection c;
    c.peer_sack = true;
    c.establish();
    c.send_text(pattern(12'000));
    c.flush_all();
    TcpInfo info = info_of(c);
    EXPECT_EQ(info.in_flight, 10'000u);
    EXPECT_EQ(info.unsent, 2'000u);
    EXPECT_EQ(info.retransmitted, 0u);
    EXPECT_EQ(info.timer, TcpTimer::retransmission);
    // The third to the tenth segment arrived; then the first two are sent again.
    c.advance(10'000);
    c.in(0, 0, "", 0, {.sack = {{2000, 10'000}}});
    info = info_of(c);
    EXPECT_EQ(info.sacked, 8'000u);
    EXPECT_EQ(info.lost, 2'000u);
    EXPECT_TRUE(info.flags & tcp_info_fast_recovery);
    c.flush_all();
    info = info_of(c);
    EXPECT_GT(info.retransmitted, 0u);
    EXPECT_LT(info.ssthresh, 10'000u);
    // And of the peer's data the beginning is missing.
    c.in(100, 0, pattern(50), 0, {.sack = {{2000, 10'000}}});
    c.in(300, 0, pattern(70), 0, {.sack = {{2000, 10'000}}});
    EXPECT_EQ(info_of(c).out_of_order, 120u);
    EXPECT_EQ(info_of(c).receive_window, 65535u);
}

TEST(Describe, AClosedWindowIsProbed) {
    Connection c;
    c.establish();
    c.in(0, 0, "", 0, {.window = 0});
    c.send_text("wait");
    c.flush_all();
    c.expire();
    const TcpInfo info = info_of(c);
    EXPECT_EQ(info.timer, TcpTimer::persist);
    EXPECT_EQ(info.send_window, 0u);
    EXPECT_EQ(info.unsent, 4u);
    EXPECT_EQ(info.backoff, 1);
}

TEST(Describe, AnEnding) {
    Connection c;
    c.establish();
    shutdown_send(c.context(), c.ep());
    EXPECT_TRUE(info_of(c).flags & tcp_info_fin_queued);
    c.flush_all();
    EXPECT_EQ(info_of(c).state, TcpState::fin_wait_1);
    c.in(0, 1, "", wire::tcp_fin);
    EXPECT_TRUE(info_of(c).flags & tcp_info_fin_received);
}

}  // namespace
}  // namespace millrace::tcp
