// Windows that open by a few bytes: RFC 9293 §3.8.6.2.1 (MUST-38).
#include "dataplane/tcp/send_window.h"

#include <gtest/gtest.h>

#include "connection.h"

namespace millrace::tcp {
namespace {

/// 2,000 bytes sent and acknowledged, 3,000 waiting, the window closed.
struct Silly : Connection {
    Silly() {
        establish(1000);
        in(0, 0, "", 0, {.window = 2000});
        send_text(pattern(5000));
        flush_all();
        in(0, 2000, "", 0, {.window = 0});
        flush_all();
    }
    std::vector<Sent> window(uint16_t bytes) {
        in(0, 2000, "", 0, {.window = bytes});
        return flush_all();
    }
};

TEST(SendWindow, Must38_AFewBytesOfWindowAreNotFilledAHalfIs) {
    Silly c;
    EXPECT_TRUE(c.window(10).empty());
    EXPECT_TRUE(c.window(999).empty());
    const auto out = c.window(1000);
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].payload.size(), 1000u);
    EXPECT_FALSE(c.hot.has(flag_persist));
}

TEST(SendWindow, Must38_WhatEndsTheQueueNeedNotWait) {
    Silly c;
    c.window(2000);
    c.in(0, 4000, "", 0, {.window = 0});
    c.flush_all();
    c.in(0, 4000, "", 0, {.window = 1000});
    EXPECT_EQ(c.flush_all().at(0).payload.size(), 1000u);
    c.send_text("tail");
    c.in(0, 5000, "", 0, {.window = 5});
    EXPECT_EQ(c.flush_all().at(0).payload, "tail");
}

TEST(SendWindow, Must38_TheOverrideTimeoutIsAtMostASecondAndNotPutOff) {
    Silly c;
    for (int i = 0; i < 5; ++i) {
        c.expire();
        c.flush_all();
    }
    EXPECT_GT(*next_deadline(c.context(), c.ep()) - c.now, us_per_s) << "probes of a closed window have become rare";
    c.window(10);
    const TimeUs from = c.now, due = *next_deadline(c.context(), c.ep());
    EXPECT_GE(due - from, 100 * us_per_ms);
    EXPECT_LE(due - from, us_per_s);
    c.advance((due - from) / 2);
    EXPECT_TRUE(c.window(20).empty());
    EXPECT_EQ(*next_deadline(c.context(), c.ep()), due);
    c.expire();
    const auto out = c.flush_all();
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].payload.size(), 20u);
    EXPECT_FALSE(c.hot.has(flag_persist) || c.hot.has(flag_probe_wanted));
    EXPECT_EQ(c.warm.backoff, 0);
}

TEST(SendWindow, Must38_APeerWhoseWindowsNeverTakeASegmentIsServedByHalves) {
    for (const uint32_t largest : {uint32_t{30}, uint32_t{400}, uint32_t{700}, uint32_t{1900}}) {
        Connection c;
        c.open();
        c.flush_all();
        wire::TcpSegment reply = c.syn_ack(1012);
        reply.window = static_cast<uint16_t>(largest);
        c.give(reply);
        c.flush_all();
        c.send_text(pattern(20'000));
        c.flush_all();
        const uint32_t sent = std::min(largest, largest / 1000 * 1000 + (largest < 1000 ? largest : 0));
        c.in(0, sent, "", 0, {.window = 0});
        c.flush_all();
        c.in(0, sent, "", 0, {.window = static_cast<uint16_t>(largest / 2 + 1)});
        EXPECT_EQ(c.flush_all().size(), 1u) << largest;
    }
}

TEST(SendWindow, Rfc9293_3_8_6_AWindowMayShrinkWithoutProgress) {
    Connection c;
    c.establish(1000);
    c.send_text(pattern(1000));
    c.flush_all();
    c.in(0, 1000, "", 0, {.window = 4000});
    c.in(0, 1000, "", 0, {.window = 2000});
    EXPECT_EQ(c.hot.snd_wnd, 2000u);
}

}  // namespace
}  // namespace millrace::tcp
