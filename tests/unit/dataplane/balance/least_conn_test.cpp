// Weighted least connections: the exact minimum among few, two draws by weight among many, and no crowd onto a stale
// minimum.
#include "dataplane/balance/least_conn.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "servers.h"

namespace millrace::balance {
namespace {

Server& with_slot(std::vector<Server>& servers, uint16_t slot) {
    return *std::find_if(servers.begin(), servers.end(), [&](const Server& server) { return server.slot == slot; });
}

TEST(LeastConn, FewServersTakeTheExactMinimum) {
    auto servers = servers_of({1, 2, 4});
    std::mt19937_64 random(5);
    // (open + 1) / weight: 1, 1/2, 1/4 at first; then always to where the next relay weighs least.
    for (int i = 0; i < 7000; ++i) {
        const uint16_t slot = least_conn(servers, random(), {}).value();
        const Server& chosen = with_slot(servers, slot);
        for (const Server& server : servers)
            ASSERT_LE((chosen.open + 1) * server.weight, (server.open + 1) * chosen.weight);
        ++with_slot(servers, slot).open;
    }
    EXPECT_EQ(servers[0].open, 1000u);
    EXPECT_EQ(servers[1].open, 2000u);
    EXPECT_EQ(servers[2].open, 4000u);
}

TEST(LeastConn, LargestCountsDoNotOverflow) {
    auto servers = servers_of({UINT16_MAX, 1});
    servers[0].open = UINT32_MAX;
    servers[1].open = 65536;  // 65,537 / 1 against 65,537.0000…: 2³² / 65,535 = 65,537.000015
    EXPECT_EQ(least_conn(servers, 0, {}), servers[1].slot);
    servers[1].open = 65537;
    EXPECT_EQ(least_conn(servers, 0, {}), servers[0].slot);
}

TEST(LeastConn, EqualServersShareTheTies) {
    std::mt19937_64 random(6);
    const auto servers = equal_servers(3);
    Picks picks;
    for (int i = 0; i < 3000; ++i) ++picks[least_conn(servers, random(), {}).value()];
    EXPECT_LT(deviation_from_weights(picks, servers), 4);
}

TEST(LeastConn, ManyServersFillUpByWeight) {
    std::mt19937_64 random(7);
    std::vector<uint16_t> weights(100);
    for (uint16_t& weight : weights) weight = static_cast<uint16_t>(1 + random() % 20);
    weights[0] = 500;  // one server that must take a third of all
    auto servers = servers_of(weights);
    double total = 0;
    for (const Server& server : servers) total += server.weight;
    const int relays = 200'000;
    for (int i = 0; i < relays; ++i) ++with_slot(servers, least_conn(servers, random(), {}).value()).open;
    double worst = 0;
    for (const Server& server : servers)
        worst = std::max(worst, std::abs(server.open - relays * server.weight / total));
    // Random placement by weight alone would leave some server about √(200,000 / 3) ≈ 258 off.
    RecordProperty("worst_distance_from_share", std::to_string(worst));
    EXPECT_LT(worst, 25);
}

TEST(LeastConn, StaleCountsDoNotDrawACrowd) {
    std::mt19937_64 random(8);
    auto servers = equal_servers(64);
    for (Server& server : servers) server.open = static_cast<uint32_t>(1000 + random() % 50);
    servers[17].open = 0;
    Picks picks;
    for (int i = 0; i < 6400; ++i) ++picks[least_conn(servers, random(), {}).value()];  // nobody updates the counts
    // Drawn first or second: 2/64 of the picks at most, however empty the server looks.
    for (const auto& [slot, count] : picks) EXPECT_LT(count, 2.5 * 100) << slot;
}

TEST(LeastConn, TheTwoChoicesDiffer) {
    std::mt19937_64 random(9);
    // One server with nearly all the weight is drawn nearly always, but it is overloaded: another must win every time.
    auto servers = equal_servers(two_choices_from);
    servers[3].weight = 60000;
    servers[3].open = UINT32_MAX;
    for (int i = 0; i < 1000; ++i) EXPECT_NE(least_conn(servers, random(), {}), servers[3].slot);
    for (uint64_t extreme : {uint64_t{0}, UINT64_MAX, uint64_t{UINT32_MAX}, ~uint64_t{UINT32_MAX}})
        EXPECT_NE(least_conn(servers, extreme, {}), servers[3].slot);
}

}  // namespace
}  // namespace millrace::balance
