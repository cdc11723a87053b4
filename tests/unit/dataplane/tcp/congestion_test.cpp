// RFC 5681 §3.1, §4.1, RFC 3465, RFC 6928, RFC 7661 §4.2, RFC 9438.
#include "dataplane/tcp/congestion.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

struct Window : Stack {
    explicit Window(CongestionControl control = CongestionControl::newreno) {
        options.congestion_control = control;
        hot.mss = 1000;
        congestion_start(ep(), 10);
    }
    Endpoint ep() { return {hot, warm}; }
    EndpointHot hot{};
    EndpointWarm warm{};
};

TEST(Congestion, StartsWithTheInitialWindow) {
    Window w;
    EXPECT_EQ(w.warm.cwnd, 10'000u);
    EXPECT_GT(w.warm.ssthresh, 1'000'000u);
}

TEST(Congestion, SlowStartGrowsByWhatIsAcknowledgedUpToEightSegments) {
    Window w;
    congestion_grow(w.context(), w.ep(), 1000, 10'000);
    EXPECT_EQ(w.warm.cwnd, 11'000u);
    congestion_grow(w.context(), w.ep(), 300, 10'000);
    EXPECT_EQ(w.warm.cwnd, 11'300u);
    congestion_grow(w.context(), w.ep(), 9000, 10'000);
    EXPECT_EQ(w.warm.cwnd, 19'300u);
}

TEST(Congestion, AvoidanceGrowsByOneSegmentPerWindow) {
    Window w;
    w.warm.ssthresh = 5000;
    for (int i = 0; i < 10; ++i) congestion_grow(w.context(), w.ep(), 1000, w.warm.cwnd);
    EXPECT_GT(w.warm.cwnd, 10'900u);
    EXPECT_LE(w.warm.cwnd, 11'000u);
}

TEST(Congestion, UnusedWindowDoesNotGrow) {
    Window w;
    congestion_grow(w.context(), w.ep(), 1000, 1000);
    EXPECT_EQ(w.warm.cwnd, 10'000u);
    w.warm.ssthresh = 5000;
    congestion_grow(w.context(), w.ep(), 1000, 8000);
    EXPECT_EQ(w.warm.cwnd, 10'000u);
}

TEST(Congestion, LossHalvesTheFlight) {
    Window w;
    congestion_on_loss(w.context(), w.ep(), 9000);
    EXPECT_EQ(w.warm.ssthresh, 4500u);
    congestion_on_loss(w.context(), w.ep(), 1000);
    EXPECT_EQ(w.warm.ssthresh, 2000u);
}

/// CUBIC in congestion avoidance with a window of 70 segments after a loss at 100, and an RTT of 100 ms.
struct Cubic : Window {
    Cubic() : Window(CongestionControl::cubic) {
        warm.cwnd = 100'000;
        hot.srtt_us = 100'000;
        congestion_on_loss(context(), ep(), 100'000);
        warm.cwnd = warm.ssthresh;
    }
    /// A round trip in which the whole window is acknowledged, segment by segment.
    void round() {
        const uint32_t segments = warm.cwnd / 1000;
        for (uint32_t i = 0; i < segments; ++i) {
            now += hot.srtt_us / segments;
            congestion_grow(context(), ep(), 1000, warm.cwnd);
        }
    }
};

// RFC 9438 §4.6: beta is 0.7, of what was really in flight.
TEST(Congestion, CubicKeepsSevenTenths) {
    Cubic w;
    EXPECT_EQ(w.warm.ssthresh, 70'000u);
    congestion_on_loss(w.context(), w.ep(), 10'000);
    EXPECT_EQ(w.warm.ssthresh, 7000u);
    congestion_on_loss(w.context(), w.ep(), 1000);
    EXPECT_EQ(w.warm.ssthresh, 2000u) << "RFC 5681 eq. 4: never below two segments";
}

// RFC 9438 §4.4, §4.5: concave up to the old maximum, which is reached after K = cbrt(30 / 0.4) = 4.2 s, then convex.
TEST(Congestion, CubicIsConcaveThenConvex) {
    Cubic w;
    uint32_t before = w.warm.cwnd;
    for (int i = 0; i < 10; ++i) w.round();
    const uint32_t first_second = w.warm.cwnd - before;
    for (int i = 0; i < 22; ++i) w.round();
    before = w.warm.cwnd;
    for (int i = 0; i < 10; ++i) w.round();
    const uint32_t last_second = w.warm.cwnd - before;
    EXPECT_NEAR(w.warm.cwnd, 100'000, 1500) << "after 4.2 s";
    EXPECT_GT(first_second, 5 * last_second);
    for (int i = 0; i < 30; ++i) w.round();
    EXPECT_GT(w.warm.cwnd, 106'000u) << "C * 3^3 = 10.8 segments more, less what the plateau delays";
}

// RFC 9438 §4.3: on short paths it is at least as fast as Reno at the same loss rate.
TEST(Congestion, CubicIsRenoFriendly) {
    Cubic w;
    w.hot.srtt_us = 1000;
    for (int i = 0; i < 30; ++i) w.round();
    EXPECT_NEAR(w.warm.cwnd, 70'000 + 30 * 529, 1500);
    for (int i = 0; i < 60; ++i) w.round();
    EXPECT_NEAR(w.warm.cwnd, 100'000 + 33 * 1000, 4000) << "from the old maximum on one segment a round trip";
}

// RFC 9438 §4.7: a maximum below the last one leaves room for newcomers.
TEST(Congestion, CubicConvergesFast) {
    Cubic w;
    EXPECT_EQ(w.warm.cubic[0], 100'000u);
    congestion_on_loss(w.context(), w.ep(), 70'000);
    EXPECT_EQ(w.warm.cubic[0], 59'500u);
}

// RFC 9438 §4.2: time in which the application was the limit does not count.
TEST(Congestion, CubicForgetsTimeOfAnUnusedWindow) {
    Cubic w;
    for (int i = 0; i < 3; ++i) w.round();
    const uint32_t before = w.warm.cwnd;
    congestion_grow(w.context(), w.ep(), 1000, 1000);
    w.now += 60 * us_per_s;
    w.round();
    EXPECT_LT(w.warm.cwnd, before + 4000);
}

// RFC 5681 §4.1, RFC 2861 §3.2: half for each timeout of silence, not below the restart window.
TEST(Congestion, IdleWindowDecays) {
    Window w;
    w.warm.cwnd = 80'000;
    w.hot.srtt_us = 10'000;
    congestion_after_idle(w.context(), w.ep(), 150'000);
    EXPECT_EQ(w.warm.cwnd, 80'000u);
    congestion_after_idle(w.context(), w.ep(), 450'000);
    EXPECT_EQ(w.warm.cwnd, 20'000u);
    congestion_after_idle(w.context(), w.ep(), 4'000'000'000);
    EXPECT_EQ(w.warm.cwnd, 10'000u);
    w.warm.cwnd = 4000;
    congestion_after_idle(w.context(), w.ep(), 4'000'000'000);
    EXPECT_EQ(w.warm.cwnd, 4000u);
}

// RFC 4015 §3.2.
TEST(Congestion, RestoringBringsEverythingBack) {
    Cubic w;
    w.warm.cwnd = 50'000;
    const CongestionState before = congestion_save(w.warm);
    congestion_on_loss(w.context(), w.ep(), 50'000);
    w.warm.cwnd = 1000;
    congestion_restore(w.warm, before);
    EXPECT_EQ(w.warm.cwnd, 50'000u);
    EXPECT_EQ(w.warm.ssthresh, 70'000u);
    EXPECT_EQ(w.warm.cubic[0], 100'000u);
}

}  // namespace
}  // namespace millrace::tcp
