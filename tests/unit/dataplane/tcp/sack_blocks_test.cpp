// RFC 2018 §3, §4 and RFC 2883 §4, with their drawings; segments of 500 bytes as there.
#include "dataplane/tcp/sack_blocks.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

using Blocks = std::vector<std::pair<uint32_t, uint32_t>>;

struct SackConnection : Connection {
    SackConnection() : SackConnection(true) {}
    explicit SackConnection(bool timestamps) {
        peer_timestamps = timestamps;
        peer_sack = true;
        establish();
    }

    /// Segments by their first byte; what they carry follows from it.
    void arrive(uint32_t seq, uint32_t length = 500) { in(seq, 0, pattern(length, seq)); }

    Blocks blocks_of(const Sent& segment) const {
        Blocks blocks;
        for (uint8_t i = 0; i < segment.header.options.sack_count; ++i) {
            const wire::SackBlock& block = segment.header.options.sack[i];
            blocks.push_back({Seq{block.left} - (irs + 1), Seq{block.right} - (irs + 1)});
        }
        return blocks;
    }

    /// The blocks of the only ACK that this arrival causes.
    Blocks answer(uint32_t seq, uint32_t length = 500) {
        arrive(seq, length);
        const auto out = flush_all();
        if (out.size() != 1) return {{0, static_cast<uint32_t>(out.size())}};
        return blocks_of(out[0]);
    }
};

// RFC 2018 §4, case 2: the first of eight is lost.
TEST(SackBlocks, OneBlockGrows) {
    SackConnection c;
    for (uint32_t end = 1000; end <= 4000; end += 500) EXPECT_EQ(c.answer(end - 500), (Blocks{{500, end}}));
    c.arrive(0);
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(c.ack_of(out[0]), 4000u);
    EXPECT_TRUE(c.blocks_of(out[0]).empty());
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

// Case 3: the second, fourth, sixth and eighth are lost; then the fourth and the second come.
TEST(SackBlocks, MostRecentBlockIsFirst) {
    SackConnection c;
    c.arrive(0);
    c.flush_all();
    EXPECT_EQ(c.answer(1000), (Blocks{{1000, 1500}}));
    EXPECT_EQ(c.answer(2000), (Blocks{{2000, 2500}, {1000, 1500}}));
    EXPECT_EQ(c.answer(3000), (Blocks{{3000, 3500}, {2000, 2500}, {1000, 1500}}));
    EXPECT_EQ(c.answer(1500), (Blocks{{1000, 2500}, {3000, 3500}}));
    EXPECT_EQ(c.answer(500), (Blocks{{3000, 3500}}));
    EXPECT_EQ(c.ack_of(c.sent.back()), 2500u);
}

// §3: three blocks beside timestamps, four without.
TEST(SackBlocks, AsManyBlocksAsFit) {
    for (bool timestamps : {true, false}) {
        SackConnection c(timestamps);
        for (uint32_t seq = 1000; seq <= 5000; seq += 1000) c.answer(seq);
        Blocks wanted{{5000, 5500}, {4000, 4500}, {3000, 3500}};
        if (!timestamps) wanted.push_back({2000, 2500});
        EXPECT_EQ(c.blocks_of(c.sent.back()), wanted);
    }
}

// §4: "as many distinct SACK blocks as possible", also those that are no longer among the latest.
TEST(SackBlocks, OlderBlocksFillTheRoom) {
    SackConnection c;
    for (uint32_t seq = 1000; seq <= 6000; seq += 1000) c.answer(seq);
    for (uint32_t seq = 3500; seq <= 5500; seq += 1000) c.answer(seq);  // 3000 to 6500 are one now
    EXPECT_EQ(c.blocks_of(c.sent.back()), (Blocks{{3000, 6500}, {1000, 1500}, {2000, 2500}}));
}

TEST(SackBlocks, NoneWithoutNegotiation) {
    Connection c;
    c.establish();
    c.in(500, 0, "x");
    c.in(500, 0, "x");
    for (const Sent& segment : c.flush_all()) EXPECT_EQ(segment.header.options.sack_count, 0);
}

// A burst may open more blocks than one ACK can name: each of the ACKs owed begins with another.
TEST(SackBlocks, AcksOfABurstNameDifferentBlocks) {
    SackConnection c;
    for (uint32_t seq = 1000; seq <= 4000; seq += 1000) c.arrive(seq);
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 4u);
    for (uint32_t i = 0; i < 4; ++i)
        EXPECT_EQ(c.blocks_of(out[i]).at(0), (Blocks::value_type{1000 * (i + 1), 1000 * (i + 1) + 500}));
}

