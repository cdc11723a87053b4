// RFC 5681 §3.1, RFC 3465, RFC 6928, RFC 7661 §4.2.
#include "dataplane/tcp/congestion.h"

#include <gtest/gtest.h>

namespace millrace::tcp {
namespace {

struct Window {
    Window() {
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

TEST(Congestion, SlowStartGrowsByWhatIsAcknowledgedUpToTwoSegments) {
    Window w;
    congestion_grow(w.ep(), 1000, 10'000);
    EXPECT_EQ(w.warm.cwnd, 11'000u);
    congestion_grow(w.ep(), 300, 10'000);
    EXPECT_EQ(w.warm.cwnd, 11'300u);
    congestion_grow(w.ep(), 8000, 10'000);
    EXPECT_EQ(w.warm.cwnd, 13'300u);
}

TEST(Congestion, AvoidanceGrowsByOneSegmentPerWindow) {
    Window w;
    w.warm.ssthresh = 5000;
    for (int i = 0; i < 10; ++i) congestion_grow(w.ep(), 1000, w.warm.cwnd);
    EXPECT_GT(w.warm.cwnd, 10'900u);
    EXPECT_LE(w.warm.cwnd, 11'000u);
}

TEST(Congestion, UnusedWindowDoesNotGrow) {
    Window w;
    congestion_grow(w.ep(), 1000, 1000);
    EXPECT_EQ(w.warm.cwnd, 10'000u);
    w.warm.ssthresh = 5000;
    congestion_grow(w.ep(), 1000, 8000);
    EXPECT_EQ(w.warm.cwnd, 10'000u);
}

TEST(Congestion, LossHalvesTheFlight) {
    Window w;
    EXPECT_EQ(congestion_reduced_window(w.ep(), 9000), 4500u);
    EXPECT_EQ(congestion_reduced_window(w.ep(), 1000), 2000u);
}

}  // namespace
}  // namespace millrace::tcp
