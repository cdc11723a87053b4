#include "dataplane/store/record_pool.h"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <vector>

#include "test_support.h"

namespace millrace::store {
namespace {

struct Record {
    uint32_t generation;
    uint32_t value;
    uint64_t more[7];
};
static_assert(sizeof(Record) == 64);

using Pool = RecordPool<Record>;

TEST(RecordPool, NoticesStaleAndInventedHandles) {
    TestMemory memory(Pool::bytes_for(4));
    Pool pool = Pool::format(memory.span());
    EXPECT_EQ(pool.get(no_handle), nullptr);
    const uint32_t index = pool.allocate();
    const Handle first = pool.handle(index);
    ASSERT_NE(pool.get(first), nullptr);
    pool.free(index);
    EXPECT_EQ(pool.get(first), nullptr);
    EXPECT_EQ(pool.get({index, first.generation + 1}), nullptr) << "an even generation is a free record's";
    EXPECT_EQ(pool.allocate(), index) << "the last freed is the first used";
    EXPECT_EQ(pool.get(first), nullptr);
    EXPECT_EQ(pool.get({4, 1}), nullptr);
    EXPECT_EQ(pool.get({no_index, 1}), nullptr);
}

TEST(RecordPool, ZeroesWhatItAllocates) {
    TestMemory memory(Pool::bytes_for(1));
    Pool pool = Pool::format(memory.span());
    const uint32_t index = pool.allocate();
    pool.at(index).value = 7;
    pool.at(index).more[6] = 7;
    pool.free(index);
    ASSERT_EQ(pool.allocate(), index);
    EXPECT_EQ(pool.at(index).value, 0u);
    EXPECT_EQ(pool.at(index).more[6], 0u);
}

TEST(RecordPool, CountsExhaustion) {
    TestMemory memory(Pool::bytes_for(2));
    Pool pool = Pool::format(memory.span());
    EXPECT_EQ(pool.capacity(), 2u);
    EXPECT_NE(pool.allocate(), no_index);
    EXPECT_NE(pool.allocate(), no_index);
    EXPECT_EQ(pool.allocate(), no_index);
    EXPECT_EQ(pool.exhausted_total(), 1u);
}

TEST(RecordPoolDeathTest, RefusesDoubleFree) {
    TestMemory memory(Pool::bytes_for(2));
    Pool pool = Pool::format(memory.span());
    const uint32_t index = pool.allocate();
    pool.free(index);
    EXPECT_DEATH(pool.free(index), "is_live");
    EXPECT_DEATH(pool.free(1), "is_live");
}

TEST(RecordPool, RefusesASectionOfAnotherShape) {
    TestMemory memory(Pool::bytes_for(8));
    Pool pool = Pool::format(memory.span());
    for (int i = 0; i < 8; ++i) pool.allocate();
    struct Wider {
        uint32_t generation;
        uint32_t more[31];
    };
    EXPECT_FALSE(RecordPool<Wider>::join(memory.span()));
    EXPECT_FALSE(Pool::join(memory.span().first(Pool::bytes_for(7)))) << "the high-water mark lies outside";
    EXPECT_TRUE(Pool::join(memory.span()));
}

// Random allocation and freeing against a map, with a restart (a new pool object over the same bytes) now and then.
TEST(RecordPool, AgreesWithAModelAcrossRestarts) {
    for (uint32_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        Random32 random(seed);
        TestMemory memory(Pool::bytes_for(100));
        Pool pool = Pool::format(memory.span());
        std::map<uint32_t, std::pair<Handle, uint32_t>> model;
        std::vector<Handle> stale;
        for (int step = 0; step < 3000; ++step) {
            const uint32_t kind = random() % 100;
            if (kind < 52) {
                const uint32_t index = pool.allocate();
                ASSERT_EQ(index == no_index, model.size() == 100);
                if (index == no_index) continue;
                pool.at(index).value = static_cast<uint32_t>(random());
                ASSERT_TRUE(model.emplace(index, std::pair(pool.handle(index), pool.at(index).value)).second);
            } else if (kind < 99) {
                if (model.empty()) continue;
                auto victim = std::next(model.begin(), random() % model.size());
                stale.push_back(victim->second.first);
                pool.free(victim->first);
                model.erase(victim);
            } else {
                pool = *Pool::join(memory.span());
            }
            ASSERT_EQ(pool.live_count(), model.size());
        }
        for (const auto& [index, expected] : model) {
            Record* record = pool.get(expected.first);
            ASSERT_NE(record, nullptr);
            EXPECT_EQ(record->value, expected.second);
        }
        for (Handle handle : stale) ASSERT_EQ(pool.get(handle), nullptr);
        std::vector<uint32_t> visited;
        pool.for_each_live([&](uint32_t index, Record&) { visited.push_back(index); });
        std::vector<uint32_t> expected;
        for (const auto& [index, unused] : model) expected.push_back(index);
        EXPECT_EQ(visited, expected);
    }
}

}  // namespace
}  // namespace millrace::store