// Data leaves no room for the option; the ACK that is owed follows it.
TEST(SackBlocks, DataCarriesNone) {
    SackConnection c;
    c.arrive(500);
    c.send_text("data");
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 2u);
    EXPECT_TRUE(c.blocks_of(out[0]).empty());
    EXPECT_EQ(c.blocks_of(out[1]), (Blocks{{500, 1000}}));
}

// RFC 2883 §4.1.1: below the ACK.
TEST(SackBlocks, DuplicateBelowTheAckIsReportedOnce) {
    SackConnection c;
    c.arrive(0);
    c.arrive(500);
    c.flush_all();
    EXPECT_EQ(c.answer(0), (Blocks{{0, 500}}));
    EXPECT_EQ(c.ack_of(c.sent.back()), 1000u);
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
    EXPECT_EQ(c.answer(2000), (Blocks{{2000, 2500}})) << "only once";
}

// Half the sequence space behind the window's edge is ahead of it as well: a peer could only misread that.
TEST(SackBlocks, DuplicateSoOldThatItLooksNewIsNotReported) {
    SackConnection c;
    c.arrive(0);
    c.flush_all();
    const uint32_t edge = c.hot.rcv_adv - (c.irs + 1);
    for (const uint32_t before : {500u, 100u}) {
        EXPECT_EQ(c.answer(edge + (1u << 31) - before), Blocks{}) << before;
        EXPECT_EQ(c.ack_of(c.sent.back()), 500u);
    }
}

// §4.1.2 and §4.1.3: with a hole, and of bytes that wait themselves.
TEST(SackBlocks, DuplicateBesideAHole) {
    SackConnection c;
    c.arrive(0);
    c.flush_all();
    EXPECT_EQ(c.answer(1000), (Blocks{{1000, 1500}}));
    EXPECT_EQ(c.answer(0), (Blocks{{0, 500}, {1000, 1500}}));
    EXPECT_EQ(c.answer(1500), (Blocks{{1000, 2000}}));
    EXPECT_EQ(c.answer(1500), (Blocks{{1500, 2000}, {1000, 2000}})) << "then the block that holds it";
}

// §4.2.1 to §4.2.3: a segment of which a part is new.
TEST(SackBlocks, PartOfASegmentIsADuplicate) {
    SackConnection c;
    c.arrive(0);
    c.flush_all();
    EXPECT_EQ(c.answer(0, 1000), (Blocks{{0, 500}}));
    EXPECT_EQ(c.ack_of(c.sent.back()), 1000u);
    EXPECT_EQ(c.answer(1500), (Blocks{{1500, 2000}}));
    EXPECT_EQ(c.answer(1500, 1000), (Blocks{{1500, 2000}, {1500, 2500}}));
    EXPECT_EQ(c.answer(3000), (Blocks{{3000, 3500}, {1500, 2500}}));
    EXPECT_EQ(c.answer(1000, 3000), (Blocks{{1500, 2500}})) << "the first range of it";
    EXPECT_EQ(c.ack_of(c.sent.back()), 4000u);
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

TEST(SackBlocks, DuplicatesOfABurstThatTouchAreOne) {
    SackConnection c;
    c.arrive(0, 1500);
    c.flush_all();
    c.arrive(0);
    c.arrive(500);
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(c.blocks_of(out[0]), (Blocks{{0, 1000}}));
}

// The report is not lost on data that carries the ACK.
TEST(SackBlocks, DuplicateIsReportedBesideData) {
    SackConnection c;
    c.arrive(0);
    c.flush_all();
    c.arrive(0);
    c.send_text("data");
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 2u);
    EXPECT_EQ(c.blocks_of(out[1]), (Blocks{{0, 500}}));
}

// What was dropped for want of memory is not claimed.
TEST(SackBlocks, OnlyWhatIsHeldIsReported) {
    SackConnection c;
    c.options.reassembly_chunks_max = 1;
    EXPECT_EQ(c.answer(1000), (Blocks{{1000, 1500}}));
    EXPECT_EQ(c.answer(2000), (Blocks{{1000, 1500}}));
}

TEST(SackBlocks, RefusedBytesAreNoBlock) {
    SackConnection c;
    c.arrive(500);
    c.flush_all();
    c.accept_max = 500;
    c.in(0, 0, pattern(500));
    c.accept_max = 100;
    c.flush_all();
    for (const Sent& segment : c.sent)
        for (const auto& [left, right] : c.blocks_of(segment)) EXPECT_GT(left, c.ack_of(segment));
}

}  // namespace
}  // namespace millrace::tcp
