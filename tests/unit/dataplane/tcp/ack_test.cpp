// RFC 9293 §3.10.7.4 (fifth step), RFC 5961 §5, RFC 5681 §2, RFC 6298 §5.
#include "dataplane/tcp/ack.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

/// Established, with `length` bytes sent in segments of 1000.
struct Flight : Connection {
    explicit Flight(size_t length = 5000) {
        establish();
        send_text(pattern(length));
        flush_all();
    }
};

TEST(Ack, FreesWhatIsAcknowledged) {
    Flight c;
    const Events events = c.in(0, 1500);
    EXPECT_EQ(events.bits, event_acked);
    EXPECT_EQ(events.acked, 1500u);
    EXPECT_EQ(send_queue_bytes(c.warm), 3500u);
    EXPECT_EQ(in_flight(c.hot), 3500u);
    EXPECT_EQ(c.in(0, 5000).acked, 3500u);
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
    EXPECT_EQ(c.hot.send_tail, store::no_chunk);
    EXPECT_FALSE(next_deadline(c.context(), c.ep())) << "RFC 6298 §5.2";
}

TEST(Ack, OfWhatWasNeverSentDropsTheSegment) {
    Flight c;
    const Events events = c.in(0, 5001, "data");
    EXPECT_EQ(events.bits, 0);
    EXPECT_EQ(c.received, "");
    EXPECT_EQ(send_queue_bytes(c.warm), 5000u);
    EXPECT_EQ(c.ack_of(c.flush_all().at(0)), 0u) << "answered with an ACK";
    EXPECT_EQ(c.counters.bad_acks, 1u);
}

// RFC 5961 §5: older than any window, so not from our peer.
TEST(Ack, FarTooOldDropsTheSegment) {
    Flight c;
    EXPECT_EQ(c.in(0, static_cast<uint32_t>(-65'536), "data").consumed, 0u);
    EXPECT_EQ(c.counters.bad_acks, 1u);
    EXPECT_EQ(c.in(0, static_cast<uint32_t>(-65'535), "data").consumed, 4u) << "merely old: its data is taken";
}

TEST(Ack, WindowFollowsNewSegmentsOnly) {
    Flight c;
    c.in(0, 1000, "", 0, {.window = 3000});
    EXPECT_EQ(c.hot.snd_wnd, 3000u);
    c.in(0, 0, "", 0, {.window = 9000});
    EXPECT_EQ(c.hot.snd_wnd, 3000u) << "an old ACK";
    c.in(0, 1000, "", 0, {.window = 2000});
    EXPECT_EQ(c.hot.snd_wnd, 2000u) << "the same place: windows may shrink";
    c.in(0, 1000, "", 0, {.window = 4000});
    EXPECT_EQ(c.hot.snd_wnd, 4000u);
    c.in(0, 1000, "x", 0, {.window = 4000});
    c.in(1, 1000, "y", 0, {.window = 500});
    EXPECT_EQ(c.hot.snd_wnd, 500u) << "a later segment";
    c.in(0, 1000, "x", 0, {.window = 600});
    EXPECT_EQ(c.hot.snd_wnd, 500u) << "an earlier one";
}

TEST(Ack, DuplicatesAreWhatRfc5681Says) {
    Flight c;
    c.in(0, 0, "data");
    c.in(4, 0, "", 0, {.window = 65'000});
    EXPECT_EQ(c.counters.duplicate_acks_in, 0u) << "data, or another window";
    c.in(4, 0, "", 0, {.window = 65'000});
    EXPECT_EQ(c.counters.duplicate_acks_in, 1u);
    c.in(4, 0, "", wire::tcp_fin, {.window = 65'000});
    EXPECT_EQ(c.counters.duplicate_acks_in, 1u) << "a FIN";
    c.in(5, 5000);
    c.in(5, 5000);
    EXPECT_EQ(c.counters.duplicate_acks_in, 1u) << "nothing in flight";
}

TEST(Ack, ProgressEndsTheBackoffAndRestartsTheTimer) {
    Flight c;
    c.expire();
    EXPECT_EQ(c.warm.backoff, 1);
    c.flush_all();
    c.advance(5000);
    c.in(0, 1000);
    EXPECT_EQ(c.warm.backoff, 0);
    EXPECT_EQ(*next_deadline(c.context(), c.ep()), c.now + c.options.rto_min_us) << "RFC 6298 §5.3";
}

TEST(Ack, SequenceNumbersWrap) {
    Connection c;
    c.open();
    c.hot.snd_una = c.hot.snd_nxt = c.iss = Seq{0xfffffff0};
    c.flush_all();
    c.give(c.syn_ack());
    c.send_text(pattern(100));
    EXPECT_EQ(c.flush_all().at(0).payload.size(), 100u);
    EXPECT_EQ(c.in(0, 50).acked, 50u);
    EXPECT_EQ(c.hot.snd_una, (Seq{0xfffffff0 + 51}));
    EXPECT_EQ(c.in(0, 100).acked, 50u);
}

}  // namespace
}  // namespace millrace::tcp
