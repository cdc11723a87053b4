// The lossy ring of relay events: order, gaps counted, a mad writer, a reader beside a running writer.
#include <chrono>
#include <csignal>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <sys/time.h>
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
    std::memcpy(event.server.bytes.data(), &n, sizeof n);  // on the slot's other cache line
    event.kind = RelayEventKind::closed;
    return event;
}

bool whole(const RelayEvent& event) {
    const RelayEvent expected = event_of(event.sequence);
    return event.connection_id == expected.connection_id && event.bytes_up == expected.bytes_up &&
           event.bytes_down == expected.bytes_down && event.server == expected.server;
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

TEST(EventRing, LosesNothingUncountedBesideARunningWriter) {
    auto events = make_events();
    constexpr uint64_t total = 400'000;
    EventReader reader(events.get(), EventReader::From::oldest);  // before the first event, so that none goes uncounted
    std::thread writing([&] {
        EventWriter writer(events.get());
        for (uint64_t n = 1; n <= total; ++n) writer.push(event_of(n));
    });
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

WorkerEvents* written_by_signal = nullptr;
volatile std::sig_atomic_t laps = 0;

/// Overwrites every slot: whatever the interrupted reader was copying is another event now. Then comes again while the
/// reader is still at work on this lap.
void write_a_lap(int) {
    EventWriter writer(written_by_signal);
    const uint64_t newest = written_by_signal->event_sequence.value.load();
    for (uint64_t n = newest + 1; n <= newest + event_slot_count; ++n) writer.push(event_of(n));
    laps = laps + 1;
    const itimerval once{{0, 0}, {0, 5 + laps % 40}};
    if (laps < 400) setitimer(ITIMER_REAL, &once, nullptr);
}

TEST(EventRing, NeverDeliversATornEvent) {
    // Two threads on a busy machine hardly ever meet within one slot; a signal cuts into the copy on any machine.
    auto events = make_events();
    written_by_signal = events.get();
    EventReader reader(events.get(), EventReader::From::oldest);
    const auto handler_before = std::signal(SIGALRM, write_a_lap);
    const itimerval soon{{0, 0}, {0, 100}}, never{};
    ASSERT_EQ(setitimer(ITIMER_REAL, &soon, nullptr), 0);
    RelayEvent event;
    uint64_t torn = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    while (laps < 400 && std::chrono::steady_clock::now() < end) {
        for (int i = 0; i < 1000; ++i)
            if (reader.next(event) && !whole(event)) ++torn;
    }
    setitimer(ITIMER_REAL, &never, nullptr);
    std::signal(SIGALRM, handler_before);
    EXPECT_EQ(torn, 0u);
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
