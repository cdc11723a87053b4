// A few seeds of the relay simulation; scripts/simulate runs as many as one likes.
#include <gtest/gtest.h>

#include "tests/sim/hostile_world.h"
#include "tests/sim/relay_world.h"

namespace millrace::sim {
namespace {

/// Runs the worlds of the first `seeds` seeds, whose shards move as often as `moves_us` says; none loses anything.
RelayTotals run_seeds(uint64_t seeds, TimeUs (*moves_us)(uint64_t seed)) {
    RelayTotals totals;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
        RelayWorld world(seed, moves_us(seed));
        EXPECT_EQ(world.run(), "") << "seed " << seed;
        world.add_to(totals);
    }
    EXPECT_GE(totals.bytes_up, seeds * 256 * 1024);
    EXPECT_GE(totals.bytes_down, seeds * 256 * 1024);
    EXPECT_GT(totals.tls_sessions, seeds);
    EXPECT_GT(totals.key_updates, seeds / 2);
    EXPECT_GT(totals.network.lost, 0u);
    return totals;
}

TEST(RelaySim, NothingIsLostOrLeftOnABadNetwork) {
    const RelayTotals totals = run_seeds(30, [](uint64_t) { return TimeUs{0}; });
    EXPECT_GT(totals.network.lost_in_bursts, 0u);
    EXPECT_GT(totals.network.lost_while_down, 0u);
    EXPECT_GT(totals.network.reordered, 0u);
    EXPECT_GT(totals.network.duplicated, 0u);
    EXPECT_GT(totals.network.corrupted, 0u);
}

TEST(RelaySim, NothingIsLostWhileShardsChangeTheirWorker) {
    const RelayTotals totals = run_seeds(20, [](uint64_t seed) {
        return (seed % 3 == 0 ? 2 : seed % 3 == 1 ? 20 : 200) * us_per_ms;
    });
    EXPECT_GT(totals.moved.shards, 1000u);
    EXPECT_GT(totals.moved.relaying, 1000u);
    EXPECT_GT(totals.moved.connecting, 0u);
    EXPECT_GT(totals.moved.half_open, 0u);
    EXPECT_GT(totals.moved.ready, 0u);
    EXPECT_GT(totals.moved.parked, 0u);
}

TEST(RelaySim, HostilePeersHarmNobodyElse) {
    HostileTotals totals;
    for (uint64_t seed = 1; seed <= 30; ++seed) {
        HostileWorld world(seed);
        EXPECT_EQ(world.run(), "") << "seed " << seed;
        world.add_to(totals);
    }
    EXPECT_GT(totals.actions, 5000u);
    EXPECT_GT(totals.bytes_up, 10'000u);
    EXPECT_GT(totals.bytes_down, 1'000'000u);
}

TEST(RelaySim, ASeedRepeatsItself) {
    RelayTotals first, second;
    for (RelayTotals* totals : {&first, &second}) {
        RelayWorld world(12);
        EXPECT_EQ(world.run(), "");
        world.add_to(*totals);
    }
    EXPECT_EQ(first.network.sent, second.network.sent);
    EXPECT_EQ(first.network.lost, second.network.lost);
    EXPECT_EQ(first.virtual_us, second.virtual_us);
}

}  // namespace
}  // namespace millrace::sim
