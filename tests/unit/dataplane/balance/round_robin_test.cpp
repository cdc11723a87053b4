// Smooth weighted round robin: exact order, smoothness in every window, and what live changes may do to it.
#include "dataplane/balance/round_robin.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "servers.h"

namespace millrace::balance {
namespace {

uint16_t pick(std::span<const Server> servers, std::vector<int32_t>& credits, const ExcludedSlots& excluded = {}) {
    return smooth_weighted_round_robin(servers, credits, excluded).value();
}

/// The largest distance, over all windows of consecutive picks, between a server's picks and its share of the window.
double worst_window(std::span<const Server> servers, std::vector<int32_t>& credits, size_t pick_count) {
    double total = 0;
    for (const Server& server : servers) total += server.weight;
    std::vector<double> ahead(servers.size()), most(servers.size()), least(servers.size());
    for (size_t n = 0; n < pick_count; ++n) {
        const uint16_t slot = pick(servers, credits);
        for (size_t i = 0; i < servers.size(); ++i) {
            ahead[i] += (servers[i].slot == slot ? 1 : 0) - servers[i].weight / total;
            most[i] = std::max(most[i], ahead[i]);
            least[i] = std::min(least[i], ahead[i]);
        }
    }
    double worst = 0;
    for (size_t i = 0; i < servers.size(); ++i) worst = std::max(worst, most[i] - least[i]);
    return worst;
}

TEST(RoundRobin, InterleavesByWeight) {
    const auto servers = servers_of({5, 1, 1});
    const uint16_t a = servers[0].slot, b = servers[1].slot, c = servers[2].slot;
    std::vector<int32_t> credits(3);
    for (int cycle = 0; cycle < 3; ++cycle)
        for (uint16_t expected : {a, a, b, a, c, a, a}) EXPECT_EQ(pick(servers, credits), expected);
}

TEST(RoundRobin, NoWindowIsTwoPicksFromItsShare) {
    std::mt19937 random(3);
    for (int round = 0; round < 50; ++round) {
        std::vector<uint16_t> weights(1 + random() % 40);
        for (uint16_t& weight : weights) weight = static_cast<uint16_t>(1 + random() % (round % 2 == 0 ? 10 : 1000));
        const auto servers = servers_of(weights);
        std::vector<int32_t> credits(servers.size());
        EXPECT_LT(worst_window(servers, credits, 5000), 2) << "round " << round;
    }
}

TEST(RoundRobin, LargestWeightsOfTheLargestBackendDoNotOverflow) {
    const auto servers = servers_of(std::vector<uint16_t>(server_slot_max, UINT16_MAX));
    std::vector<int32_t> credits(servers.size());
    for (int cycle = 0; cycle < 2; ++cycle)
        for (const Server& server : servers) ASSERT_EQ(pick(servers, credits), server.slot);
}

TEST(RoundRobin, LoweredWeightsTakeEffectAtOnce) {
    auto servers = servers_of({60000, 30000, 1000});
    std::vector<int32_t> credits(3);
    for (int i = 0; i < 100; ++i) pick(servers, credits);
    for (Server& server : servers) server.weight = 1;
    Picks picks;
    for (int i = 0; i < 30; ++i) ++picks[pick(servers, credits)];
    for (const Server& server : servers) EXPECT_NEAR(picks[server.slot], 10, 2);
}

TEST(RoundRobin, SmoothAgainSoonAfterAnyCredits) {
    std::mt19937 random(4);
    for (int round = 0; round < 20; ++round) {
        const auto servers = servers_of({5, 3, 1, 1, 7, 9});
        std::vector<int32_t> credits(servers.size());
        for (int32_t& credit : credits) credit = static_cast<int32_t>(random());
        if (round == 0) credits.assign(credits.size(), INT32_MAX);
        if (round == 1) credits.assign(credits.size(), INT32_MIN);
        for (size_t i = 0; i < 4 * 26; ++i) pick(servers, credits);
        EXPECT_LT(worst_window(servers, credits, 1000), 2) << "round " << round;
    }
}

TEST(RoundRobin, ServerThatLeavesAndReturnsIsNeitherFloodedNorStarved) {
    auto servers = servers_of({3, 2, 1});
    std::vector<int32_t> credits(3);
    for (int i = 0; i < 4; ++i) pick(servers, credits);
    servers[0].usable = false;
    Picks away;
    for (int i = 0; i < 300; ++i) ++away[pick(servers, credits)];
    EXPECT_EQ(away.count(servers[0].slot), 0u);
    EXPECT_NEAR(away[servers[1].slot], 200, 2);
    servers[0].usable = true;
    Picks back;
    for (int i = 0; i < 60; ++i) ++back[pick(servers, credits)];
    EXPECT_NEAR(back[servers[0].slot], 30, 2);
    EXPECT_NEAR(back[servers[2].slot], 10, 2);
}

TEST(RoundRobin, RetriesKeepTheOthersFair) {
    // Every pick is followed by a retry that excludes the first choice: the retries, too, go by weight.
    const auto servers = servers_of({4, 4, 4, 4});
    std::vector<int32_t> credits(4);
    Picks picks;
    for (int i = 0; i < 1000; ++i) {
        const uint16_t first = pick(servers, credits), second = pick(servers, credits, excluding({first}));
        EXPECT_NE(first, second);
        ++picks[first];
        ++picks[second];
    }
    for (const Server& server : servers) EXPECT_NEAR(picks[server.slot], 500, 3);
}

}  // namespace
}  // namespace millrace::balance
