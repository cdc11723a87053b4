// A hierarchical timing wheel (Varghese & Lauck 1987, scheme 7): four levels of 256 slots, one tick a millisecond. It
// holds (index, generation, deadline) and nothing else; it can't cancel and doesn't know what a timer is for. A
// deadline is lazy: when an entry fires, the owner looks at its record and either acts, schedules again for the later
// deadline that the record now has, or drops a stale entry. So an ACK never touches the wheel.
//
//   level 0:  this 256 ms, 1 ms a slot     level 1: 65 s, 256 ms a slot     level 2: 4.7 h     level 3: 49.7 days
//
// Entries lie in blocks of two cache lines, ten to a block, in a section. Each carries its 32-bit deadline (12.8 B an
// entry in all), so that moving down a level reads no record. One owner thread. The wheel isn't the truth: after a
// restart it starts empty and is filled again from the records.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace::store {

struct TimerEntry {
    uint32_t index;
    uint32_t generation;
    uint32_t deadline;  ///< low 32 bits of milliseconds
};
static_assert(sizeof(TimerEntry) == 12);

struct TimerBlock {
    static constexpr uint32_t entry_count = 10;
    uint32_t next;   ///< block number; 0: none
    uint32_t count;  ///< entries in use, the leading ones; only the first block of a slot has fewer than all
    TimerEntry entries[entry_count];
};
static_assert(sizeof(TimerBlock) == 128);

class TimerWheel {
  public:
    static constexpr uint64_t never = ~uint64_t{0};
    /// An entry scheduled further ahead than this fires then; its owner finds the deadline unreached and schedules
    /// again.
    static constexpr uint64_t range_ms = 0xffff'ffff;

    /// Bytes of a section with room for `entries` at once, however they spread over the slots.
    static uint64_t bytes_for(uint64_t entries) noexcept;

    /// An empty wheel at `now_ms` in `section` (aligned to a cache line, at least bytes_for(1)), whatever was there.
    TimerWheel(std::span<std::byte> section, uint64_t now_ms) noexcept;

    /// Adds an entry that fires at the first advance() to `deadline_ms` or later, at the next advance when that is
    /// past; when called from within `fire` and not after that advance's now_ms, in the millisecond after it. False
    /// when the section is full, counted in exhausted_total: size it with bytes_for so that this can't be.
    bool schedule(uint32_t index, uint32_t generation, uint64_t deadline_ms) noexcept;

    /// Turns the wheel to `now_ms` (which must not go back; an older value does nothing) and calls
    /// fire(index, generation) for what is due, millisecond by millisecond. Handles at most `budget` entries, moves
    /// between levels included, and goes on there at the next call. Returns true when everything due was handled, false
    /// when the budget ended first.
    /// `fire` may call schedule(). Before each batch of them, prefetch(index) is called for all its entries.
    template <class Prefetch, class Fire>
    bool advance(uint64_t now_ms, uint32_t budget, Prefetch&& prefetch, Fire&& fire) {
        if (now_ms < current_ms_) return true;
        earliest_ms_ = now_ms + 1;
        Step step = Step::moved;
        while (budget > 0 && step != Step::idle) {
            std::array<TimerEntry, fire_batch> due;
            uint32_t count = 0;
            for (; budget > 0 && step != Step::idle && count < fire_batch; --budget) {
                step = advance_step(now_ms, due[count]);
                if (step == Step::fires) prefetch(due[count++].index);
            }
            for (uint32_t i = 0; i < count; ++i) fire(due[i].index, due[i].generation);
        }
        earliest_ms_ = current_ms_;
        return step == Step::idle;
    }

    template <class Fire>
    bool advance(uint64_t now_ms, uint32_t budget, Fire&& fire) {
        return advance(
            now_ms, budget, [](uint32_t) {}, fire);
    }

    /// The earliest millisecond at which advance() could have something to do (exact within 256 ms, else a lower
    /// bound); `never` when the wheel is empty. Until then the worker may sleep.
    uint64_t next_possible_ms() const noexcept;

    uint64_t size() const noexcept { return size_; }
    /// How far the wheel has turned; behind the last now_ms only while a budget is holding it back.
    uint64_t current_ms() const noexcept { return current_ms_; }
    /// Bytes of all blocks ever used: what the wheel costs in memory.
    uint64_t bytes_in_use() const noexcept { return uint64_t{blocks_fresh_ - 1} * sizeof(TimerBlock); }
    uint64_t exhausted_total() const noexcept { return exhausted_total_; }

  private:
    static constexpr uint32_t fire_batch = 16;
    static constexpr uint32_t levels = 4;
    static constexpr uint32_t slots = 256;

    enum class Step : uint8_t { fires, moved, idle };
    Step advance_step(uint64_t now_ms, TimerEntry& due) noexcept;
    void place(const TimerEntry& entry) noexcept;
    TimerEntry take(uint32_t level, uint32_t slot) noexcept;

    TimerBlock* blocks_;
    uint64_t entries_max_;
    uint64_t current_ms_;   ///< the tick being handled; everything before it is done
    uint64_t earliest_ms_;  ///< where a deadline that is past goes
    uint64_t size_ = 0;
    uint64_t exhausted_total_ = 0;
    uint32_t block_free_ = 0;
    uint32_t blocks_fresh_ = 1;                                ///< blocks from here on were never used; block 0 is none
    std::array<std::array<uint32_t, slots>, levels> heads_{};  ///< first block of each slot
    std::array<std::array<uint64_t, slots / 64>, levels> occupied_{};  ///< which slots have one
};

}  // namespace millrace::store
