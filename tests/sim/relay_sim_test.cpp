// A few seeds of the relay simulation; scripts/simulate runs as many as one likes.
#include <gtest/gtest.h>

#include "tests/sim/hostile_world.h"
#include "tests/sim/relay_world.h"

namespace millrace::sim {
namespace {

TEST(RelaySim, NothingIsLostOrLeftOnABadNetwork) {
    RelayTotals totals;
    for (uint64_t seed = 1; seed <= 30; ++seed) {
        RelayWorld world(seed);
        EXPECT_EQ(world.run(), "") << "seed " << seed;
        world.add_to(totals);
    }
    EXPECT_GE(totals.bytes_up, 30u * 256 * 1024);
    EXPECT_GE(totals.bytes_down, 30u * 256 * 1024);
    EXPECT_GT(totals.network.lost, 0u);
    EXPECT_GT(totals.network.lost_in_bursts, 0u);
    EXPECT_GT(totals.network.lost_while_down, 0u);
    EXPECT_GT(totals.network.reordered, 0u);
    EXPECT_GT(totals.network.duplicated, 0u);
    EXPECT_GT(totals.network.corrupted, 0u);
}

TEST(RelaySim, NothingIsLostWhileShardsChangeTheirWorker) {
    RelayTotals totals;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        RelayWorld world(seed, (seed % 3 == 0 ? 2 : seed % 3 == 1 ? 20 : 200) * us_per_ms);
        EXPECT_EQ(world.run(), "") << "seed " << seed;
        world.add_to(totals);
    }
    EXPECT_GE(totals.bytes_up, 20u * 256 * 1024);
    EXPECT_GE(totals.bytes_down, 20u * 256 * 1024);
    EXPECT_GT(totals.network.lost, 0u);
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
