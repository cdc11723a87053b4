// The lossy ring of relay events: order, gaps counted, a mad writer, a reader beside a running writer.
#include <gtest/gtest.h>
#include <memory>
#include <thread>

#include <millrace/event_ring.h>

namespace millrace {
namespace {

std::unique_ptr<WorkerEvents> make_events() {
    return std::make_unique<WorkerEvents>();
}

RelayEvent event_of(uint64_t n) {
    RelayEvent event{};
    event.connection_id = n;
    event.bytes_up = n * 3;
    event.bytes_down = ~n;
    event.kind = RelayEventKind::closed;
    return event;
}

bool whole(const RelayEvent& event) {
    return event.connection_id == event.sequence && event.bytes_up == event.sequence * 3 &&
           event.bytes_down == ~event.sequence;
}

TEST(EventRing, ReadsInOrder) {
    auto events = make_events();
    EventWriter writer(events.get());
    EventReader reader(events.get(), EventReader::From::oldest);
    RelayEvent event;
    EXPECT_FALSE(reader.next(event));
    for (uint64_t n = 1; n <= 3; ++n) writer.push(event_of(n));
    for (uint64_t n = 1; n <= 3; ++n) {
        ASSERT_TRUE(reader.next(event));
        EXPECT_EQ(event.sequence, n);
        EXPECT_TRUE(whole(event));
    }
    EXPECT_FALSE(reader.next(event));
    EXPECT_EQ(reader.missed(), 0u);
}

TEST(EventRing, CountsWhatWasOverwritten) {
    auto events = make_events();
    EventWriter writer(events.get());
    EventReader reader(events.get(), EventReader::From::oldest);
    for (uint64_t n = 1; n <= event_slot_count + 100; ++n) writer.push(event_of(n));
    RelayEvent event;
    uint64_t read = 0;
    while (reader.next(event)) {
        EXPECT_EQ(event.sequence, 101 + read);
        ++read;
    }
    EXPECT_EQ(read, event_slot_count);
    EXPECT_EQ(reader.missed(), 100u);
}

TEST(EventRing, StartsAtOldestOrNewest) {
    auto events = make_events();
    EventWriter writer(events.get());
    for (uint64_t n = 1; n <= event_slot_count + 5; ++n) writer.push(event_of(n));
    RelayEvent event;
    EventReader oldest(events.get(), EventReader::From::oldest);
    ASSERT_TRUE(oldest.next(event));
    EXPECT_EQ(event.sequence, 6u);
    EXPECT_EQ(oldest.missed(), 0u);
    EventReader newest(events.get(), EventReader::From::newest);
    EXPECT_FALSE(newest.next(event));
    writer.push(event_of(event_slot_count + 6));
    ASSERT_TRUE(newest.next(event));
    EXPECT_EQ(event.sequence, event_slot_count + 6);
}

TEST(EventRing, WriterGoesOnAfterARestart) {
    auto events = make_events();
    EventWriter(events.get()).push(event_of(1));
    EventWriter(events.get()).push(event_of(2));
    EventReader reader(events.get(), EventReader::From::oldest);
    RelayEvent event;
    ASSERT_TRUE(reader.next(event));
    ASSERT_TRUE(reader.next(event));
    EXPECT_EQ(event.sequence, 2u);
}

TEST(EventRing, AMadWriterCostsEventsOnly) {
    auto events = make_events();
    EventReader reader(events.get(), EventReader::From::oldest);
    RelayEvent event;
    events->event_sequence.value = 1'000'000;  // no slot was ever written
    EXPECT_FALSE(reader.next(event));
    EXPECT_EQ(reader.missed(), 1'000'000u);
    events->event_sequence.value = 3;  // backwards
    EXPECT_FALSE(reader.next(event));
    events->event_sequence.value = ~uint64_t{0};
    EXPECT_FALSE(reader.next(event));
}

TEST(EventRing, NeverDeliversATornEventBesideARunningWriter) {
    auto events = make_events();
    constexpr uint64_t total = 400'000;
    std::thread writing([&] {
        EventWriter writer(events.get());
        for (uint64_t n = 1; n <= total; ++n) writer.push(event_of(n));
    });
    EventReader reader(events.get(), EventReader::From::oldest);
    RelayEvent event;
    uint64_t read = 0, torn = 0, last = 0;
    while (last < total) {
        if (!reader.next(event)) {
            std::this_thread::yield();
            continue;
        }
        if (!whole(event) || event.sequence <= last) ++torn;
        last = event.sequence;
        ++read;
    }
    writing.join();
    EXPECT_EQ(torn, 0u);
    EXPECT_EQ(read + reader.missed(), total);
}

TEST(Events, NamesEveryReason) {
    for (uint8_t i = 0; i < static_cast<uint8_t>(CloseReason::count); ++i)
        EXPECT_STRNE(name(static_cast<CloseReason>(i)), "unknown") << int{i};
    EXPECT_STREQ(name(CloseReason::idle_timeout), "idle_timeout");
    EXPECT_STREQ(name(static_cast<CloseReason>(200)), "unknown");
    EXPECT_STREQ(name(Closer::balancer), "balancer");
    EXPECT_STREQ(name(static_cast<Closer>(200)), "unknown");
}

}  // namespace
}  // namespace millrace
