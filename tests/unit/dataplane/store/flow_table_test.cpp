#include "dataplane/store/flow_table.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <unordered_map>
#include <vector>

#include "test_support.h"

namespace millrace::store {
namespace {

using Model = std::unordered_multimap<uint32_t, uint32_t>;

bool finds(const FlowTable& table, uint32_t hash, uint32_t value) {
    const auto found = table.find(hash, [&](uint32_t candidate) { return candidate == value; });
    return found == value;
}

// Every value that the table offers for a hash, sorted: the matcher sees all of them by refusing each.
std::vector<uint32_t> all_of(const FlowTable& table, uint32_t hash) {
    std::vector<uint32_t> values;
    EXPECT_FALSE(table.find(hash, [&](uint32_t value) {
        values.push_back(value);
        return false;
    }));
    std::sort(values.begin(), values.end());
    return values;
}

std::vector<uint32_t> all_of(const Model& model, uint32_t hash) {
    std::vector<uint32_t> values;
    for (auto [at, end] = model.equal_range(hash); at != end; ++at) values.push_back(at->second);
    std::sort(values.begin(), values.end());
    return values;
}

void expect_equal(const FlowTable& table, const Model& model) {
    ASSERT_EQ(table.size(), model.size());
    for (const auto& [hash, value] : model) ASSERT_EQ(all_of(table, hash), all_of(model, hash)) << "hash " << hash;
}

TEST(FlowTable, TellsFlowsOfOneHashApart) {
    TestMemory memory(FlowTable::bytes_for(100));
    FlowTable table(memory.span());
    ASSERT_TRUE(table.insert(42, 1));
    ASSERT_TRUE(table.insert(42, 2));
    EXPECT_TRUE(finds(table, 42, 1));
    EXPECT_TRUE(finds(table, 42, 2));
    EXPECT_FALSE(finds(table, 42, 3));
    EXPECT_FALSE(finds(table, 42 ^ 0x100, 1)) << "differs in the middle byte alone";
    EXPECT_FALSE(finds(table, 42 ^ 0x8000'0000, 1));
    EXPECT_FALSE(table.erase(42, 3));
    EXPECT_TRUE(table.erase(42, 1));
    EXPECT_FALSE(finds(table, 42, 1));
    EXPECT_TRUE(finds(table, 42, 2));
}

// Few distinct hashes, so that long chains of equal ones occur as well; the table passes through several rounds.
TEST(FlowTable, AgreesWithAModel) {
    for (uint32_t seed = 1; seed <= 12; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        Random32 random(seed);
        TestMemory memory(FlowTable::bytes_for(20'000));
        FlowTable table(memory.span());
        Model model;
        const uint32_t hash_mask = seed % 3 == 0 ? 0xff00'00ff : 0xffff'ffff;
        for (int step = 0; step < 30'000; ++step) {
            const bool grow = step < 15'000 ? random() % 4 != 0 : random() % 4 == 0;
            if (grow) {
                const uint32_t hash = static_cast<uint32_t>(random()) & hash_mask;
                const uint32_t value = random() % 1000;
                ASSERT_TRUE(table.insert(hash, value));
                model.emplace(hash, value);
            } else if (!model.empty()) {
                // Any bucket of the model; its iteration order is as good as random here.
                size_t bucket = random() % model.bucket_count();
                while (model.bucket_size(bucket) == 0) bucket = (bucket + 1) % model.bucket_count();
                const auto [hash, value] = *model.begin(bucket);
                ASSERT_TRUE(table.erase(hash, value));
                auto [at, end] = model.equal_range(hash);
                const uint32_t erased = value;
                model.erase(std::find_if(at, end, [&](const auto& entry) { return entry.second == erased; }));
            }
            if (step % 5000 == 4999) expect_equal(table, model);
        }
        expect_equal(table, model);
        table.clear();
        EXPECT_EQ(table.size(), 0u);
        for (const auto& [hash, value] : model) ASSERT_FALSE(finds(table, hash, value));
        for (const auto& [hash, value] : model) ASSERT_TRUE(table.insert(hash, value));
        expect_equal(table, model);
    }
}

TEST(FlowTable, CostsAtMostTwelveBytesAnEntryAtEverySize) {
    constexpr uint32_t entries = 400'000;
    TestMemory memory(FlowTable::bytes_for(entries));
    FlowTable table(memory.span());
    Random32 random(7);
    double worst = 0;
    for (uint32_t i = 1; i <= entries; ++i) {
        ASSERT_TRUE(table.insert(static_cast<uint32_t>(random()), i));
        if (i >= 10'000) worst = std::max(worst, static_cast<double>(table.bytes_in_use()) / i);
    }
    EXPECT_LE(worst, 12.0);
    EXPECT_LE(table.bytes_in_use(), memory.span().size());
}

// A full section refuses, keeps all that it has, and takes entries again when some have left.
TEST(FlowTable, IsRefusedWhenFullAndRecovers) {
    TestMemory memory(FlowTable::bytes_for(3000));
    FlowTable table(memory.span());
    Random32 random(3);
    std::vector<uint32_t> hashes;
    for (;;) {
        const uint32_t hash = static_cast<uint32_t>(random());
        if (!table.insert(hash, static_cast<uint32_t>(hashes.size()))) break;
        hashes.push_back(hash);
        ASSERT_LT(hashes.size(), 100'000u);
    }
    EXPECT_GE(hashes.size(), 3000u);
    EXPECT_EQ(table.exhausted_total(), 1u);
    for (uint32_t i = 0; i < hashes.size(); ++i) ASSERT_TRUE(finds(table, hashes[i], i));
    for (uint32_t i = 0; i < hashes.size(); i += 2) ASSERT_TRUE(table.erase(hashes[i], i));
    for (uint32_t i = 1; i < hashes.size(); i += 2) ASSERT_TRUE(finds(table, hashes[i], i));
    uint32_t taken = 0;
    for (uint32_t i = 0; i < hashes.size(); i += 2) taken += table.insert(hashes[i], i);
    EXPECT_GT(taken, hashes.size() / 2 * 9 / 10);
}

// A long chain that moves as a whole to a new bucket, while no overflow bucket is free.
TEST(FlowTable, SplitsAChainIntoItsOwnBuckets) {
    TestMemory memory(FlowTable::bytes_for(1));  // 256 primaries, 128 overflow buckets
    FlowTable table(memory.span());
    constexpr uint32_t chained = 8 + 127 * 8;
    for (uint32_t i = 0; i < chained; ++i) ASSERT_TRUE(table.insert(0x100, i));
    for (uint32_t i = 0; i < 255 * 8; ++i) ASSERT_TRUE(table.insert(1 + i % 255, i));
    EXPECT_EQ(table.bytes_in_use(), memory.span().size());
    for (uint32_t i = 0; i < chained; ++i) ASSERT_TRUE(finds(table, 0x100, i));
    for (uint32_t i = 0; i < 255 * 8; ++i) ASSERT_TRUE(finds(table, 1 + i % 255, i));
}

// A peak and then few: memory stays, everything is still found.
TEST(FlowTable, DoesNotShrink) {
    TestMemory memory(FlowTable::bytes_for(50'000));
    FlowTable table(memory.span());
    Random32 random(5);
    std::vector<uint32_t> hashes(50'000);
    for (uint32_t i = 0; i < hashes.size(); ++i) {
        hashes[i] = static_cast<uint32_t>(random());
        ASSERT_TRUE(table.insert(hashes[i], i));
    }
    const uint64_t peak = table.bytes_in_use();
    for (uint32_t i = 100; i < hashes.size(); ++i) ASSERT_TRUE(table.erase(hashes[i], i));
    EXPECT_EQ(table.size(), 100u);
    EXPECT_EQ(table.bytes_in_use(), peak);
    for (uint32_t i = 0; i < 100; ++i) ASSERT_TRUE(finds(table, hashes[i], i));
}

}  // namespace
}  // namespace millrace::store
