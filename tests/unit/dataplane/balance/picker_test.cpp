// The contract that every algorithm keeps, and that pick() reaches the right one.
#include "dataplane/balance/picker.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <set>
#include <vector>

#include "servers.h"

namespace millrace::balance {
namespace {

class EveryAlgorithm : public testing::TestWithParam<Algorithm> {
  protected:
    /// What `count` requests choose.
    Picks picks(const std::vector<Server>& servers, const ExcludedSlots& excluded, int count = 500) {
        credits_.assign(servers.size(), 0);
        Picks picks;
        for (int i = 0; i < count; ++i) {
            const auto slot = pick_one(servers, excluded);
            if (slot) ++picks[*slot];
        }
        return picks;
    }

    std::optional<uint16_t> pick_one(const std::vector<Server>& servers, const ExcludedSlots& excluded) {
        // The table knows nothing of what happened since the configuration: every server has entries.
        std::vector<uint16_t> table(251);
        for (size_t i = 0; i < table.size(); ++i)
            table[i] = servers.empty() ? maglev_empty : static_cast<uint16_t>(i % servers.size());
        const Pool pool{.servers = servers, .credits = credits_, .maglev_table = table};
        return pick(GetParam(), pool, {.hash = random_(), .random = random_(), .excluded = excluded});
    }

    std::mt19937_64 random_{15};
    std::vector<int32_t> credits_;
};

TEST_P(EveryAlgorithm, UsesEveryEligibleServerAndNoOther) {
    for (size_t count : {5u, 20u}) {  // below and above two_choices_from
        auto servers = equal_servers(count);
        servers[0].usable = false;
        servers[2].weight = 0;
        const auto excluded = excluding({servers[3].slot});
        std::set<uint16_t> expected, chosen;
        for (const Server& server : servers)
            if (eligible(server, excluded)) expected.insert(server.slot);
        for (const auto& [slot, times] : picks(servers, excluded)) chosen.insert(slot);
        EXPECT_EQ(expected.size(), count - 3);
        EXPECT_EQ(chosen, expected);
    }
}

TEST_P(EveryAlgorithm, SingleServerTakesAll) {
    const auto servers = servers_of({3});
    EXPECT_EQ(picks(servers, {}), (Picks{{servers[0].slot, 500}}));
}

TEST_P(EveryAlgorithm, NoneEligibleGivesNone) {
    EXPECT_TRUE(picks({}, {}).empty());
    EXPECT_TRUE(picks(servers_of({0, 0, 0}), {}).empty());
    const auto servers = equal_servers(3);
    EXPECT_TRUE(picks(servers, excluding({servers[0].slot, servers[1].slot, servers[2].slot})).empty());
    auto down = equal_servers(20);
    for (Server& server : down) server.usable = false;
    EXPECT_TRUE(picks(down, {}).empty());
}

TEST_P(EveryAlgorithm, RetriesVisitEachServerOnce) {
    const auto servers = equal_servers(ExcludedSlots::capacity);
    credits_.assign(servers.size(), 0);
    ExcludedSlots tried;
    std::set<uint16_t> slots;
    while (const auto slot = pick_one(servers, tried)) {
        EXPECT_TRUE(slots.insert(*slot).second);
        ASSERT_TRUE(tried.add(*slot));
    }
    EXPECT_EQ(slots.size(), servers.size());
}

INSTANTIATE_TEST_SUITE_P(Picker, EveryAlgorithm,
                         testing::Values(Algorithm::round_robin, Algorithm::least_conn, Algorithm::maglev,
                                         Algorithm::ip_hash));

TEST(Picker, ReachesTheConfiguredAlgorithm) {
    auto servers = servers_of({1, 1, 1, 1});
    servers[2].open = 0;
    for (size_t i : {0u, 1u, 3u}) servers[i].open = 10;
    std::vector<int32_t> credits = {0, 0, 0, 5};
    const std::vector<uint16_t> table(251, 1);
    const Pool pool{.servers = servers, .credits = credits, .maglev_table = table};
    const PickRequest request{.hash = 77, .random = 5, .excluded = {}};
    EXPECT_EQ(pick(Algorithm::least_conn, pool, request), servers[2].slot);
    EXPECT_EQ(pick(Algorithm::maglev, pool, request), servers[1].slot);
    EXPECT_EQ(pick(Algorithm::ip_hash, pool, request), ip_hash(servers, 77, {}));
    EXPECT_EQ(pick(Algorithm::round_robin, pool, request), servers[3].slot);
    EXPECT_EQ(pick(static_cast<Algorithm>(200), pool, request), std::nullopt);
}

TEST(Picker, MaglevWithoutATableActsAsIpHash) {
    const auto servers = equal_servers(5);
    const Pool pool{.servers = servers, .credits = {}, .maglev_table = {}};
    for (uint64_t hash = 0; hash < 100; ++hash)
        EXPECT_EQ(pick(Algorithm::maglev, pool, {.hash = hash, .random = 0, .excluded = {}}),
                  ip_hash(servers, hash, {}));
}

TEST(ExcludedSlots, HoldsEveryRetryAndNoMore) {
    ExcludedSlots excluded;
    EXPECT_FALSE(excluded.contains(0));
    for (uint16_t slot = 0; slot < ExcludedSlots::capacity; ++slot) EXPECT_TRUE(excluded.add(slot));
    EXPECT_FALSE(excluded.add(99));
    EXPECT_FALSE(excluded.contains(99));
    EXPECT_TRUE(excluded.contains(ExcludedSlots::capacity - 1));
}

}  // namespace
}  // namespace millrace::balance
