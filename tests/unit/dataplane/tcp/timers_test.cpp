// RFC 6298 §5, RFC 9293 §3.8.3 (R2) and §3.8.6.1 (zero-window probes).
#include "dataplane/tcp/timers.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

TEST(Timers, RunOnlyWhileSomethingIsInFlight) {
    Connection c;
    c.establish();
    EXPECT_FALSE(next_deadline(c.context(), c.ep()));
    c.send_text("abc");
    EXPECT_FALSE(next_deadline(c.context(), c.ep())) << "queued, not sent";
    c.flush_all();
    EXPECT_EQ(*next_deadline(c.context(), c.ep()), c.now + 200'000);
    c.advance(50'000);
    EXPECT_EQ(*next_deadline(c.context(), c.ep()), c.now + 150'000);
    c.send_text("def");
    c.flush_all();
    EXPECT_EQ(*next_deadline(c.context(), c.ep()), c.now + 150'000) << "§5.1: it is running already";
    c.in(0, 6);
    EXPECT_FALSE(next_deadline(c.context(), c.ep()));
}

TEST(Timers, EarlyCallIsHarmless) {
    Connection c;
    c.establish();
    c.send_text("abc");
    c.flush_all();
    c.advance(100'000);
    EXPECT_EQ(on_deadline(c.context(), c.ep()).bits, 0);
    EXPECT_EQ(c.counters.rto_timeouts, 0u);
}

TEST(Timers, BackOffThenGiveUp) {
    Connection c;
    c.options.retries_max = 4;
    c.establish();
    c.send_text("abc");
    c.flush_all();
    const TimeUs start = c.now;
    for (TimeUs at : {200u, 600u, 1400u, 3000u}) {
        EXPECT_EQ(c.expire().bits, 0);
        EXPECT_EQ(c.now - start, at * us_per_ms);
        EXPECT_EQ(c.flush_all().size(), 1u);
    }
    EXPECT_EQ(c.expire().bits, event_timed_out);
    EXPECT_EQ(c.now - start, 6200 * us_per_ms);
    EXPECT_EQ(c.hot.state, State::closed);
    EXPECT_EQ(c.counters.connections_timed_out, 1u);
}

/// The peer took 1000 B and closed its window; 500 more wait.
struct ClosedWindow : Connection {
    ClosedWindow() {
        establish(1000);
        send_text(pattern(1000));
        flush_all();
        in(0, 1000, "", 0, {.window = 0});
        send_text(pattern(500, 1000));
        flush_all();
        sent.clear();
    }
};

TEST(Timers, ClosedWindowIsProbed) {
    ClosedWindow c;
    EXPECT_TRUE(c.flush_all().empty());
    const TimeUs start = c.now;
    c.expire();
    EXPECT_EQ(c.now - start, 200 * us_per_ms);
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(c.seq_of(out[0]), 999u) << "before the window: it must be answered";
    EXPECT_TRUE(out[0].payload.empty());
    c.expire();
    EXPECT_EQ(c.now - start, 600 * us_per_ms);
    EXPECT_EQ(c.counters.window_probes, 1u) << "the second is due, not sent";
}

TEST(Timers, ProbingNeverEndsWhileThePeerAnswers) {
    ClosedWindow c;
    for (int i = 0; i < 200; ++i) {
        ASSERT_EQ(c.expire().bits, 0);
        ASSERT_EQ(c.flush_all().size(), 1u);
        c.in(0, 1000, "", 0, {.window = 0});
    }
    c.in(0, 1000, "", 0, {.window = 5000});
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].payload, pattern(500, 1000));
    EXPECT_EQ(*next_deadline(c.context(), c.ep()), c.now + 200'000);
}

TEST(Timers, ProbingEndsWhenThePeerIsSilent) {
    ClosedWindow c;
    int probes = 0;
    while (!c.expire().has(event_timed_out)) {
        c.flush_all();
        ASSERT_LT(++probes, 100);
    }
    EXPECT_GE(probes, c.options.retries_max);
}

TEST(Timers, FinWaitsForTheWindowToo) {
    Connection c;
    c.establish(1000);
    c.advance(us_per_s);
    c.in(0, 0, "x", 0, {.window = 0});
    shutdown_send(c.context(), c.ep());
    EXPECT_EQ(c.flush_all().size(), 1u) << "the ACK only";
    EXPECT_EQ(c.hot.state, State::established);
    c.expire();
    EXPECT_EQ(c.flush_all().size(), 1u) << "a probe";
    c.in(1, 0, "", 0, {.window = 100});
    EXPECT_TRUE(c.flush_all().at(0).has(wire::tcp_fin));
}

// RFC 1122 §4.2.2.17: data in flight under a window that closed over it, and a peer that goes on answering.
TEST(Timers, AnsweredRetransmissionsIntoAClosedWindowNeverEnd) {
    Connection c;
    c.establish(1000);
    c.send_text(pattern(1000));
    c.flush_all();
    for (int i = 0; i < 100; ++i) {
        c.in(static_cast<uint32_t>(i), 0, "x", 0, {.window = 0});
        ASSERT_FALSE(c.expire().has(event_timed_out));
        c.flush_all();
    }
}

}  // namespace
}  // namespace millrace::tcp
