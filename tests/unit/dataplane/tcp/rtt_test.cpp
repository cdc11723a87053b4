// RFC 6298 §2–§5, RFC 7323 §4, Karn's rule.
#include "dataplane/tcp/rtt.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

struct Estimator {
    Endpoint ep() { return {hot, warm}; }
    uint32_t rto() { return rto_us(options, ep()); }
    EndpointHot hot{};
    EndpointWarm warm{};
    Options options;
};

TEST(Rtt, FirstSampleAndFollowing) {
    Estimator e;
    EXPECT_EQ(e.rto(), 1'000'000u);
    rtt_sample(e.ep(), 400'000);
    EXPECT_EQ(e.hot.srtt_us, 400'000u);
    EXPECT_EQ(e.warm.rttvar_us, 200'000u);
    EXPECT_EQ(e.rto(), 1'200'000u);
    rtt_sample(e.ep(), 480'000);
    EXPECT_EQ(e.warm.rttvar_us, 170'000u) << "3/4 of 200 ms and 1/4 of 80 ms";
    EXPECT_EQ(e.hot.srtt_us, 410'000u) << "7/8 of 400 ms and 1/8 of 480 ms";
    EXPECT_EQ(e.warm.min_rtt_us, 400'000u);
}

TEST(Rtt, TimeoutIsBoundedAndBacksOff) {
    Estimator e;
    rtt_sample(e.ep(), 50);
    EXPECT_EQ(e.rto(), 200'000u);
    e.warm.backoff = 1;
    EXPECT_EQ(e.rto(), 400'000u);
    e.warm.backoff = 3;
    EXPECT_EQ(e.rto(), 1'600'000u);
    e.warm.backoff = backoff_max;
    EXPECT_EQ(e.rto(), 60'000'000u);
}

TEST(Rtt, ChunksMeasureInMicroseconds) {
    Connection c;
    c.establish(1000, 10'000);
    c.send_text("x");
    c.flush_all();
    c.advance(2345);
    c.in(0, 1);
    EXPECT_EQ(c.warm.min_rtt_us, 2345u);
}

// Karn: what was sent twice is not measured, without timestamps.
TEST(Rtt, RetransmittedChunkIsNotMeasured) {
    Connection c;
    c.peer_timestamps = false;
    c.establish(1000, 10'000);
    c.send_text("x");
    c.flush_all();
    c.expire();
    c.flush_all();
    c.advance(10);
    c.in(0, 1);
    EXPECT_EQ(c.hot.srtt_us, 10'000u);
}

// RFC 7323 §4: the echo tells which transmission was acknowledged.
TEST(Rtt, TimestampsMeasureRetransmissions) {
    Connection c;
    c.establish(1000, 10'000);
    c.send_text("x");
    c.flush_all();
    c.expire();
    c.flush_all();
    c.advance(90'000);
    c.in(0, 1);
    EXPECT_EQ(c.hot.srtt_us, 20'000u) << "7/8 of 10 ms and 1/8 of 90 ms";
}

TEST(Rtt, NonsenseEchoIsIgnored) {
    Connection c;
    c.establish(1000, 10'000);
    EXPECT_EQ(rtt_from_echo(c.context(), c.ep(), timestamp_value(c.warm.ts_offset, c.now) + 5), 0u);
    EXPECT_EQ(rtt_from_echo(c.context(), c.ep(), timestamp_value(c.warm.ts_offset, c.now) - 7), 7000u);
}

}  // namespace
}  // namespace millrace::tcp
