// Windows that follow what the path carries: growth by measurement, its limits, and the way back.
#include "dataplane/tcp/receive_window.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

constexpr uint32_t first_window = 64'000, largest_window = 1'000'000;
constexpr TimeUs round_trip_us = 50'000;

/// A peer that sends bulk.
struct Bulk : Connection {
    explicit Bulk(TimeUs rtt_us = round_trip_us) : Connection(64 * store::ChunkStore::slab_bytes) {
        options.window_scale = 7;
        options.receive_window_bytes = first_window;
        options.receive_window_max_bytes = largest_window;
        receive_space = 10'000'000;
        establish(1000, rtt_us);
    }

    /// `bytes` in one burst, as far as the window allows.
    void burst(uint32_t bytes) {
        const Seq before = hot.rcv_nxt;
        while (hot.rcv_nxt - before < bytes && receive_window(hot) >= 1000) {
            in(hot.rcv_nxt - (irs + 1), 0, text);
            if (hot.has(flag_ack_pending)) flush_all();
        }
        received.clear();
        sent.clear();
    }

    uint32_t limit() { return receive_limit(context(), ep()); }
    bool holds_chunks() const { return chunks.bytes_in_use() != 0; }

    std::string text = pattern(1000);
};

TEST(ReceiveWindow, GrowsEachRoundTripWhileItHoldsThePeerUp) {
    Bulk c;
    uint32_t before = first_window;
    for (int i = 0; i < 12; ++i) {
        c.burst(before);
        c.advance(round_trip_us);
        EXPECT_LE(c.limit(), 4 * before);
        before = c.limit();
    }
    EXPECT_EQ(c.limit(), largest_window);
    c.in(c.hot.rcv_nxt - (c.irs + 1), 0, c.text);
    c.in(c.hot.rcv_nxt - (c.irs + 1), 0, c.text);
    EXPECT_NEAR(c.flush_all().back().header.window << 7, largest_window, 256);
}

