#include "dataplane/store/timer_wheel.h"

#include <algorithm>
#include <bit>

#include <millrace/assert.h>

#include "dataplane/base/fault.h"
#include "dataplane/base/prefetch.h"

namespace millrace::store {
namespace {

constexpr uint32_t slot_bits = 8;

constexpr uint64_t low_bits(uint64_t ms, uint32_t level) {
    return ms & ((uint64_t{1} << (slot_bits * level)) - 1);
}

constexpr uint32_t slot_of(uint64_t ms, uint32_t level) {
    return static_cast<uint8_t>(ms >> (slot_bits * level));
}

// Slots from `from` upwards, around the end, to the first occupied one; 256 when there is none.
template <size_t words>
uint32_t distance_to_occupied(const std::array<uint64_t, words>& occupied, uint32_t from) {
    for (uint32_t i = 0; i <= words; ++i) {
        const uint32_t word = (from / 64 + i) % words;
        uint64_t bits = occupied[word];
        if (i == 0) bits &= ~uint64_t{0} << (from % 64);
        if (bits == 0) continue;
        return (word * 64 + static_cast<uint32_t>(std::countr_zero(bits)) - from) % (words * 64);
    }
    return words * 64;
}

}  // namespace

uint64_t TimerWheel::bytes_for(uint64_t entries) noexcept {
    // Each slot may have one block that isn't full; block 0 stands for none.
    return (1 + levels * slots + (entries + TimerBlock::entry_count - 1) / TimerBlock::entry_count) *
           sizeof(TimerBlock);
}

TimerWheel::TimerWheel(std::span<std::byte> section, uint64_t now_ms) noexcept
    : blocks_(reinterpret_cast<TimerBlock*>(section.data())), current_ms_(now_ms), earliest_ms_(now_ms) {
    MILLRACE_ASSERT(section.size() >= bytes_for(1) && reinterpret_cast<uintptr_t>(section.data()) % 64 == 0);
    const uint64_t blocks = std::min<uint64_t>(section.size() / sizeof(TimerBlock), 0xffff'ffff);
    entries_max_ = (blocks - 1 - levels * slots) * TimerBlock::entry_count;
}

bool TimerWheel::schedule(uint32_t index, uint32_t generation, uint64_t deadline_ms) noexcept {
    if (size_ == entries_max_) {
        ++exhausted_total_;
        return false;
    }
    const uint64_t earliest = fault(Fault::store_timer_forgets_past_deadline) ? 0 : earliest_ms_;
    const uint64_t deadline = std::min(std::max(deadline_ms, earliest), current_ms_ + range_ms);
    place({index, generation, static_cast<uint32_t>(deadline)});
    ++size_;
    return true;
}

// The level is that of the highest byte in which the deadline differs from the present, so an entry never lands in a
// slot above level 0 that the present points to. Near the end of the range the 32 bits wrap and it may land too low:
// its slot then comes up early, and advance_step places it again.
void TimerWheel::place(const TimerEntry& entry) noexcept {
    const uint32_t differing = entry.deadline ^ static_cast<uint32_t>(current_ms_);
    const uint32_t level = differing == 0 ? 0 : (31 - static_cast<uint32_t>(std::countl_zero(differing))) / slot_bits;
    const uint32_t slot = slot_of(entry.deadline, level);
    uint32_t& head = heads_[level][slot];
    if (head == 0 || blocks_[head].count == TimerBlock::entry_count) {
        uint32_t block = block_free_;
        if (block != 0)
            block_free_ = blocks_[block].next;
        else
            block = blocks_fresh_++;  // in bounds: entries_max_ leaves a block for every slot
        blocks_[block].next = head;
        blocks_[block].count = 0;
        head = block;
        occupied_[level][slot / 64] |= uint64_t{1} << (slot % 64);
    }
    TimerBlock& block = blocks_[head];
    block.entries[block.count++] = entry;
}

// Removes one entry of a slot that has one.
TimerEntry TimerWheel::take(uint32_t level, uint32_t slot) noexcept {
    uint32_t& head = heads_[level][slot];
    TimerBlock& block = blocks_[head];
    const TimerEntry entry = block.entries[--block.count];
    if (block.count == 0) {
        const uint32_t emptied = head;
        head = block.next;
        block.next = block_free_;
        block_free_ = emptied;
        if (head == 0)
            occupied_[level][slot / 64] &= ~(uint64_t{1} << (slot % 64));
        else
            prefetch(&blocks_[blocks_[head].next]);
    }
    return entry;
}

// Handles one entry of the slots that the present points to, turning the wheel to the next such moment when they are
// empty. Nothing is ever placed into them meanwhile, so this comes to an end, and it can stop after any entry.
TimerWheel::Step TimerWheel::advance_step(uint64_t now_ms, TimerEntry& due) noexcept {
    for (;;) {
        for (uint32_t level = 0; level < levels && low_bits(current_ms_, level) == 0; ++level) {
            const uint32_t slot = slot_of(current_ms_, level);
            if (heads_[level][slot] == 0) continue;
            const TimerEntry entry = take(level, slot);
            if (entry.deadline != static_cast<uint32_t>(current_ms_)) {
                if (!fault(Fault::store_timer_lost_at_cascade) || level != 2) place(entry);
                return Step::moved;
            }
            --size_;
            due = entry;
            return Step::fires;
        }
        if (current_ms_ == now_ms) return Step::idle;
        current_ms_ = std::clamp(next_possible_ms(), current_ms_ + 1, now_ms);
    }
}

uint64_t TimerWheel::next_possible_ms() const noexcept {
    uint64_t next = never;
    for (uint32_t level = 0; level < levels; ++level) {
        // Above level 0 the slot of the present is occupied only at its very start: distance 0 is then the present.
        const uint32_t distance = distance_to_occupied(occupied_[level], slot_of(current_ms_, level));
        if (distance == slots) continue;
        next = std::min(next, ((current_ms_ >> (slot_bits * level)) + distance) << (slot_bits * level));
    }
    return next;
}

}  // namespace millrace::store
