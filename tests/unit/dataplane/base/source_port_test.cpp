// The order of source ports: each once, an offset that depends on the key, the counter going on where it stopped.
#include "dataplane/base/source_port.h"

#include <gtest/gtest.h>
#include <vector>

namespace millrace {
namespace {

std::vector<uint16_t> all_of(SourcePortWalk walk) {
    std::vector<uint16_t> ports;
    while (const auto port = walk.next()) ports.push_back(*port);
    EXPECT_EQ(walk.next(), std::nullopt);
    return ports;
}

constexpr uint16_t ports[] = {1025, 2000, 3333, 40000, 65535};

TEST(SourcePortWalk, VisitsEveryPortOnceFromTheOffsetOn) {
    EXPECT_EQ(all_of({ports, 0, 0}), (std::vector<uint16_t>{1025, 2000, 3333, 40000, 65535}));
    EXPECT_EQ(all_of({ports, 5 * 7 + 3, 0}), (std::vector<uint16_t>{40000, 65535, 1025, 2000, 3333}));
    EXPECT_EQ(all_of({ports, 5 * 7 + 3, 1}), (std::vector<uint16_t>{65535, 1025, 2000, 3333, 40000}));
    EXPECT_EQ(all_of({ports, UINT64_MAX, UINT32_MAX}).size(), 5u);
}

TEST(SourcePortWalk, EmptyClassHasNoPort) {
    EXPECT_TRUE(all_of({{}, 7, 9}).empty());
}

TEST(SourcePortWalk, CounterReusesAPortAsLateAsPossible) {
    // Four connections with every second port in use: the counter skips what was tried, so none is offered twice.
    uint32_t counter = 0;
    std::vector<uint16_t> used;
    for (int connection = 0; connection < 2; ++connection) {
        SourcePortWalk walk(ports, 11, counter);
        walk.next();  // in use
        used.push_back(*walk.next());
        EXPECT_EQ(walk.tried(), 2u);
        counter += walk.tried();
    }
    EXPECT_EQ(used, (std::vector<uint16_t>{3333, 65535}));
}

TEST(SourcePortOffset, DependsOnKeyAndDestination) {
    const IpAddress local = IpAddress::v4(198, 18, 0, 1), server = IpAddress::v4(198, 18, 0, 2);
    const uint64_t offset = source_port_offset({1, 2}, local, server, 80);
    EXPECT_NE(offset, source_port_offset({1, 3}, local, server, 80));
    EXPECT_NE(offset, source_port_offset({1, 2}, local, server, 81));
    EXPECT_NE(offset, source_port_offset({1, 2}, local, IpAddress::v4(198, 18, 0, 3), 80));
    EXPECT_NE(offset, source_port_offset({1, 2}, IpAddress::v4(198, 18, 0, 3), server, 80));
}

}  // namespace
}  // namespace millrace
