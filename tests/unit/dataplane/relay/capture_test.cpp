// One worker's captures: what is copied, what is refused, what ends them, and who is served first.
#include "dataplane/relay/capture.h"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <vector>

#include <millrace/commands.h>

namespace millrace::relay {
namespace {

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};
template <typename T>
std::unique_ptr<T, Free> zeroed() {
    return std::unique_ptr<T, Free>(static_cast<T*>(std::calloc(1, sizeof(T))));
}

struct Message {
    MessageHeader header;
    CapturedFrame frame;
    std::vector<std::byte> bytes;
};

struct CaptureTestBench : testing::Test {
    CaptureTestBench() { link.attach(commands.get(), 0); }

    CaptureStart request(uint64_t frames_max = 1000, uint32_t snaplen = 2000) const {
        return {.id = 7, .snaplen = snaplen, .duration_ms = 1000, .frames_max = frames_max, .filter = {}};
    }
    void record(size_t length) {
        capture.record(CaptureDirection::received, 3, std::vector<uint8_t>(length, uint8_t{0x5a}), now + 5);
    }
    bool next(Message& message) {
        std::array<std::byte, message_payload_max> payload;
        if (!replies.pop(message.header, payload)) return false;
        EXPECT_EQ(message.header.type, static_cast<uint16_t>(MessageType::captured));
        std::memcpy(&message.frame, payload.data(), sizeof message.frame);
        message.bytes.assign(payload.begin() + sizeof message.frame, payload.begin() + message.header.length);
        return true;
    }
    size_t waiting() {
        Message message;
        size_t count = 0;
        while (next(message)) ++count;
        return count;
    }

    TimeUs now = 1'000'000;
    std::unique_ptr<WorkerEvents, Free> events = zeroed<WorkerEvents>();
    std::unique_ptr<CommandsFile, Free> commands = zeroed<CommandsFile>();
    ControlLink link{events.get()};
    Capture capture{link};
    MessageRingConsumer replies{std::span<const std::byte>(events->replies), &events->reply_produced,
                                &commands->rings[0].reply_consumed};
};

TEST_F(CaptureTestBench, CopiesWhatIsAskedFor) {
    EXPECT_FALSE(capture.running());
    ASSERT_TRUE(capture.start(request(1000, 100), now));
    EXPECT_TRUE(capture.running());
    record(60);
    capture.poll(now + 9);
    capture.record_sent(1, std::vector<uint8_t>(300, uint8_t{1}));
    Message message;
    ASSERT_TRUE(next(message));
    EXPECT_EQ(message.header.request_id, 7u);
    EXPECT_EQ(message.frame.time_us, now + 5);
    EXPECT_EQ(message.frame.interface, 3);
    EXPECT_EQ(message.frame.direction, CaptureDirection::received);
    EXPECT_EQ(message.frame.length, 60u);
    EXPECT_EQ(message.bytes, std::vector<std::byte>(60, std::byte{0x5a}));
    ASSERT_TRUE(next(message));
    EXPECT_EQ(message.frame.direction, CaptureDirection::sent);
    EXPECT_EQ(message.frame.time_us, now + 9);
    EXPECT_EQ(message.frame.length, 300u);
    EXPECT_EQ(message.bytes.size(), 100u);
    const CaptureStopped stopped = capture.stop(7);
    EXPECT_FALSE(capture.running());
    EXPECT_EQ(stopped.recorded, 2u);
    EXPECT_EQ(stopped.dropped, 0u);
}

TEST_F(CaptureTestBench, OnlyWhatMatches) {
    CaptureStart only_arp = request();
    only_arp.filter.count = 1;
    only_arp.filter.steps[0].test = CaptureTest::arp;
    ASSERT_TRUE(capture.start(only_arp, now));
    record(60);
    std::vector<uint8_t> arp(60);
    arp[12] = 0x08;
    arp[13] = 0x06;
    capture.record(CaptureDirection::received, 0, arp, now);
    EXPECT_EQ(waiting(), 1u);
    EXPECT_EQ(capture.stop(7).recorded, 1u);
}

TEST_F(CaptureTestBench, EndsByItself) {
    ASSERT_TRUE(capture.start(request(3), now));
    for (int i = 0; i < 5; ++i) record(60);
    EXPECT_FALSE(capture.running()) << "enough frames";
    EXPECT_EQ(waiting(), 3u);
    ASSERT_TRUE(capture.start(request(), now));
    capture.poll(now + 999'999);
    EXPECT_TRUE(capture.running());
    capture.poll(now + 1'000'000);
    EXPECT_FALSE(capture.running()) << "though control never came back";
}

TEST_F(CaptureTestBench, RefusesNonsenseAndClampsTheRest) {
    CaptureStart unsound = request();
    unsound.filter.count = 1;
    unsound.filter.steps[0].test = CaptureTest::and_;
    EXPECT_FALSE(capture.start(unsound, now));
    EXPECT_FALSE(capture.running());
    CaptureStart endless = request(UINT64_MAX, UINT32_MAX);
    endless.duration_ms = UINT32_MAX;
    ASSERT_TRUE(capture.start(endless, now));
    record(12'000);
    Message message;
    ASSERT_TRUE(next(message));
    EXPECT_EQ(message.bytes.size(), capture_snaplen_max);
    capture.poll(now + capture_ms_max * us_per_ms);
    EXPECT_FALSE(capture.running());
    EXPECT_EQ(capture.stop(8).recorded, 0u) << "of another capture";
}

TEST_F(CaptureTestBench, LeavesRoomToAnswers) {
    ASSERT_TRUE(capture.start(request(100'000), now));
    for (int i = 0; i < 1000; ++i) record(1500);
    EXPECT_GE(link.reply_room(), 16'000u);
    const std::vector<std::byte> answer(message_payload_max);
    for (uint32_t left = Capture::room_for_answers; left > 20'000; left -= 17'000)
        EXPECT_TRUE(link.reply(MessageType::connections, 1, answer));
    const CaptureStopped stopped = capture.stop(7);
    EXPECT_GT(stopped.dropped, 0u);
    EXPECT_EQ(stopped.recorded + stopped.dropped, 1000u);
}

TEST_F(CaptureTestBench, AnotherOneTakesItsPlace) {
    ASSERT_TRUE(capture.start(request(), now));
    record(60);
    CaptureStart other = request();
    other.id = 8;
    ASSERT_TRUE(capture.start(other, now));
    EXPECT_EQ(capture.stop(7).recorded, 0u);
    EXPECT_TRUE(capture.running());
    record(60);
    EXPECT_EQ(capture.stop(8).recorded, 1u);
}

}  // namespace
}  // namespace millrace::relay
