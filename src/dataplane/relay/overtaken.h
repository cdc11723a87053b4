// Where the farther of a relay's two wheel entries stands, in one byte of its record. When a nearer deadline comes up,
// the entry that was pending stays in the wheel, which can't cancel. It is found again once the nearer one has fired;
// else each delayed ACK of a peer that makes us wait for something else too would leave one more entry behind.
//
//   present              nearer        farther: at the beginning of a slot of 256 ms
//   ───┼───────┬───────────x───┬───────┬───────x───────┬── … ──┬──   up to 64 s ahead
//
// A deadline may be early, so those far ahead are set to the beginning of their slot, and its number says it all.
#pragma once

#include <algorithm>
#include <cstdint>

namespace millrace::relay {

inline constexpr uint64_t timer_slot_ms = 256;
/// Nearer deadlines are exact: what is due within them is due often.
inline constexpr uint64_t exact_timer_ms = 2 * timer_slot_ms;

/// The slot of an entry at `entry_ms`; 0: it can't be remembered.
constexpr uint8_t overtaken_slot(uint64_t entry_ms) {
    return entry_ms % timer_slot_ms == 0 ? static_cast<uint8_t>(entry_ms / timer_slot_ms) : 0;
}

/// Where the entry of a remembered slot stands; `present_ms` is the wheel's: what is before it has fired.
constexpr uint64_t overtaken_ms(uint8_t slot, uint64_t present_ms) {
    const uint64_t first = (present_ms + timer_slot_ms - 1) / timer_slot_ms;
    return (first + static_cast<uint8_t>(slot - first)) * timer_slot_ms;
}

/// When to set an entry for a deadline at `deadline_ms`: then, or before.
constexpr uint64_t timer_entry_ms(uint64_t deadline_ms, uint64_t present_ms) {
    if (deadline_ms < present_ms + exact_timer_ms) return deadline_ms;
    uint64_t slot = std::min(deadline_ms / timer_slot_ms, present_ms / timer_slot_ms + 255);
    if (slot % 256 == 0) --slot;  // 0 stands for none
    return slot * timer_slot_ms;
}

}  // namespace millrace::relay
