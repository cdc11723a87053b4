// RFC 2018 §5, RFC 2883 §4, RFC 8985 §6: what SACKs say, and when a chunk counts as lost.
#include "dataplane/tcp/rack.h"

#include <gtest/gtest.h>

#include "sack_loss.h"

namespace millrace::tcp {
namespace {

using Seqs = std::vector<uint32_t>;

// RFC 8985 §6.2 step 4: without reordering seen so far, three reported segments are enough.
TEST(Rack, ThirdReportedSegmentMarksTheHole) {
    SackLoss c;
    EXPECT_EQ(c.seqs(c.ack(0, {{1000, 2000}})), Seqs{10'000}) << "RFC 3042: what left the network makes room";
    EXPECT_EQ(c.seqs(c.ack(0, {{1000, 3000}})), Seqs{11'000});
    const auto out = c.ack(0, {{1000, 4000}});
    ASSERT_FALSE(out.empty());
    EXPECT_EQ(c.seq_of(out[0]), 0u);
    EXPECT_EQ(out[0].payload, pattern(1000));
    EXPECT_EQ(c.counters.fast_retransmits, 1u);
}

// §6.2 step 5: with fewer, a quarter of the RTT later.
TEST(Rack, ReorderingTimerMarksTheHole) {
    SackLoss c;
    c.ack(0, {{1000, 2000}});
    EXPECT_EQ(*next_deadline(c.context(), c.ep()), c.now + 2500);
    c.advance(2000);
    on_deadline(c.context(), c.ep());
    EXPECT_TRUE(c.flush_all().empty());
    c.expire();
    EXPECT_EQ(c.seqs(c.flush_all()).at(0), 0u);
    EXPECT_TRUE(c.hot.has(flag_fast_recovery));
}

// §6.2 step 3: once segments were seen out of order, three reports alone mark nothing.
TEST(Rack, SeenReorderingGivesTime) {
    SackLoss c;
    c.ack(0, {{1000, 3000}});
    c.ack(3000);
    c.ack(3000, {{4000, 8000}});
    EXPECT_EQ(c.counters.fast_retransmits, 0u);
    EXPECT_TRUE(c.state().reo_armed);
    c.expire();
    EXPECT_EQ(c.counters.fast_retransmits, 1u);
    EXPECT_EQ(c.seqs(c.flush_all()).at(0), 3000u);
}

// §6.2 step 4: each round trip with a D-SACK widens the window.
TEST(Rack, DuplicateSackWidensTheWindow) {
    SackLoss c;
    c.ack(0, {{1000, 3000}});
    c.ack(3000);                  // reordering
    c.ack(3000, {{1000, 2000}});  // a D-SACK
    c.ack(3000, {{1000, 2000}});  // of the same round trip
    EXPECT_EQ(c.counters.duplicate_sacks_in, 2u);
    c.ack(3000, {{4000, 5000}});
    EXPECT_EQ(*next_deadline(c.context(), c.ep()), c.now + 5000);
}

// Packets may be held back for longer than the shortest round trip, as behind a full queue they are: it doubles, so
// that eight such round trips are enough, up to a round trip as it is now.
TEST(Rack, WindowDoublesUpToARoundTrip) {
    SackLoss c;
    rack_note_reordering(c.ep());
    c.ack(0, {{1000, 2000}});
    Seq end = c.iss + 1 + 2000;
    for (const uint32_t window_us : {2500u, 5000u, 10'000u, 20'000u, 40'000u, 80'000u, 100'000u, 100'000u}) {
        wire::TcpSegment segment = c.from_peer(wire::tcp_ack, 0, 0, "", {});
        segment.options.sack[segment.options.sack_count++] = {end.value, (end + 1000).value};
        c.hot.srtt_us = 100'000;
        c.give(segment);
        EXPECT_EQ(c.state().reo_deadline - static_cast<uint32_t>(c.now), window_us);
        end += 1000;
        rack_on_duplicate_sack(c.ep(), nullptr);
    }
}

// §6.2 step 4: sixteen recoveries later it is forgotten.
TEST(Rack, WidenedWindowIsForgotten) {
    SackLoss c;
    rack_on_duplicate_sack(c.ep(), nullptr);
    const uint8_t widened = c.warm.reordering;
    for (int i = 0; i < 14; ++i) rack_on_recovery_end(c.ep());
    EXPECT_EQ(c.warm.reordering & 0x70, widened & 0x70);
    for (int i = 0; i < 2; ++i) rack_on_recovery_end(c.ep());
    EXPECT_EQ(c.warm.reordering, 0);
}

// §6.2: a retransmission is lost when something sent after it arrives.
TEST(Rack, LostRetransmissionIsSentAgain) {
    SackLoss c;
    EXPECT_EQ(c.seqs(c.ack(0, {{1000, 10'000}})).at(0), 0u);
    const auto fresh = c.seqs(c.sent);
    ASSERT_GT(fresh.size(), 3u) << "new data follows the retransmission";
    c.advance(10'000);
    EXPECT_EQ(c.seqs(c.ack(0, {{1000, fresh.back() + 1000}})).at(0), 0u);
    EXPECT_EQ(c.counters.fast_retransmits, 1u) << "the same recovery";
    EXPECT_EQ(c.counters.rto_timeouts, 0u);
}

// §6.2 step 2: an ACK that may be for the first transmission tells nothing of the second.
TEST(Rack, AmbiguousRetransmissionIsNoMeasurement) {
    SackLoss c;
    c.ack(0, {{1000, 10'000}});
    const uint32_t rtt = c.state().rack_rtt_us;
    const uint32_t echo = c.last_ts_value - 10;
    c.advance(1000);
    c.ack(0, {{0, 0}, {1000, 10'000}}, echo);
    rack_delivered(c.context(), c.ep(), extension(c.context(), c.ep())->recovery, static_cast<uint32_t>(c.now) - 1000,
                   c.iss + 1001, true, c.from_peer(wire::tcp_ack, 0, 0, "", {.ts_echo = echo}));
    EXPECT_EQ(c.state().rack_rtt_us, rtt);
}

// RFC 2018 §5: nonsense is not noted.
TEST(Rack, BlocksOutsideTheFlightAreIgnored) {
    SackLoss c;
    EXPECT_TRUE(c.ack(0, {{11'000, 12'000}, {5000, 5000}, {7000, 6000}, {0xf0000000, 3000}}).empty());
    EXPECT_EQ(c.state().sacked, 0u);
    EXPECT_EQ(c.counters.fast_retransmits, 0u);
}

TEST(Rack, PartOfAChunkIsNotNoted) {
    SackLoss c;
    c.ack(0, {{1500, 2999}});
    EXPECT_EQ(c.state().sacked, 0u);
    c.ack(0, {{1500, 3000}});
    EXPECT_EQ(c.state().sacked, 1000u);
}

/// Five hundred segments of 1,000 B in flight, more chunks than a search may look at for nothing.
struct LargeFlight : SackLoss {
    LargeFlight() : SackLoss(0) {
        hot.snd_wnd = 2'000'000;
        warm.cwnd = 500'000;
        send_text(pattern(500'000));
        flush_all();
        sent.clear();
        advance(10'000);
    }
    /// As if other connections had used it up.
    void use_up_allowance() { budgets.searches = {.renewed_at = now, .left = 0}; }
};

// A peer can't have long send queues searched without end.
TEST(Rack, LongSearchesComeOutOfAnAllowance) {
    LargeFlight c;
    c.ack(0, {{498'000, 499'000}});
    const int64_t before = c.budgets.searches.left;
    c.ack(0, {{498'000, 500'000}});
    EXPECT_EQ(before - c.budgets.searches.left, 3 * (500 - search_chunks_free));
    c.use_up_allowance();
    c.ack(0, {{1000, 2000}, {497'000, 500'000}});
    EXPECT_GT(c.counters.sack_searches_cut, 0u);
    EXPECT_EQ(c.state().sacked, 3000u) << "the near one is seen, the far ones keep their marks";
    EXPECT_GE(c.budgets.searches.left, 0);
}

// What was searched must be paid for before the next long search, however little is left at its beginning.
TEST(Rack, DebtsAreNotForgiven) {
    LargeFlight c;
    c.use_up_allowance();
    c.advance(1);
    c.ack(0, {{499'000, 500'000}});
    EXPECT_EQ(c.state().sacked, 1000u);
    EXPECT_LT(c.budgets.searches.left, -200);
    c.advance(1);
    c.ack(0, {{498'000, 500'000}});
    EXPECT_EQ(c.state().sacked, 1000u) << "too soon";
    c.advance(1000);
    c.ack(0, {{498'000, 500'000}});
    EXPECT_EQ(c.state().sacked, 2000u);
}

// The sums follow what is acknowledged also where no search sees it.
TEST(Rack, SumsFollowAcknowledgments) {
    LargeFlight c;
    c.ack(0, {{1000, 400'000}});
    EXPECT_EQ(c.state().sacked, 399'000u);
    c.use_up_allowance();
    c.ack(100'000);
    EXPECT_EQ(c.state().sacked, 300'000u);
    c.ack(100'500);
    EXPECT_EQ(c.state().sacked, 299'500u) << "a part of a chunk";
    c.ack(400'000);
    EXPECT_EQ(c.state().sacked, 0u);
    EXPECT_EQ(c.state().lost, 0u);
    c.advance(1000);
    c.ack(500'000);
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

// RFC 2018 §8: what was reported may be dropped by the peer; a timeout with such a head sends it again.
TEST(Rack, RenegingIsSurvived) {
    SackLoss c(10'000);
    c.ack(0, {{1000, 10'000}});
    c.ack(1000, {{2000, 10'000}});  // the peer forgot [1000, 2000)
    c.expire();
    EXPECT_EQ(c.counters.reneged, 1u);
    EXPECT_EQ(c.seqs(c.flush_all()), Seqs{1000});
    c.ack(2000);
    for (uint32_t at = 2000; at < 10'000; at += 1000) c.ack(at + 1000);
    EXPECT_EQ(in_flight(c.hot), 0u);
    EXPECT_EQ(c.chunks.bytes_in_use(), 0u);
}

// RFC 2883 §4: below the ACK, or inside the second block.
TEST(Rack, DuplicateSacksAreTold) {
    SackLoss c;
    const auto bytes = [&](uint32_t ack, const SackLoss::Blocks& blocks) {
        return duplicate_sack_bytes(c.hot, c.from_peer(wire::tcp_ack, 0, ack, "", {.sack = blocks}));
    };
    EXPECT_EQ(bytes(2000, {{500, 1500}}), 1000u);
    EXPECT_EQ(bytes(2000, {{1500, 2500}}), 0u);
    EXPECT_EQ(bytes(0, {{4000, 5000}, {3000, 8000}}), 1000u);
    EXPECT_EQ(bytes(0, {{4000, 5000}, {6000, 8000}}), 0u);
    EXPECT_EQ(bytes(0, {}), 0u);
}

}  // namespace
}  // namespace millrace::tcp