// RFC 5681 §3.1: each ACK lets a segment more into flight than it acknowledges, so a flight has doubled by the time
// that the one before it is acknowledged.
TEST(ReceiveWindow, SlowStartIsNotHeldUp) {
    Bulk c;
    c.burst(40'000);
    c.advance(round_trip_us);
    for (uint32_t flight = 80'000; flight <= 320'000; flight *= 2) {
        for (uint32_t acked = 0; acked < flight; acked += 1000) {
            c.in(c.hot.rcv_nxt - (c.irs + 1), 0, c.text);
            if (!c.hot.has(flag_ack_pending)) continue;
            c.flush_all();
            // But for a step of the window's, and the segments with which the first measurement began.
            ASSERT_GE(receive_window(c.hot) + 3000, flight + acked) << "of a flight of " << flight;
        }
        c.received.clear();
        c.sent.clear();
        c.advance(round_trip_us);
    }
}

TEST(ReceiveWindow, IsTwiceWhatThePathCarries) {
    Bulk c;
    for (int i = 0; i < 100; ++i) {
        c.burst(50'000);
        c.advance(round_trip_us / 2);
    }
    EXPECT_GE(c.limit(), 195'000u);
    EXPECT_LE(c.limit(), 300'000u);
    for (int i = 0; i < 200; ++i) {
        c.burst(5'000);
        c.advance(round_trip_us / 2);
    }
    EXPECT_EQ(c.limit(), first_window);
}

TEST(ReceiveWindow, StaysWhereTheOwnerTakesNothing) {
    Bulk c;
    c.receive_space = 0;
    c.burst(first_window);
    for (int i = 0; i < 5; ++i) {
        c.advance(round_trip_us);
        c.in(c.hot.rcv_nxt - (c.irs + 1) - 1, 0);
        c.flush_all();
    }
    EXPECT_EQ(c.limit(), first_window);
}

TEST(ReceiveWindow, QueuesAndBurstsDoNotCount) {
    Bulk queued;  // the first round trip was 50 ms: then a queue makes it 300 ms
    for (int i = 0; i < 50; ++i) {
        queued.burst(first_window);
        queued.advance(6 * round_trip_us);
    }
    EXPECT_EQ(queued.limit(), first_window);
    Bulk near(2'000);
    for (int i = 0; i < 50; ++i) {
        near.burst(first_window);
        near.advance(10'000);
    }
    EXPECT_EQ(near.limit(), first_window);
}

TEST(ReceiveWindow, NothingIsKeptForSmallPushesOrShortPaths) {
    Bulk c;
    c.text = pattern(200);
    c.burst(first_window / 2);
    EXPECT_FALSE(c.holds_chunks());
    Bulk near(500);
    near.burst(first_window / 2);
    EXPECT_FALSE(near.holds_chunks());
}

TEST(ReceiveWindow, DoesNotGrowWhenMemoryIsShort) {
    Bulk c;
    const auto bulk = [&] {
        for (int i = 0; i < 4; ++i) {
            c.burst(c.limit());
            c.advance(round_trip_us);
        }
    };
    c.buffers_may_grow = false;
    bulk();
    EXPECT_EQ(c.limit(), first_window);
    EXPECT_FALSE(c.holds_chunks());
    c.buffers_may_grow = true;
    bulk();
    const uint32_t grown = c.limit();
    EXPECT_GT(grown, 2 * first_window);
    c.buffers_may_grow = false;
    bulk();
    EXPECT_LE(c.limit(), grown);
}

// RFC 9293 §3.8.6: what was promised stays, though the state behind it is given back.
TEST(ReceiveWindow, SilenceGivesTheStateBackButNotThePromise) {
    Bulk c;
    for (int i = 0; i < 4; ++i) {
        c.burst(c.limit());
        c.advance(round_trip_us);
    }
    c.burst(4000);
    const Seq edge = c.hot.rcv_adv;
    EXPECT_GT(receive_window(c.hot), 2 * first_window);
    on_sweep(c.context(), c.ep());
    EXPECT_TRUE(c.holds_chunks());
    c.advance(us_per_s);
    on_sweep(c.context(), c.ep());
    EXPECT_FALSE(c.holds_chunks());
    EXPECT_EQ(c.limit(), first_window);
    c.in(c.hot.rcv_nxt - (c.irs + 1), 0, "x");
    c.flush_all();
    EXPECT_EQ(c.hot.rcv_adv, edge);
}

// RFC 5681 §4.2: at once within a gap; and so for some segments behind it.
TEST(ReceiveWindow, BulkIsAcknowledgedAtOnceAfterAGap) {
    Bulk c;
    const auto acks = [&](uint32_t segments) {
        size_t sent = 0;
        for (uint32_t i = 0; i < segments; ++i) {
            c.in(c.hot.rcv_nxt - (c.irs + 1), 0, c.text);
            sent += c.flush_all().size();
        }
        return sent;
    };
    c.burst(4000);
    EXPECT_EQ(acks(10), 5u);
    const uint32_t at = c.hot.rcv_nxt - (c.irs + 1);
    c.in(at + 1000, 0, c.text);
    c.flush_all();
    EXPECT_EQ(acks(1), 1u);
    EXPECT_EQ(c.hot.rcv_nxt - (c.irs + 1), at + 2000);
    EXPECT_EQ(acks(15), 15u);
    EXPECT_EQ(acks(10), 5u);
}

TEST(ReceiveWindow, WhatIsGrownCanBeHeldOutOfOrder) {
    Bulk c;
    for (int i = 0; i < 6; ++i) {
        c.burst(c.limit());
        c.advance(round_trip_us);
    }
    c.burst(4000);
    const uint32_t start = c.hot.rcv_nxt - (c.irs + 1), window = receive_window(c.hot);
    ASSERT_GT(window, 500'000u);
    for (uint32_t at = 1000; at + 1000 <= window; at += 1000)
        if (at % 20'000 != 0) c.in(start + at, 0, c.text);
    EXPECT_EQ(c.counters.reassembly_dropped, 0u);
}

// After a loss little arrives in order, and the rate that is measured falls; what is on its way was promised before.
TEST(ReceiveWindow, WhatWasPromisedCanBeHeldOutOfOrder) {
    Bulk c;
    for (int i = 0; i < 6; ++i) {
        c.burst(c.limit());
        c.advance(round_trip_us);
    }
    const uint32_t promised = receive_window(c.hot), before = c.limit();
    for (int i = 0; i < 20; ++i) {
        c.burst(1000);
        c.advance(round_trip_us);
    }
    ASSERT_LT(c.limit(), before / 4);
    const uint32_t start = c.hot.rcv_nxt - (c.irs + 1), window = receive_window(c.hot);
    ASSERT_GE(window, promised - 20'000);
    for (uint32_t at = 1000; at + 1000 <= window; at += 1000) c.in(start + at, 0, c.text);
    EXPECT_EQ(c.counters.reassembly_dropped, 0u);
}

}  // namespace
}  // namespace millrace::tcp
