// Maglev: shares of the table, how much a change of servers moves, and the lookup around servers that are out.
#include "dataplane/balance/maglev.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "servers.h"

namespace millrace::balance {
namespace {

constexpr uint32_t size = 65537;

struct Table {
    std::vector<uint16_t> entries = std::vector<uint16_t>(size);
    std::vector<Server> servers;

    explicit Table(std::vector<Server> list) : servers(std::move(list)) {
        std::vector<MaglevServer> build;
        for (const Server& server : servers)
            build.push_back({.identity = mix(42, server.slot), .weight = server.weight});
        maglev_build(build, entries);
    }

    std::vector<uint32_t> counts() const {
        std::vector<uint32_t> counts(servers.size());
        for (uint16_t index : entries) ++counts.at(index);
        return counts;
    }

    std::optional<uint16_t> pick(uint64_t hash, const ExcludedSlots& excluded = {}) const {
        return maglev(entries, servers, hash, excluded);
    }
};

/// The share of entries that differ although neither server is `gone`.
double needless_moves(const Table& before, const Table& after, uint16_t gone) {
    uint32_t moved = 0;
    for (size_t i = 0; i < size; ++i)
        if (before.entries[i] != gone && before.entries[i] != after.entries[i]) ++moved;
    return moved / static_cast<double>(size);
}

TEST(Maglev, EqualServersDifferByOneEntry) {
    for (size_t count : {1u, 2u, 3u, 10u, 100u, 1000u}) {
        const auto counts = Table(equal_servers(count)).counts();
        const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
        EXPECT_LE(*most - *least, 1u) << count;
    }
}

TEST(Maglev, EntriesFollowWeights) {
    std::mt19937 random(10);
    std::vector<uint16_t> weights(50);
    for (uint16_t& weight : weights) weight = static_cast<uint16_t>(random() % 100);
    weights[7] = 0;
    const Table table(servers_of(weights));
    double total = 0;
    for (uint16_t weight : weights) total += weight;
    const auto counts = table.counts();
    for (size_t i = 0; i < weights.size(); ++i) EXPECT_NEAR(counts[i], size * weights[i] / total, 2) << i;
}

TEST(Maglev, KeysFollowWeights) {
    const Table table(servers_of({1, 2, 3, 10, 4}));
    std::mt19937_64 random(11);
    Picks picks;
    for (int i = 0; i < 50'000; ++i) ++picks[table.pick(random()).value()];
    EXPECT_LT(deviation_from_weights(picks, table.servers), 4);
}

TEST(Maglev, RebuildMovesFewEntriesOfTheServersThatStay) {
    const std::pair<size_t, double> bounds[] = {{3, 0.01}, {10, 0.01}, {100, 0.02}, {1000, 0.02}};
    for (const auto& [count, bound] : bounds) {
        auto servers = equal_servers(count);
        const Table before(servers);
        servers[count / 2].weight = 0;
        const double moved = needless_moves(before, Table(servers), static_cast<uint16_t>(count / 2));
        std::printf("%zu servers, one goes: %.2f %% of the entries move needlessly\n", count, 100 * moved);
        EXPECT_LT(moved, bound) << count;
    }
}

TEST(Maglev, SameServersSameTableOnEveryBalancer) {
    const Table table(servers_of({3, 1, 4, 1, 5}));
    uint64_t checksum = 0;
    for (uint16_t index : table.entries) checksum = mix(checksum, index);
    // Pins the mapping: balancers of different versions share clients, so a change of it is a change of protocol.
    EXPECT_EQ(checksum, 15065456569084114621u);
}

TEST(Maglev, NoServersLeaveAnEmptyTable) {
    for (const auto& servers : {servers_of({}), servers_of({0, 0})}) {
        const Table table(servers);
        EXPECT_EQ(std::count(table.entries.begin(), table.entries.end(), maglev_empty), size);
        EXPECT_EQ(table.pick(5), std::nullopt);
    }
}

double entries_of(std::span<const uint16_t> entries, uint16_t index) {
    return static_cast<double>(std::count(entries.begin(), entries.end(), index));
}

TEST(Maglev, SmallestTables) {
    for (uint32_t prime : {2u, 3u, 5u}) {
        std::vector<uint16_t> entries(prime);
        const MaglevServer servers[] = {{.identity = 1, .weight = 1}, {.identity = 2, .weight = 1}};
        maglev_build(servers, entries);
        EXPECT_NEAR(entries_of(entries, 0), prime / 2.0, 0.5);
        EXPECT_NEAR(entries_of(entries, 1), prime / 2.0, 0.5);
    }
}

TEST(Maglev, ServersOfOneIdentityStillShare) {
    std::vector<uint16_t> entries(size);
    const MaglevServer servers[] = {{.identity = 9, .weight = 2}, {.identity = 9, .weight = 1}};
    maglev_build(servers, entries);
    EXPECT_NEAR(entries_of(entries, 1), size / 3.0, 1);
}

TEST(Maglev, OnlyKeysOfAnEjectedServerMoveAndTheySpreadByWeight) {
    const Table whole(servers_of({1, 2, 3, 10, 4}));
    Table ejected = whole;
    ejected.servers[3].usable = false;
    std::mt19937_64 random(12);
    Picks moved_to;
    for (int i = 0; i < 50'000; ++i) {
        const uint64_t hash = random();
        const uint16_t was = whole.pick(hash).value(), is = ejected.pick(hash).value();
        if (was == whole.servers[3].slot)
            ++moved_to[is];
        else
            ASSERT_EQ(is, was);
        ASSERT_EQ(whole.pick(hash, excluding({whole.servers[3].slot})), is);
    }
    auto others = whole.servers;
    others.erase(others.begin() + 3);
    EXPECT_LT(deviation_from_weights(moved_to, others), 4);
}

TEST(Maglev, LastUsableServerOfManyIsFoundBeyondTheProbes) {
    Table table(equal_servers(1000));
    for (Server& server : table.servers) server.usable = false;
    table.servers[123].usable = true;
    std::mt19937_64 random(13);
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(table.pick(random()), table.servers[123].slot);
}

TEST(Maglev, EntriesBeyondTheServersAreIgnored) {
    const Table table(equal_servers(10));
    std::mt19937_64 random(14);
    for (int i = 0; i < 1000; ++i) {
        const auto slot = maglev(table.entries, std::span(table.servers).first(2), random(), {});
        EXPECT_TRUE(slot == table.servers[0].slot || slot == table.servers[1].slot);
    }
}

}  // namespace
}  // namespace millrace::balance
