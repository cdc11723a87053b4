#include "dataplane/store/flow_table.h"

#include <millrace/assert.h>

#include "dataplane/base/fault.h"

namespace millrace::store {
namespace {

// Entries per primary bucket above which a bucket is split, as a fraction: 7.6 of 8 slots. Higher saves memory and
// sends more entries to overflow buckets; at 7.2 the worst point of the growth cycle no longer fits 12 B an entry.
constexpr uint64_t split_load_numerator = 38;
constexpr uint64_t split_load_denominator = 5;

}  // namespace

uint64_t FlowTable::bytes_for(uint64_t entries) noexcept {
    // 11.8 B an entry at the worst point, and the buckets that are there from the start with their overflow.
    return (entries * 12 / sizeof(FlowBucket) + primaries_min + primaries_min / 2) * sizeof(FlowBucket);
}

FlowTable::FlowTable(std::span<std::byte> section) noexcept : buckets_(reinterpret_cast<FlowBucket*>(section.data())) {
    MILLRACE_ASSERT(section.size() >= bytes_for(1) && reinterpret_cast<uintptr_t>(section.data()) % 64 == 0);
    const uint64_t fit = section.size() / sizeof(FlowBucket);
    capacity_ = fit < 0xffff'ffff ? static_cast<uint32_t>(fit) : 0xffff'ffff;
    clear();
}

void FlowTable::clear() noexcept {
    primaries_ = primaries_min;
    round_mask_ = primaries_min - 1;
    split_ = 0;
    overflow_low_ = capacity_;
    overflow_free_ = 0;
    size_ = 0;
    for (uint32_t i = 0; i < primaries_; ++i) buckets_[i] = {};
}

uint32_t FlowTable::hash_of(const FlowBucket& bucket, uint32_t slot, uint32_t home) noexcept {
    return uint32_t{bucket.hash_high[slot]} << 16 | uint32_t{bucket.hash_middle[slot]} << 8 | (home & 0xff);
}

uint32_t FlowTable::take_overflow() noexcept {
    uint32_t taken = overflow_free_;
    if (taken != 0)
        overflow_free_ = buckets_[taken].overflow;
    else if (overflow_low_ > primaries_)
        taken = --overflow_low_;
    else
        return 0;
    buckets_[taken] = {};
    return taken;
}

// Puts an entry at the end of a chain; false when that takes a bucket and there is none.
bool FlowTable::append(uint32_t home, uint32_t hash, uint32_t value) noexcept {
    FlowBucket* last = &buckets_[home];
    while (last->overflow != 0) last = &buckets_[last->overflow];
    if (last->count == FlowBucket::slots) {
        const uint32_t taken = take_overflow();
        if (taken == 0) return false;
        last->overflow = taken;
        last = &buckets_[taken];
    }
    const uint32_t slot = last->count++;
    last->hash_high[slot] = static_cast<uint16_t>(hash >> 16);
    last->hash_middle[slot] = middle(hash);
    last->value[slot] = value;
    return true;
}

// Fills the hole at (at, slot) with the last entry of the chain, so that chains have no holes and end as early as they
// can. False when bucket `at` became empty by it and was given back, which only the last of a chain can.
bool FlowTable::remove(uint32_t home, uint32_t at, uint32_t slot) noexcept {
    uint32_t before = 0;
    uint32_t last = home;
    while (buckets_[last].overflow != 0) {
        before = last;
        last = buckets_[last].overflow;
    }
    FlowBucket& from = buckets_[last];
    FlowBucket& to = buckets_[at];
    const uint32_t moved = --from.count;
    if (!fault(Fault::store_erase_leaves_hole)) {
        to.hash_high[slot] = from.hash_high[moved];
        to.hash_middle[slot] = from.hash_middle[moved];
        to.value[slot] = from.value[moved];
    }
    if (moved > 0 || last == home) return true;
    buckets_[before].overflow = 0;
    from.overflow = overflow_free_;
    overflow_free_ = last;
    return last != at;
}

bool FlowTable::insert(uint32_t hash, uint32_t value) noexcept {
    if ((size_ + 1) * split_load_denominator > primaries_ * split_load_numerator) split();
    if (!append(home(hash), hash, value)) {
        ++exhausted_total_;
        return false;
    }
    ++size_;
    return true;
}

bool FlowTable::erase(uint32_t hash, uint32_t value) noexcept {
    const uint32_t first = home(hash);
    uint32_t at = first;
    do {
        const FlowBucket& bucket = buckets_[at];
        for (uint32_t candidates = same_high(bucket, hash); candidates != 0; candidates &= candidates - 1) {
            const uint32_t slot = static_cast<uint32_t>(__builtin_ctz(candidates));
            if (bucket.hash_middle[slot] != middle(hash) || bucket.value[slot] != value) continue;
            remove(first, at, slot);
            --size_;
            return true;
        }
        at = bucket.overflow;
    } while (at != 0);
    return false;
}

// Divides the entries of the next bucket between it and a new one at the end. Each ninth entry that moves needs a
// bucket of overflow, and the eight before it have left one behind, so this can't fail. When the section has no room
// for the new bucket, chains grow longer instead.
void FlowTable::split() noexcept {
    if (primaries_ >= overflow_low_) return;

    const uint32_t old_home = split_;
    const uint32_t new_home = primaries_++;
    const uint32_t round_bit = round_mask_ + 1;
    if (++split_ == round_bit) {
        round_mask_ = 2 * round_mask_ + 1;
        split_ = 0;
    }
    buckets_[new_home] = {};
    for (uint32_t at = old_home, slot = 0;;) {
        const FlowBucket& bucket = buckets_[at];
        if (slot == bucket.count) {
            if (bucket.overflow == 0) return;
            at = bucket.overflow;
            slot = 0;
            continue;
        }
        const uint32_t hash = hash_of(bucket, slot, old_home);
        if ((hash & round_bit) == 0) {
            ++slot;
            continue;
        }
        const bool lost = fault(Fault::store_split_loses_entry) && slot == FlowBucket::slots - 1;
        const bool stored = lost || append(new_home, hash, bucket.value[slot]);
        MILLRACE_ASSERT(stored);
        if (!remove(old_home, at, slot)) return;
    }
}

}  // namespace millrace::store
