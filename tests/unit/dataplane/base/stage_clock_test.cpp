// Which stage is charged with what; how long anything takes is for the bench to say.
#include "dataplane/base/stage_clock.h"

#include <gtest/gtest.h>
#include <numeric>

namespace millrace {
namespace {

constexpr uint64_t spell = 100'000;

void pass(uint64_t cycles) {
    const uint64_t until = __rdtsc() + cycles;
    while (__rdtsc() < until) {
    }
}

uint64_t of(const StageCycles& cycles, Stage stage) {
    return cycles[static_cast<size_t>(stage)];
}

StageCycles nested(bool in_full) {
    stage_clock.end_round(in_full);
    pass(spell);
    {
        const StageTime<Stage::timers> timers;
        pass(spell);
        {
            const StageTime<Stage::copies> copies;
            pass(spell);
            const StageTime<Stage::device> device;
            pass(spell);
        }
        pass(spell);
    }
    pass(spell);
    return stage_clock.end_round(false);
}

TEST(StageClock, GivesEachStageWhatNoStageInsideOfItTook) {
    const uint64_t began = __rdtsc();
    const StageCycles round = nested(true);
    const uint64_t all = __rdtsc() - began;
    for (const auto& [stage, spells] :
         {std::pair{Stage::other, 2u}, {Stage::timers, 2u}, {Stage::copies, 1u}, {Stage::device, 1u}})
        EXPECT_GE(of(round, stage), spells * spell) << static_cast<int>(stage);
    EXPECT_EQ(of(round, Stage::buffers), 0u);
    EXPECT_LE(std::accumulate(round.begin(), round.end(), uint64_t{0}), all) << "nothing is counted twice";
}

TEST(StageClock, KnowsOnlyTheDeviceOutsideTheRoundsThatAreTimedInFull) {
    const StageCycles round = nested(false);
    EXPECT_GE(of(round, Stage::other), 5 * spell);
    EXPECT_GE(of(round, Stage::device), spell);
    EXPECT_EQ(of(round, Stage::timers) + of(round, Stage::copies), 0u);
}

TEST(StageClock, BeginsEachRoundAtNought) {
    nested(true);
    pass(spell);
    const StageCycles round = stage_clock.end_round(false);
    EXPECT_GE(of(round, Stage::other), spell);
    EXPECT_EQ(of(round, Stage::device) + of(round, Stage::timers) + of(round, Stage::copies), 0u);
}

}  // namespace
}  // namespace millrace
