// The seqlock copies of <millrace/event_ring.h>, word by word through std::atomic_ref, so that a torn copy is noticed
// by its stamps and is no data race.
#include <array>
#include <bit>

#include <millrace/event_ring.h>

namespace millrace {

namespace {

constexpr size_t event_words = sizeof(RelayEvent) / sizeof(uint64_t);
using EventWords = std::array<uint64_t, event_words>;
static_assert(sizeof(EventWords) == sizeof(RelayEvent));

}  // namespace

void EventWriter::push(RelayEvent event) noexcept {
    const uint64_t sequence = events_->event_sequence.value.load(std::memory_order_relaxed) + 1;
    event.sequence = sequence;
    EventSlot& slot = events_->slots[sequence % event_slot_count];
    slot.stamp.store(0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);  // pairs with the reader's acquire fence
    const EventWords words = std::bit_cast<EventWords>(event);
    auto* target = reinterpret_cast<uint64_t*>(&slot.event);
    for (size_t i = 0; i < event_words; ++i)
        std::atomic_ref<uint64_t>(target[i]).store(words[i], std::memory_order_relaxed);
    slot.stamp.store(sequence, std::memory_order_release);  // pairs with the reader's first load of the stamp
    events_->event_sequence.value.store(sequence, std::memory_order_release);
}

EventReader::EventReader(const WorkerEvents* events, From from) noexcept : events_(events) {
    const uint64_t newest = events_->event_sequence.value.load(std::memory_order_acquire);
    if (from == From::newest)
        next_sequence_ = newest + 1;
    else
        next_sequence_ = newest > event_slot_count ? newest - event_slot_count + 1 : 1;
}

bool EventReader::next(RelayEvent& event) noexcept {
    if (events_ == nullptr) return false;
    for (uint32_t tries = 0; tries < event_slot_count; ++tries) {
        const uint64_t newest = events_->event_sequence.value.load(std::memory_order_acquire);
        if (newest < next_sequence_) return false;
        if (newest - next_sequence_ >= event_slot_count) {
            const uint64_t oldest = newest - event_slot_count + 1;
            missed_ += oldest - next_sequence_;
            next_sequence_ = oldest;
        }
        const uint64_t wanted = next_sequence_++;
        const EventSlot& slot = events_->slots[wanted % event_slot_count];
        if (slot.stamp.load(std::memory_order_acquire) == wanted) {
            EventWords words;
            // atomic_ref takes no const object before C++26; the load leaves the read-only mapping alone.
            auto* source = const_cast<uint64_t*>(reinterpret_cast<const uint64_t*>(&slot.event));
            for (size_t i = 0; i < event_words; ++i)
                words[i] = std::atomic_ref<uint64_t>(source[i]).load(std::memory_order_relaxed);
            std::atomic_thread_fence(std::memory_order_acquire);  // pairs with the writer's release fence
            if (slot.stamp.load(std::memory_order_relaxed) == wanted) {
                event = std::bit_cast<RelayEvent>(words);
                return true;
            }
        }
        ++missed_;
    }
    return false;
}

}  // namespace millrace
