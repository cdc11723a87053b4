// RFC 9293 §3.8 (queue, windows, silly window avoidance of the sender, ACKs), RFC 5681 §3.1.
#include "dataplane/tcp/sender.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

std::string all_payload(const std::vector<Sent>& segments) {
    std::string text;
    for (const Sent& segment : segments) text += segment.payload;
    return text;
}

size_t queued_chunks(Connection& c) {
    size_t count = 0;
    for_each_chunk(c.chunks, c.hot, c.warm, [&](store::ChunkId) { return ++count > 0; });
    return count;
}

TEST(Sender, CutsSegmentsByMss) {
    Connection c;
    c.establish(1000);
    const std::string text = pattern(2500);
    EXPECT_EQ(c.send_text(text), 2500u);
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 3u);
    EXPECT_EQ(all_payload(out), text);
    EXPECT_EQ(out[0].payload.size(), 1000u);
    EXPECT_EQ(c.seq_of(out[2]), 2000u);
    EXPECT_EQ(out[0].header.flags, wire::tcp_ack);
    EXPECT_EQ(out[2].header.flags, wire::tcp_ack | wire::tcp_psh);
    EXPECT_TRUE(c.flush_all().empty());
}

TEST(Sender, TinyWritesShareChunksAndSegments) {
    Connection c;
    c.establish(1000);
    std::string text;
    for (size_t i = 0; i < 100; ++i) {
        const std::string piece = pattern(3, i);
        text += piece;
        EXPECT_EQ(c.send_text(piece), 3u);
    }
    EXPECT_LE(queued_chunks(c), 3u);
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].payload, text);
}

TEST(Sender, WholeOrNothing) {
    Connection c;
    c.establish(1000);
    c.send_text("before");
    const std::string text = pattern(2500);
    EXPECT_TRUE(send_whole(c.context(), {c.hot, c.warm}, text.size(), [&] { return bytes_of(text); }));
    EXPECT_EQ(all_payload(c.flush_all()), "before" + text);

    c.exhaust_chunks();
    const uint32_t queued = c.warm.queued;
    const uint64_t in_use = c.chunks.bytes_in_use();
    bool made = false;
    EXPECT_FALSE(send_whole(c.context(), {c.hot, c.warm}, text.size(), [&] {
        made = true;
        return bytes_of(text);
    }));
    EXPECT_FALSE(made) << "nothing is sealed for which there is no room";
    EXPECT_EQ(c.warm.queued, queued);
    EXPECT_EQ(c.chunks.bytes_in_use(), in_use);
}

TEST(Sender, RoomOfASentChunkIsUsed) {
    Connection c;
    c.establish();
    c.send_text("abc");
    c.flush_all();
    c.send_text("def");
    EXPECT_EQ(queued_chunks(c), 1u);
    const auto out = c.flush_all();
    EXPECT_EQ(out.at(0).payload, "def");
    EXPECT_EQ(c.seq_of(out[0]), 3u);
    c.in(0, 6);
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

TEST(Sender, AnIdleEndpointSendsNothing) {
    Connection c;
    c.establish();
    const FlushResult result = c.flush_with(0);
    EXPECT_EQ(result.segments, 0u);
    EXPECT_FALSE(result.wants_credit);
}

TEST(Sender, PiecesOfManyChunksMakeOneSegmentOfAtMostSixteen) {
    Connection c;
    c.options.mss_v4 = 4000;
    c.establish(3900);
    std::string text;
    for (size_t i = 0; i < 40; ++i) {
        const std::string piece = pattern(112, i);  // fills the smallest chunk to the brim
        text += piece;
        c.send_text(piece);
        c.flush_all();
    }
    EXPECT_EQ(queued_chunks(c), 40u);
    c.expire();
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].payload, text.substr(0, 16 * 112));
}

TEST(Sender, StopsAtThePeersWindow) {
    Connection c;
    c.establish(1000);
    c.in(0, 0, "x", 0, {.window = 2500});
    c.send_text(pattern(5000));
    EXPECT_EQ(all_payload(c.flush_all()).size(), 2000u) << "the half segment waits: RFC 9293 §3.8.6.2.1";
    c.in(1, 1000, "", 0, {.window = 1500});
    EXPECT_TRUE(c.flush_all().empty());
    c.in(1, 2000, "", 0, {.window = 1500});
    EXPECT_EQ(all_payload(c.flush_all()).size(), 1000u);
}

