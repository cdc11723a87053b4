// RFC 9293 §3.10.7.4: segments beyond rcv_nxt are held; bounds on what one connection may hold.
#include "dataplane/tcp/reassembly.h"

#include <gtest/gtest.h>
#include <random>

#include "connection.h"

namespace millrace::tcp {
namespace {

const std::string& stream() {
    static const std::string text = pattern(3000);
    return text;
}

void arrive(Connection& c, uint32_t from, uint32_t to) {
    const std::string text = stream().substr(from, to - from);
    c.in(from, 0, text);
}

TEST(Reassembly, HolesFillInAnyOrder) {
    Connection c;
    c.establish();
    arrive(c, 300, 400);
    arrive(c, 100, 200);
    arrive(c, 200, 300);
    EXPECT_EQ(c.received, "");
    arrive(c, 0, 100);
    EXPECT_EQ(c.received, stream().substr(0, 400));
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

TEST(Reassembly, OneSegmentMayCoverSeveralHoles) {
    Connection c;
    c.establish();
    arrive(c, 200, 300);
    arrive(c, 400, 500);
    arrive(c, 100, 600);
    arrive(c, 0, 150);
    EXPECT_EQ(c.received, stream().substr(0, 600));
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

TEST(Reassembly, NothingMoreIsHeldWhileMemoryIsShort) {
    Connection c;
    c.establish();
    arrive(c, 100, 200);
    c.out_of_order_held = false;
    arrive(c, 300, 400);
    EXPECT_EQ(c.counters.reassembly_dropped, 1u);
    arrive(c, 0, 100);
    EXPECT_EQ(c.received, stream().substr(0, 200)) << "what was held before still counts";
    arrive(c, 200, 400);
    EXPECT_EQ(c.received, stream().substr(0, 400));
}

TEST(Reassembly, WhatCameFirstIsKept) {
    Connection c;
    c.establish();
    c.in(2, 0, "cd");
    c.in(1, 0, "BCDE");
    c.in(0, 0, "a");
    EXPECT_EQ(c.received, "aBcdE");
}

TEST(Reassembly, SmallSegmentsShareChunks) {
    Connection c;
    c.establish();
    for (uint32_t at = 10; at < 110; at += 10) arrive(c, at, at + 10);
    EXPECT_EQ(extension(c.context(), c.ep())->reassembly_chunks, 1);
    arrive(c, 0, 10);
    EXPECT_EQ(c.received, stream().substr(0, 110));
}

TEST(Reassembly, RandomSegmentsAgainstAModel) {
    std::mt19937 random(7);
    for (int round = 0; round < 50; ++round) {
        Connection c;
        c.irs = Seq{static_cast<uint32_t>(0u - random() % 2000)};
        c.establish();
        std::vector<bool> known(3000);
        for (int i = 0; i < 60; ++i) {
            const auto from = static_cast<uint32_t>(random() % 3000);
            const auto to = std::min<uint32_t>(3000, from + 1 + static_cast<uint32_t>(random() % 300));
            arrive(c, from, to);
            std::fill(known.begin() + from, known.begin() + to, true);
            const auto hole = static_cast<size_t>(std::find(known.begin(), known.end(), false) - known.begin());
            ASSERT_EQ(c.received, stream().substr(0, hole)) << "round " << round;
        }
        release(c.context(), c.ep());
        ASSERT_EQ(c.chunks.bytes_in_use(), 0u);
    }
}

TEST(Reassembly, ChunkBudgetBoundsWhatIsHeld) {
    Connection c;
    c.options.reassembly_chunks_max = 4;
    c.establish();
    for (uint32_t at = 10; at < 200; at += 20) arrive(c, at, at + 10);
    EXPECT_EQ(extension(c.context(), c.ep())->reassembly_chunks, 4);
    EXPECT_EQ(c.counters.reassembly_dropped, 6u);
    arrive(c, 0, 200);
    EXPECT_EQ(c.received, stream().substr(0, 200)) << "the rest came again";
}

// A long run is few chunks, so that looking for a place in it stays cheap.
TEST(Reassembly, ALongRunIsAShortList) {
    Connection c;
    c.options.receive_window_bytes = 65535;
    c.establish();
    const std::string text = pattern(60'000);
    for (uint32_t at = 1000; at < 60'000; at += 1000) c.in(at, 0, text.substr(at, 1000));
    EXPECT_LE(extension(c.context(), c.ep())->reassembly_chunks, 12);
    EXPECT_LE(c.chunks.bytes_in_use(), 70'000u);
    c.in(0, 0, text.substr(0, 1000));
    EXPECT_EQ(c.received, text);
    c.flush_all();
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

TEST(Reassembly, MemoryIsBoundedByTheWindow) {
    Connection c;
    c.options.receive_window_bytes = 4000;
    c.options.reassembly_chunks_max = 1000;
    c.receive_space = 4000;
    c.establish();
    for (uint32_t at = 1; at < 4000; at += 2) c.in(at, 0, "x");
    EXPECT_LE(c.chunks.bytes_in_use(), 4000u + 8192 + 256);
    EXPECT_GT(c.counters.reassembly_dropped, 0u);
}

TEST(Reassembly, ExhaustedChunksDropAndCount) {
    Connection c;
    c.establish();
    c.exhaust_chunks();
    arrive(c, 10, 20);
    EXPECT_EQ(c.counters.reassembly_dropped, 1u);
    c.in(30, 0, "", wire::tcp_fin);
    arrive(c, 0, 20);
    EXPECT_EQ(c.received, stream().substr(0, 20));
    EXPECT_FALSE(c.hot.has(flag_fin_received));
}

TEST(Reassembly, HeldBytesGiveWayToThoseThatTheyWaitFor) {
    Connection c;
    c.establish();
    arrive(c, 10, 20);
    const uint64_t held = c.chunks.bytes_in_use();
    c.accept_when = [&] { return c.chunks.bytes_in_use() < held; };  // as an owner whose memory is all held
    arrive(c, 0, 10);
    EXPECT_EQ(c.received, stream().substr(0, 10));
    EXPECT_EQ(c.counters.reassembly_dropped, 1u);
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
    arrive(c, 10, 20);
    EXPECT_EQ(c.received, stream().substr(0, 20)) << "the rest came again";
}

TEST(Reassembly, RefusedBytesStayAndAreOfferedAgain) {
    Connection c;
    c.establish();
    arrive(c, 10, 30);
    c.accept_max = 10;
    arrive(c, 0, 10);
    EXPECT_EQ(c.received, stream().substr(0, 20)) << "ten of the segment, ten of those held";
    c.accept_max = SIZE_MAX;
    arrive(c, 15, 25);
    EXPECT_EQ(c.received, stream().substr(0, 30));
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

}  // namespace
}  // namespace millrace::tcp
