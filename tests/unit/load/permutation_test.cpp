#include "load/permutation.h"

#include <gtest/gtest.h>
#include <vector>

namespace millrace::load {
namespace {

TEST(Permutation, HasEveryNumberOnce) {
    for (const uint32_t size : {1u, 2u, 3u, 4u, 5u, 15u, 16u, 17u, 100u, 1000u, 65537u}) {
        const Permutation order(size, 42 + size);
        std::vector<bool> seen(size);
        for (uint32_t at = 0; at < size; ++at) {
            ASSERT_LT(order[at], size);
            EXPECT_FALSE(seen[order[at]]) << at << " of " << size;
            seen[order[at]] = true;
        }
    }
}

TEST(Permutation, FollowsFromItsSeed) {
    const Permutation a(1000, 1), b(1000, 1), c(1000, 2);
    uint32_t equal_to_c = 0;
    for (uint32_t at = 0; at < 1000; ++at) {
        EXPECT_EQ(a[at], b[at]);
        equal_to_c += a[at] == c[at] ? 1 : 0;
    }
    EXPECT_LT(equal_to_c, 20u);
}

TEST(Permutation, SpreadsNeighbours) {
    // The mean distance of two random numbers below n is n / 3.
    const Permutation order(10'000, 7);
    uint64_t sum = 0;
    for (uint32_t at = 1; at < order.size(); ++at)
        sum += order[at] > order[at - 1] ? order[at] - order[at - 1] : order[at - 1] - order[at];
    EXPECT_NEAR(static_cast<double>(sum) / 9'999, 3'333, 150);
}

}  // namespace
}  // namespace millrace::load
