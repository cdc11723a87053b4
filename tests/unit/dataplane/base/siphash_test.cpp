// The keyed hash against published vectors and another implementation, and flow_hash against the plain byte form.
#include "dataplane/base/siphash.h"

#include <gtest/gtest.h>
#include <numeric>
#include <random>
#include <vector>

namespace millrace {
namespace {

std::vector<uint8_t> counting_bytes(size_t size) {
    std::vector<uint8_t> bytes(size);
    std::iota(bytes.begin(), bytes.end(), uint8_t{0});
    return bytes;
}

IpAddress random_v6(std::mt19937_64& random) {
    IpAddress address;
    for (uint8_t& byte : address.bytes) byte = static_cast<uint8_t>(random());
    return address;
}

// Appendix A of the paper (15 bytes) and the vectors of its reference code: key 00…0f, message 00, 01, 02, ….
TEST(SipHash, TwoFourMatchesThePublishedVectors) {
    const SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
    EXPECT_EQ((siphash<2, 4>(key, {})), 0x726fdb47dd0e0e31u);
    EXPECT_EQ((siphash<2, 4>(key, counting_bytes(1))), 0x74f839c593dc67fdu);
    EXPECT_EQ((siphash<2, 4>(key, counting_bytes(7))), 0xab0200f58b01d137u);
    EXPECT_EQ((siphash<2, 4>(key, counting_bytes(8))), 0x93f5f5799a932462u);
    EXPECT_EQ((siphash<2, 4>(key, counting_bytes(15))), 0xa129ca6149be45e5u);
}

// CPython 3.11 hashes bytes by SipHash-1-3, with the zero key under PYTHONHASHSEED=0.
TEST(SipHash, OneThreeMatchesAnotherImplementation) {
    const SipKey key{};
    EXPECT_EQ(siphash13(key, counting_bytes(1)), 0x68a914128e01e473u);
    EXPECT_EQ(siphash13(key, counting_bytes(7)), 0x2f098ab0c751325au);
    EXPECT_EQ(siphash13(key, counting_bytes(8)), 0xead411e67ebe2eeau);
    EXPECT_EQ(siphash13(key, counting_bytes(15)), 0xf30eb725bb91c9eau);
    EXPECT_EQ(siphash13(key, counting_bytes(36)), 0xac77921fcc642bd3u);
}

// The documented input: addresses as on the wire, then the ports as one little-endian word.
uint64_t flow_hash_by_bytes(const SipKey& key, const IpAddress& source, const IpAddress& destination,
                            uint16_t source_port, uint16_t destination_port) {
    const size_t skip = source.is_v4() ? 12 : 0;
    std::vector<uint8_t> input(source.bytes.begin() + skip, source.bytes.end());
    input.insert(input.end(), destination.bytes.begin() + skip, destination.bytes.end());
    for (uint16_t port : {destination_port, source_port}) {
        input.push_back(static_cast<uint8_t>(port));
        input.push_back(static_cast<uint8_t>(port >> 8));
    }
    return siphash13(key, input);
}

TEST(FlowHash, IsSipHashOfTheTuple) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 1000; ++i) {
        const SipKey key{random(), random()};
        IpAddress a = random_v6(random), b = random_v6(random);
        if (i % 2 == 0) {
            a = IpAddress::v4(a.bytes[0], a.bytes[1], a.bytes[2], a.bytes[3]);
            b = IpAddress::v4(b.bytes[0], b.bytes[1], b.bytes[2], b.bytes[3]);
        }
        const auto source_port = static_cast<uint16_t>(random()), destination_port = static_cast<uint16_t>(random());
        EXPECT_EQ(flow_hash(key, a, b, source_port, destination_port),
                  flow_hash_by_bytes(key, a, b, source_port, destination_port));
    }
}

// Half of the output bits change, on average, with any single bit of the input.
TEST(FlowHash, EveryInputBitMovesHalfOfTheOutput) {
    const SipKey key{0x0123456789abcdef, 0xfedcba9876543210};
    for (const auto& [a, b] : {std::pair{IpAddress::v4(198, 18, 0, 1), IpAddress::v4(198, 19, 0, 1)},
                               std::pair{*parse_ip_address("2001:db8::1"), *parse_ip_address("2001:db8:1::2")}}) {
        const uint64_t base = flow_hash(key, a, b, 40000, 443);
        int flips = 0, changed = 0;
        const auto expect_other = [&](uint64_t hash) {
            EXPECT_NE(hash, base);
            EXPECT_NE(static_cast<uint32_t>(hash), static_cast<uint32_t>(base));
            changed += std::popcount(hash ^ base);
            ++flips;
        };
        for (size_t bit = a.is_v4() ? 96 : 0; bit < 128; ++bit) {
            IpAddress other_a = a, other_b = b;
            other_a.bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
            other_b.bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
            expect_other(flow_hash(key, other_a, b, 40000, 443));
            expect_other(flow_hash(key, a, other_b, 40000, 443));
        }
        for (int bit = 0; bit < 16; ++bit) {
            expect_other(flow_hash(key, a, b, static_cast<uint16_t>(40000 ^ 1 << bit), 443));
            expect_other(flow_hash(key, a, b, 40000, static_cast<uint16_t>(443 ^ 1 << bit)));
        }
        for (int bit = 0; bit < 64; ++bit) {
            expect_other(flow_hash({key.k0 ^ uint64_t{1} << bit, key.k1}, a, b, 40000, 443));
            expect_other(flow_hash({key.k0, key.k1 ^ uint64_t{1} << bit}, a, b, 40000, 443));
        }
        EXPECT_NEAR(static_cast<double>(changed) / flips, 32, 1.5);
    }
}

TEST(FlowHash, IsNotSymmetric) {
    const IpAddress a = IpAddress::v4(198, 18, 0, 1), b = IpAddress::v4(198, 18, 0, 2);
    EXPECT_NE(flow_hash({}, a, b, 1, 2), flow_hash({}, b, a, 2, 1));
    EXPECT_NE(flow_hash({}, a, b, 1, 2), flow_hash({}, a, b, 2, 1));
}

TEST(ClientHash, TakesTheWholeIpv4AddressAndTheIpv6Prefix) {
    const SipKey key{1, 2};
    const auto hash = [&](const char* text) { return client_hash(key, *parse_ip_address(text)); };
    EXPECT_NE(hash("198.18.0.1"), hash("198.18.0.2"));
    EXPECT_EQ(hash("2001:db8:0:1::1"), hash("2001:db8:0:1:ffff::2"));
    EXPECT_NE(hash("2001:db8:0:1::1"), hash("2001:db8:0:2::1"));
    EXPECT_NE(hash("198.18.0.1"), client_hash({1, 3}, *parse_ip_address("198.18.0.1")));
}

}  // namespace
}  // namespace millrace
