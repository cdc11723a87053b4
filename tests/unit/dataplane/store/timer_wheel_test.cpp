#include "dataplane/store/timer_wheel.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <random>
#include <vector>

#include "test_support.h"

namespace millrace::store {
namespace {

constexpr uint32_t unlimited = std::numeric_limits<uint32_t>::max();

struct Wheel {
    explicit Wheel(uint64_t entries, uint64_t now_ms)
        : memory(TimerWheel::bytes_for(entries)), wheel(memory.span(), now_ms) {}
    std::vector<uint32_t> advance(uint64_t now_ms) {
        std::vector<uint32_t> fired;
        EXPECT_TRUE(wheel.advance(now_ms, unlimited, [&](uint32_t index, uint32_t) { fired.push_back(index); }));
        return fired;
    }
    TestMemory memory;
    TimerWheel wheel;
};

using Fired = std::vector<uint32_t>;

TEST(TimerWheel, FiresInItsMillisecondOnEveryLevel) {
    for (uint64_t start : {uint64_t{0}, uint64_t{0xffff'ff00}, uint64_t{0x1'0000'0001}, uint64_t{0x123'4567'89ab}}) {
        for (uint64_t delay : {1ull, 255ull, 256ull, 257ull, 65'535ull, 65'536ull, 65'537ull, 0xff'ffffull,
                               0x100'0000ull, 0x7fff'ffffull, 0xffff'fffeull, 0xffff'ffffull}) {
            SCOPED_TRACE(testing::Message() << "start " << start << " delay " << delay);
            Wheel w(10, start);
            ASSERT_TRUE(w.wheel.schedule(1, 5, start + delay));
            EXPECT_LE(w.wheel.next_possible_ms(), start + delay);
            EXPECT_EQ(w.advance(start + delay - 1), Fired{});
            EXPECT_EQ(w.wheel.next_possible_ms(), start + delay);
            EXPECT_EQ(w.advance(start + delay), Fired{1});
            EXPECT_EQ(w.wheel.next_possible_ms(), TimerWheel::never);
        }
    }
}

TEST(TimerWheel, FiresWhatIsPastAtTheNextAdvance) {
    Wheel w(10, 1000);
    EXPECT_EQ(w.advance(2000), Fired{});
    ASSERT_TRUE(w.wheel.schedule(1, 1, 1500));
    EXPECT_EQ(w.wheel.next_possible_ms(), 2000u);
    EXPECT_EQ(w.advance(2000), Fired{1}) << "the same millisecond again";
    ASSERT_TRUE(w.wheel.schedule(2, 1, 0));
    EXPECT_EQ(w.advance(2001), Fired{2});
    EXPECT_EQ(w.advance(1), Fired{}) << "time does not go back";
    EXPECT_EQ(w.wheel.current_ms(), 2001u);
}

TEST(TimerWheel, ClampsWhatLiesBeyondItsRange) {
    Wheel w(10, 77);
    ASSERT_TRUE(w.wheel.schedule(1, 1, uint64_t{1} << 40));
    EXPECT_EQ(w.advance(77 + TimerWheel::range_ms - 1), Fired{});
    EXPECT_EQ(w.advance(77 + TimerWheel::range_ms), Fired{1});
}

// An owner that always answers "now" gets one call per advance, not an endless loop.
TEST(TimerWheel, ReschedulingInThePastEndsTheAdvance) {
    Wheel w(10, 0);
    ASSERT_TRUE(w.wheel.schedule(1, 1, 10));
    for (uint64_t now : {10u, 11u, 500u, 501u}) {
        uint32_t calls = 0;
        EXPECT_TRUE(w.wheel.advance(now, unlimited, [&](uint32_t index, uint32_t generation) {
            ++calls;
            ASSERT_TRUE(w.wheel.schedule(index, generation, 3));
        }));
        EXPECT_EQ(calls, 1u) << "at " << now;
    }
}

TEST(TimerWheel, StopsAtItsBudgetAndGoesOn) {
    Wheel w(10'000, 0);
    for (uint32_t i = 0; i < 10'000; ++i) ASSERT_TRUE(w.wheel.schedule(i, 1, 70'000));
    uint32_t fired = 0, calls = 0;
    while (!w.wheel.advance(100'000, 64, [&](uint32_t, uint32_t) { ++fired; })) ++calls;
    EXPECT_EQ(fired, 10'000u);
    EXPECT_GE(calls, 10'000u / 64);
    EXPECT_LE(calls, 30'000u / 64 + 1) << "each entry is moved at most twice before it fires";
    EXPECT_EQ(w.wheel.current_ms(), 100'000u);
}

TEST(TimerWheel, NamesEachEntryBeforeItFires) {
    Wheel w(100, 0);
    for (uint32_t index = 1; index <= 50; ++index) ASSERT_TRUE(w.wheel.schedule(index, 1, 10 + index / 20));
    std::vector<uint32_t> named, fired;
    w.wheel.advance(
        20, unlimited, [&](uint32_t index) { named.push_back(index); },
        [&](uint32_t index, uint32_t) {
            fired.push_back(index);
            EXPECT_GE(named.size(), fired.size());
        });
    EXPECT_EQ(fired.size(), 50u);
    EXPECT_EQ(named, fired);
}

TEST(TimerWheel, IsRefusedWhenFull) {
    Wheel w(1000, 0);
    Random32 random(1);
    uint64_t taken = 0;
    while (w.wheel.schedule(0, 1, random())) ++taken;
    EXPECT_GE(taken, 1000u);
    EXPECT_EQ(w.wheel.exhausted_total(), 1u);
    EXPECT_EQ(w.advance(uint64_t{1} << 32).size(), taken) << "moving down the levels never lacks a block";
}

// At a million entries over an hour the blocks that aren't full weigh little.
TEST(TimerWheel, CostsAtMostSixteenBytesAnEntry) {
    Wheel w(100'000, 12'345);
    Random32 random(1);
    for (uint32_t i = 0; i < 100'000; ++i) ASSERT_TRUE(w.wheel.schedule(i, 1, 12'345 + random() % 3'600'000));
    EXPECT_LE(w.wheel.bytes_in_use(), 16u * 100'000);
    EXPECT_GE(w.wheel.bytes_in_use(), sizeof(TimerEntry) * 100'000);
}

uint64_t random_delay(std::mt19937_64& random) {
    switch (random() % 6) {
        case 0:
            return random() % 4;
        case 1:
            return random() % 300;
        case 2:
            return random() % 70'000;
        case 3:
            return random() % 4'000'000;
        case 4:
            return random() % 0x1'0000'0000;
        default:
            return 256u << (8 * (random() % 3));
    }
}

// Random scheduling, advances and budgets against a multimap. Entries name their deadline by their generation (the
// order in which they were scheduled), so an entry that fires twice, late or early is noticed.
void run_against_model(uint64_t seed) {
    std::mt19937_64 random(seed);
    uint64_t now = seed % 2 == 0 ? random() % (uint64_t{1} << 45) : 0x1'0000'0000 * seed - random() % 100'000;
    Wheel w(3000, now);
    std::multimap<uint64_t, uint32_t> model;
    std::map<uint32_t, uint64_t> deadlines;
    uint32_t serial = 0;
    const auto schedule = [&](uint64_t deadline) {
        if (model.size() >= 3000) return;
        deadline = std::min(deadline, w.wheel.current_ms() + TimerWheel::range_ms);
        ASSERT_TRUE(w.wheel.schedule(serial ^ 0xa5a5, serial, deadline));
        model.emplace(deadline, serial);
        deadlines.emplace(serial++, deadline);
    };
    for (int step = 0; step < 2500; ++step) {
        for (uint64_t i = random() % 4; i > 0; --i) schedule(random() % 20 == 0 ? now / 2 : now + random_delay(random));
        now += random() % 50 == 0 ? random_delay(random) : random() % 2000;
        const bool budgeted = random() % 3 == 0;
        uint64_t last_fired = 0;
        const bool done =
            w.wheel.advance(now, budgeted ? 1 + random() % 8 : unlimited, [&](uint32_t index, uint32_t generation) {
                ASSERT_EQ(index, generation ^ 0xa5a5);
                const auto deadline = deadlines.find(generation);
                ASSERT_NE(deadline, deadlines.end()) << "fired twice";
                ASSERT_LE(deadline->second, now) << "early";
                ASSERT_EQ(w.wheel.current_ms(), std::max(deadline->second, w.wheel.current_ms())) << "before its turn";
                ASSERT_GE(w.wheel.current_ms(), last_fired);
                last_fired = w.wheel.current_ms();
                auto [at, end] = model.equal_range(deadline->second);
                while (at->second != generation) ASSERT_NE(++at, end);
                model.erase(at);
                deadlines.erase(deadline);
                if (random() % 4 == 0) schedule(now + 1 + random_delay(random));
            });
        ASSERT_EQ(w.wheel.size(), model.size());
        ASSERT_TRUE(!done || model.empty() || model.begin()->first > now) << "late or skipped, step " << step;
        const uint64_t first = model.empty() ? TimerWheel::never : model.begin()->first;
        ASSERT_LE(w.wheel.next_possible_ms(), std::max(first, w.wheel.current_ms()));
        if (testing::Test::HasFatalFailure()) return;
    }
}

TEST(TimerWheel, AgreesWithAModel) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        run_against_model(seed);
        if (HasFatalFailure()) return;
    }
}

}  // namespace
}  // namespace millrace::store
