// Every port of a class must really come back to its shard, judged by the full hash of the packet that comes back.
#include "dataplane/base/port_classes.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "rss_key.h"

namespace millrace {
namespace {

IpAddress random_address(std::mt19937_64& random, bool v4) {
    IpAddress address = IpAddress::v4(0, 0, 0, 0);
    for (size_t i = v4 ? 12 : 0; i < 16; ++i) address.bytes[i] = static_cast<uint8_t>(random());
    return address;
}

class PortClassesOf : public testing::TestWithParam<uint32_t> {};

TEST_P(PortClassesOf, EveryPortReturnsToItsShardAndNoneIsMissing) {
    const uint32_t shard_count = GetParam();
    const uint16_t low = 1024, high = 65535;
    std::mt19937_64 random(shard_count);
    const Toeplitz toeplitz(rss_verification_key);
    const PortClasses classes(toeplitz, shard_count, low, high);
    EXPECT_TRUE(classes.complete());
    for (int i = 0; i < 6; ++i) {
        const bool v4 = i % 2 == 0;
        const IpAddress server = random_address(random, v4), local = random_address(random, v4);
        const auto server_port = static_cast<uint16_t>(random());
        std::vector<uint16_t> all;
        for (uint32_t shard = 0; shard < shard_count; ++shard) {
            const auto ports = classes.class_for(server, server_port, local, shard);
            EXPECT_TRUE(std::is_sorted(ports.begin(), ports.end()));
            for (uint16_t port : ports)
                ASSERT_EQ(toeplitz.hash(server, local, server_port, port) & (shard_count - 1), shard);
            // An even share, but for the ports below 1024, which may all lie in a few classes.
            EXPECT_GE(ports.size(), 65536 / shard_count - std::min(1024u, 32768 / shard_count));
            EXPECT_LE(ports.size(), 65536 / shard_count);
            all.insert(all.end(), ports.begin(), ports.end());
        }
        std::sort(all.begin(), all.end());
        ASSERT_EQ(all.size(), high - low + 1u);
        for (uint32_t port = low; port <= high; ++port) ASSERT_EQ(all[port - low], port);
    }
}

INSTANTIATE_TEST_SUITE_P(EveryShardCount, PortClassesOf, testing::Values(1, 2, 4, 8, 16, 32, 64, 128));

TEST(PortClasses, RangeOfOnePort) {
    const Toeplitz toeplitz(rss_verification_key);
    const PortClasses classes(toeplitz, 2, 65535, 65535);
    const IpAddress server = IpAddress::v4(198, 18, 0, 1), local = IpAddress::v4(198, 18, 0, 2);
    const size_t first = classes.class_for(server, 80, local, 0).size();
    EXPECT_EQ(first + classes.class_for(server, 80, local, 1).size(), 1u);
    EXPECT_FALSE(classes.complete());
}

TEST(PortClasses, PoorKeyIsNoticed) {
    // All ones: every bit of the port flips the whole hash, so that only two of four classes exist.
    std::array<uint8_t, 40> key;
    key.fill(0xff);
    const Toeplitz toeplitz(key);
    EXPECT_TRUE(PortClasses(toeplitz, 2, 1024, 65535).complete());
    EXPECT_FALSE(PortClasses(toeplitz, 4, 1024, 65535).complete());
}

}  // namespace
}  // namespace millrace
