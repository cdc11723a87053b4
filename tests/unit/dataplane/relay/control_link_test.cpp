#include "dataplane/relay/control_link.h"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>

namespace millrace::relay {
namespace {

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};

template <typename T>
std::unique_ptr<T, Free> zeroed() {
    return std::unique_ptr<T, Free>(static_cast<T*>(std::calloc(1, sizeof(T))));
}

std::span<const std::byte> bytes_of(const char* text) {
    return std::as_bytes(std::span(text, std::strlen(text)));
}

/// The control process's end of worker 2's rings.
struct Control {
    explicit Control(WorkerEvents& events)
        : file(zeroed<CommandsFile>()),
          requests(std::span(file->rings[2].data), &file->rings[2].produced, &events.request_consumed),
          replies(std::span<const std::byte>(events.replies), &events.reply_produced, &file->rings[2].reply_consumed) {}

    std::unique_ptr<CommandsFile, Free> file;
    MessageRingProducer requests;
    MessageRingConsumer replies;
};

struct ControlLinkTest : testing::Test {
    std::unique_ptr<WorkerEvents, Free> events = zeroed<WorkerEvents>();
    ControlLink link{events.get()};
    std::array<std::byte, message_payload_max> room;
    MessageHeader header{};
};

TEST_F(ControlLinkTest, WithoutControlEveryServerIsEnabledAndNothingComes) {
    EXPECT_EQ(link.server(5).admin, AdminState::enabled);
    EXPECT_EQ(link.server(5).probe, ProbeState::unknown);
    EXPECT_EQ(link.server(5).weight, ServerControl::weight_of_snapshot);
    EXPECT_FALSE(link.next_request(header, room));
    EXPECT_FALSE(link.reply(MessageType::connections, 1, bytes_of("x")));
    EXPECT_EQ(link.reply_room(), 0u);
    EXPECT_FALSE(link.attached());
}

TEST_F(ControlLinkTest, ServerStatesAreReadAsTheyStand) {
    Control control(*events);
    link.attach(control.file.get(), 2);
    control.file->servers[5].word = ServerControl::pack({AdminState::drain, ProbeState::down, 7, 3});
    EXPECT_EQ(link.server(5).admin, AdminState::drain);
    EXPECT_EQ(link.server(5).probe, ProbeState::down);
    EXPECT_EQ(link.server(5).weight, 7);
    EXPECT_EQ(link.server(5).reset_count, 3u);
    control.file->servers[5].word = ~uint64_t{0};  // no such states: the most careful ones
    EXPECT_EQ(link.server(5).admin, AdminState::disabled);
    EXPECT_EQ(link.server(5).probe, ProbeState::down);
}

TEST_F(ControlLinkTest, RequestsComeInAndAnswersGoOut) {
    Control control(*events);
    link.attach(control.file.get(), 2);
    EXPECT_TRUE(control.requests.push(static_cast<uint16_t>(MessageType::stream_close), 9, bytes_of("request")));
    ASSERT_TRUE(link.next_request(header, room));
    EXPECT_EQ(header.request_id, 9u);
    EXPECT_EQ(std::memcmp(room.data(), "request", 7), 0);
    EXPECT_FALSE(link.next_request(header, room));
    EXPECT_TRUE(link.reply(MessageType::stream_closed, 9, bytes_of("answer")));
    ASSERT_TRUE(control.replies.pop(header, room));
    EXPECT_EQ(header.type, static_cast<uint16_t>(MessageType::stream_closed));
    EXPECT_EQ(std::memcmp(room.data(), "answer", 6), 0);
}

TEST_F(ControlLinkTest, AFullReplyRingRefuses) {
    Control control(*events);
    link.attach(control.file.get(), 2);
    size_t pushed = 0;
    while (link.reply(MessageType::stream_data, 0, std::span(room).first(8192))) ++pushed;
    EXPECT_GT(pushed, 50u);
    EXPECT_LT(link.reply_room(), 8192u);
    ASSERT_TRUE(control.replies.pop(header, room));
    EXPECT_TRUE(link.reply(MessageType::stream_data, 0, std::span(room).first(8192)));
}

TEST_F(ControlLinkTest, ANewControlBeginsAfresh) {
    Control old(*events);
    link.attach(old.file.get(), 2);
    EXPECT_TRUE(link.reply(MessageType::connections, 1, bytes_of("for the old one")));
    EXPECT_TRUE(old.requests.push(1, 1, bytes_of("of the old one")));
    Control fresh(*events);
    link.attach(fresh.file.get(), 2);
    EXPECT_FALSE(link.next_request(header, room));
    EXPECT_FALSE(fresh.replies.pop(header, room));
    EXPECT_TRUE(fresh.requests.push(2, 2, bytes_of("new")));
    ASSERT_TRUE(link.next_request(header, room));
    EXPECT_EQ(header.request_id, 2u);
    EXPECT_TRUE(link.reply(MessageType::connections, 2, bytes_of("new")));
    ASSERT_TRUE(fresh.replies.pop(header, room));
    EXPECT_EQ(header.request_id, 2u);
    link.attach(nullptr, 2);
    EXPECT_FALSE(link.attached());
}

TEST_F(ControlLinkTest, AMadRequestRingIsCounted) {
    Control control(*events);
    link.attach(control.file.get(), 2);
    EXPECT_TRUE(control.requests.push(1, 1, bytes_of("x")));
    const uint32_t absurd = 0xffff'fff0;
    std::memcpy(control.file->rings[2].data, &absurd, sizeof absurd);
    EXPECT_FALSE(link.next_request(header, room));
    EXPECT_EQ(link.malformed(), 1u);
}

TEST_F(ControlLinkTest, EventsAreNumbered) {
    RelayEvent event{};
    event.connection_id = 77;
    link.write(event);
    link.write(event);
    EventReader reader(events.get(), EventReader::From::oldest);
    RelayEvent read;
    ASSERT_TRUE(reader.next(read));
    EXPECT_EQ(read.sequence, 1u);
    EXPECT_EQ(read.connection_id, 77u);
    ASSERT_TRUE(reader.next(read));
    EXPECT_EQ(read.sequence, 2u);
}

}  // namespace
}  // namespace millrace::relay
