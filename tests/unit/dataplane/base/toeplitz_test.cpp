// The RSS hash against Microsoft's verification vectors and against the definition, bit by bit.
#include "dataplane/base/toeplitz.h"

#include <gtest/gtest.h>
#include <random>
#include <vector>

#include "rss_key.h"

namespace millrace {
namespace {

struct Vector {
    const char* source;
    uint16_t source_port;
    const char* destination;
    uint16_t destination_port;
    uint32_t hash_with_ports;
    uint32_t hash_of_addresses;
};

// "Verifying the RSS Hash Calculation" (Windows driver documentation), all its rows.
constexpr Vector vectors[] = {
    {"66.9.149.187", 2794, "161.142.100.80", 1766, 0x51ccc178, 0x323e8fc2},
    {"199.92.111.2", 14230, "65.69.140.83", 4739, 0xc626b0ea, 0xd718262a},
    {"24.19.198.95", 12898, "12.22.207.184", 38024, 0x5c2b394a, 0xd2d0a5de},
    {"38.27.205.30", 48228, "209.142.163.6", 2217, 0xafc7327f, 0x82989176},
    {"153.39.163.191", 44251, "202.188.127.2", 1303, 0x10e828a2, 0x5d1809c5},
    {"3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x40207d3d, 0x2cc18cd5},
    {"3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0xdde51bbf, 0x0f0c461c},
    {"3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, "fe80::200:f8ff:fe21:67cf", 38024, 0x02d1feef, 0x4b61e985},
};

TEST(Toeplitz, MatchesTheVerificationVectors) {
    const Toeplitz toeplitz(rss_verification_key);
    for (const Vector& v : vectors) {
        const IpAddress source = *parse_ip_address(v.source), destination = *parse_ip_address(v.destination);
        EXPECT_EQ(toeplitz.hash(source, destination, v.source_port, v.destination_port), v.hash_with_ports) << v.source;
        // Zero bits contribute nothing, so ports of zero give the hash of the addresses alone.
        EXPECT_EQ(toeplitz.hash(source, destination, 0, 0), v.hash_of_addresses) << v.source;
    }
}

// The definition: for each set bit n of the input, XOR the 32 key bits from n on.
uint32_t by_definition(std::span<const uint8_t, 40> key, const std::vector<uint8_t>& input) {
    const auto key_bit = [&](size_t n) { return uint32_t{key[n / 8]} >> (7 - n % 8) & 1; };
    uint32_t hash = 0;
    for (size_t n = 0; n < 8 * input.size(); ++n) {
        if ((input[n / 8] >> (7 - n % 8) & 1) == 0) continue;
        for (size_t i = 0; i < 32; ++i) hash ^= key_bit(n + i) << (31 - i);
    }
    return hash;
}

TEST(Toeplitz, MatchesTheDefinitionForRandomKeysAndPackets) {
    std::mt19937_64 random(2);
    for (int i = 0; i < 200; ++i) {
        std::array<uint8_t, 40> key;
        for (uint8_t& byte : key) byte = static_cast<uint8_t>(random());
        const Toeplitz toeplitz(key);
        const bool v4 = i % 2 == 0;
        std::vector<uint8_t> input(v4 ? 12 : 36);
        for (uint8_t& byte : input) byte = static_cast<uint8_t>(random());

        const size_t size = v4 ? 4 : 16;
        IpAddress source = IpAddress::v4(0, 0, 0, 0), destination = source;
        std::copy_n(input.data(), size, source.bytes.end() - size);
        std::copy_n(input.data() + size, size, destination.bytes.end() - size);
        const auto port = [&](size_t at) { return static_cast<uint16_t>(input[at] << 8 | input[at + 1]); };
        const uint16_t source_port = port(2 * size), destination_port = port(2 * size + 2);

        const uint32_t expected = by_definition(key, input);
        EXPECT_EQ(toeplitz.hash(source, destination, source_port, destination_port), expected);
        EXPECT_EQ(toeplitz.hash_without_destination_port(source, destination, source_port) ^
                      toeplitz.destination_port_part(v4, destination_port),
                  expected);
    }
}

}  // namespace
}  // namespace millrace