TEST(Sender, InitialWindowIsTenSegments) {
    Connection c;
    c.establish(1000);
    c.send_text(pattern(20'000));
    EXPECT_EQ(c.flush_all().size(), 10u);
}

TEST(Sender, WithoutCreditNothingMoves) {
    Connection c;
    c.establish(1000);
    c.in(0, 0, "ping");
    c.send_text(pattern(3000));
    const EndpointHot hot = c.hot;
    EXPECT_TRUE(c.flush_with(0).wants_credit);
    EXPECT_EQ(std::memcmp(&hot, &c.hot, sizeof(hot)), 0);
    const FlushResult result = c.flush_with(2);
    EXPECT_EQ(result.segments, 2u);
    EXPECT_TRUE(result.wants_credit);
    EXPECT_EQ(c.hot.snd_nxt - c.hot.snd_una, 2000u);
    EXPECT_FALSE(c.flush_with(10).wants_credit);
}

TEST(Sender, FieldsAreStoredBeforeTheSegmentLeaves) {
    Connection c;
    c.establish(1000);
    c.in(0, 0, "ping");
    c.send_text(pattern(1000));
    bool seen = false;
    flush(c.context(), c.ep(), 65535, 10, [&](const wire::OutboundSegment&) {
        seen = true;
        EXPECT_EQ(in_flight(c.hot), 1000u);
        EXPECT_FALSE(c.hot.has(flag_ack_pending));
        EXPECT_EQ(c.chunks.header(c.hot.send_tail).sent_at, static_cast<uint32_t>(c.now));
    });
    EXPECT_TRUE(seen);
}

TEST(Sender, DataCarriesTheAck) {
    Connection c;
    c.establish();
    c.in(0, 0, "ping");
    c.send_text("pong");
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(c.ack_of(out[0]), 4u);
}

TEST(Sender, ExhaustedChunksTakeLess) {
    Connection c;
    c.establish();
    c.send_text("abc");
    c.exhaust_chunks();
    EXPECT_EQ(c.send_text(pattern(500)), 112u - 3) << "what the tail chunk still holds";
    EXPECT_EQ(c.counters.send_chunks_exhausted, 1u);
    EXPECT_EQ(c.send_text("x"), 0u);
    c.give_chunks_back();
    EXPECT_EQ(c.send_text("x"), 1u);
    EXPECT_EQ(c.flush_all().at(0).payload.size(), 113u);
}

TEST(Sender, LargeWritesWasteLittle) {
    Connection c;
    c.establish();
    c.send_text(pattern(20'000));
    EXPECT_LE(c.chunks.bytes_in_use(), 20'000u * 110 / 100);
}

TEST(Sender, RefusesAfterShutdown) {
    Connection c;
    c.establish();
    shutdown_send(c.context(), c.ep());
    EXPECT_EQ(c.send_text("x"), 0u);
}

// RFC 9293 §3.8.6.2.2 and §3.8.6: the right edge.
TEST(Sender, WindowNeverShrinks) {
    Connection c;
    c.establish();
    c.receive_space = 1000;
    c.advance(us_per_s);
    c.in(0, 0, "0123456789");
    EXPECT_EQ(c.flush_all().at(0).header.window, 65535 - 10);
}

TEST(Sender, WindowUpdateIsSentWhenItIsWorthIt) {
    Connection c;
    c.options.receive_window_bytes = 10'000;
    c.receive_space = 10'000;
    c.establish(1000);
    c.receive_space = 0;
    c.in(0, 0, pattern(9000));
    EXPECT_EQ(c.flush_all().at(0).header.window, 1000);
    c.receive_space = 1900;
    EXPECT_TRUE(c.flush_all().empty());
    c.receive_space = 6000;
    EXPECT_EQ(c.flush_all().at(0).header.window, 6000);
    EXPECT_TRUE(c.flush_all().empty());
}

// RFC 9293 §3.8.6.2.2: an opening smaller than a segment is not shown.
TEST(Sender, SillyWindowIsNotShown) {
    Connection c;
    c.options.receive_window_bytes = 10'000;
    c.receive_space = 10'000;
    c.establish(1000);
    c.receive_space = 0;
    c.in(0, 0, pattern(10'000));
    EXPECT_EQ(c.flush_all().at(0).header.window, 0);
    c.receive_space = 999;
    c.in(10'000 - 1, 0);
    EXPECT_EQ(c.flush_all().at(0).header.window, 0);
    c.receive_space = 1000;
    c.in(10'000 - 1, 0);
    EXPECT_EQ(c.flush_all().at(0).header.window, 1000);
}

// RFC 7323 §2.4: the field is rounded down, the promise is kept.
TEST(Sender, ScaledWindowIsRoundedDown) {
    Connection c;
    c.options.window_scale = 6;
    c.receive_space = 65535;
    c.establish();
    c.advance(us_per_s);
    c.in(0, 0, "0123456789");
    EXPECT_EQ(c.flush_all().at(0).header.window, (65535 - 10) >> 6);
    EXPECT_EQ(c.hot.rcv_adv - c.hot.rcv_nxt, 65535u - 10);
}

}  // namespace
}  // namespace millrace::tcp
