// Rendezvous hashing: shares by weight, and exactly the necessary clients move when servers or weights change.
#include "dataplane/balance/ip_hash.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "dataplane/base/siphash.h"
#include "servers.h"

namespace millrace::balance {
namespace {

/// Hashes of consecutive addresses, as real clients behind one network have.
std::vector<uint64_t> client_hashes(uint32_t count) {
    std::vector<uint64_t> hashes;
    for (uint32_t i = 0; i < count; ++i)
        hashes.push_back(client_hash({1, 2}, IpAddress::v4(198, static_cast<uint8_t>(18 + (i >> 16)),
                                                           static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i))));
    return hashes;
}

TEST(IpHash, SharesByWeight) {
    const auto servers = servers_of({1, 2, 3, 10, 1, 50, 7});
    Picks picks;
    for (uint64_t hash : client_hashes(50'000)) ++picks[ip_hash(servers, hash, {}).value()];
    EXPECT_LT(deviation_from_weights(picks, servers), 4);
}

TEST(IpHash, OnlyTheClientsOfALostServerMoveAndTheySpreadByWeight) {
    const auto before = servers_of({1, 2, 3, 10, 4});
    auto after = before;
    after[3].usable = false;
    Picks moved_to;
    for (uint64_t hash : client_hashes(50'000)) {
        const uint16_t was = ip_hash(before, hash, {}).value(), is = ip_hash(after, hash, {}).value();
        if (was == before[3].slot)
            ++moved_to[is];
        else
            ASSERT_EQ(is, was);
        // Excluding is the same as losing.
        ASSERT_EQ(ip_hash(before, hash, excluding({before[3].slot})), is);
    }
    after.erase(after.begin() + 3);
    EXPECT_LT(deviation_from_weights(moved_to, after), 4);
}

TEST(IpHash, RaisedWeightOnlyDrawsClientsIn) {
    const auto before = servers_of({5, 5, 5, 5});
    auto after = before;
    after[1].weight = 10;
    uint32_t moved = 0;
    const auto clients = client_hashes(50'000);
    for (uint64_t hash : clients) {
        const uint16_t was = ip_hash(before, hash, {}).value(), is = ip_hash(after, hash, {}).value();
        if (was == is) continue;
        ASSERT_EQ(is, before[1].slot);
        ++moved;
    }
    EXPECT_NEAR(moved / static_cast<double>(clients.size()), 10.0 / 25 - 5.0 / 20, 0.01);
}

TEST(IpHash, DependsOnSlotsNotOnOrder) {
    auto servers = servers_of({1, 2, 3, 4, 5});
    auto shuffled = servers;
    std::reverse(shuffled.begin(), shuffled.end());
    for (uint64_t hash : client_hashes(1000)) EXPECT_EQ(ip_hash(servers, hash, {}), ip_hash(shuffled, hash, {}));
}

TEST(IpHash, ExtremeHashes) {
    const auto servers = servers_of({1, UINT16_MAX, 3});
    for (uint64_t hash : {uint64_t{0}, UINT64_MAX}) EXPECT_TRUE(ip_hash(servers, hash, {}).has_value());
}

}  // namespace
}  // namespace millrace::balance
