#include "dataplane/relay/statistics.h"

#include <gtest/gtest.h>
#include <map>
#include <set>
#include <string>

#include "dataplane/http/error_response.h"

namespace millrace::relay {
namespace {

size_t bytes_of(const StatDescriptor& descriptor) {
    return descriptor.kind == StatKind::histogram ? sizeof(Histogram) : sizeof(uint64_t);
}

TEST(Statistics, EveryValueIsDescribedOnce) {
    std::set<std::pair<StatScope, std::string>> names;
    std::map<StatScope, std::set<size_t>> covered;
    for (const StatDescriptor& descriptor : stat_descriptor_table()) {
        EXPECT_TRUE(names.insert({descriptor.scope, descriptor.name}).second) << descriptor.name;
        EXPECT_NE(std::string(descriptor.unit), "");
        for (size_t at = 0; at < bytes_of(descriptor); at += 8)
            EXPECT_TRUE(covered[descriptor.scope].insert(descriptor.offset + at).second) << descriptor.name;
    }
    // The first drop reason is "none": not counted, not described.
    EXPECT_EQ(covered[StatScope::worker].size() * 8 + 8, sizeof(WorkerStats));
    EXPECT_EQ(covered[StatScope::listener].size() * 8, sizeof(ListenerStats));
    EXPECT_EQ(covered[StatScope::backend].size() * 8, sizeof(BackendStats));
    EXPECT_EQ(covered[StatScope::server].size() * 8, sizeof(ServerStats));
}

TEST(Statistics, NamesTellCountersFromGauges) {
    for (const StatDescriptor& descriptor : stat_descriptor_table()) {
        const std::string name = descriptor.name;
        EXPECT_LT(name.size() + 1, sizeof descriptor.name) << name << " is cut short";
        EXPECT_EQ(name.ends_with("_total"), descriptor.kind == StatKind::counter) << name;
    }
}

TEST(Statistics, ScopesLieWhereTheBlockHasThem) {
    StatScopeLayout scopes[static_cast<uint32_t>(StatScope::count)];
    fill_scope_layouts(scopes);
    StatsBlock block{};
    const auto at = [&](StatScope scope, uint32_t slot) {
        const StatScopeLayout& layout = scopes[static_cast<size_t>(scope)];
        EXPECT_LT(slot, layout.slots);
        return reinterpret_cast<const std::byte*>(&block) + layout.offset + slot * layout.stride;
    };
    EXPECT_EQ(at(StatScope::worker, 0), reinterpret_cast<const std::byte*>(&block.worker));
    EXPECT_EQ(at(StatScope::listener, 7), reinterpret_cast<const std::byte*>(&block.listeners[7]));
    EXPECT_EQ(at(StatScope::backend, 255), reinterpret_cast<const std::byte*>(&block.backends[255]));
    EXPECT_EQ(at(StatScope::server, 4095), reinterpret_cast<const std::byte*>(&block.servers[4095]));
}

TEST(Histogram, BucketsArePowersOfTwo) {
    Histogram histogram{};
    for (const uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{3}, uint64_t{4}, ~uint64_t{0}})
        histogram.add(value);
    EXPECT_EQ(histogram.buckets[0], 1u);
    EXPECT_EQ(histogram.buckets[1], 1u);
    EXPECT_EQ(histogram.buckets[2], 2u);
    EXPECT_EQ(histogram.buckets[3], 1u);
    EXPECT_EQ(histogram.buckets[histogram_bucket_count - 1], 1u);
}

TEST(Statistics, EveryAnswerOfOursHasACounter) {
    for (const uint16_t status : response_statuses) {
        std::array<uint8_t, http::error_response_bytes_max> bytes;
        EXPECT_NE(http::write_error(status, {}, bytes), 0u) << status;
    }
    EXPECT_EQ(std::size(response_statuses), std::size(ListenerStats{}.responses));
}

}  // namespace
}  // namespace millrace::relay
