// Sums against RFC 1071's own example, an IPv4 header known from the literature, and a word-by-word reference at every
// length, alignment and split.
#include "dataplane/wire/checksum.h"

#include <gtest/gtest.h>
#include <random>

#include "guarded_bytes.h"
#include "raw_frame.h"

namespace millrace::wire {
namespace {

using test::Bytes;
using test::GuardedBytes;

unsigned in_host_order(uint16_t raw) {
    return __builtin_bswap16(raw);
}

Bytes random_bytes(size_t length, unsigned seed) {
    std::mt19937 random(seed);
    Bytes bytes(length);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    return bytes;
}

TEST(Checksum, Rfc1071Example) {
    const Bytes bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    EXPECT_EQ(in_host_order(checksum_fold(checksum_add(0, bytes.data(), bytes.size()))), 0xddf2u);
    EXPECT_EQ(in_host_order(checksum_finish(checksum_add(0, bytes.data(), bytes.size()))), 0x220du);
}

TEST(Checksum, KnownIpv4Header) {
    const Bytes header{0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                       0x00, 0x00, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    EXPECT_EQ(in_host_order(checksum_finish(checksum_add(0, header.data(), header.size()))), 0xb861u);
}

TEST(Checksum, EveryLengthEqualsTheReferenceAndStaysInside) {
    for (size_t length = 0; length <= 300; ++length) {
        const Bytes bytes = random_bytes(length, static_cast<unsigned>(length));
        const GuardedBytes from(bytes);
        const GuardedBytes to(length);
        const unsigned expected = test::reference_checksum(bytes);
        EXPECT_EQ(in_host_order(checksum_finish(checksum_add(0, from.span().data(), length))), expected) << length;
        EXPECT_EQ(in_host_order(checksum_finish(checksum_copy(0, to.span().data(), from.span().data(), length))),
                  expected)
            << length;
        EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), to.span().begin())) << length;
    }
}

TEST(Checksum, CarriesSurviveTheWorstCase) {
    const Bytes ones(65535, 0xff);
    EXPECT_EQ(in_host_order(checksum_finish(checksum_add(0, ones.data(), ones.size()))),
              test::reference_checksum(ones));
    EXPECT_EQ(checksum_fold(~uint64_t{0}), 0xffffu);
    EXPECT_EQ(checksum_fold(0xffff'ffff'0000'0001u), 0x0001u);
}

TEST(Checksum, PartsSumToTheWholeAtEvenAndOddSplits) {
    const Bytes bytes = random_bytes(131, 7);
    const uint16_t whole = checksum_fold(checksum_add(0, bytes.data(), bytes.size()));
    for (size_t split = 0; split <= bytes.size(); ++split) {
        const uint64_t first = checksum_add(0, bytes.data(), split);
        const uint64_t second = checksum_add(0, bytes.data() + split, bytes.size() - split);
        EXPECT_EQ(checksum_fold(first + (split % 2 == 0 ? second : checksum_at_odd_offset(second))), whole) << split;
    }
}

}  // namespace
}  // namespace millrace::wire
