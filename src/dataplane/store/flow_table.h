// The flow table: from a keyed 32-bit hash of a flow to a 32-bit value (a record's index and whatever else its owner
// packs in). Linear hashing (W. Litwin, VLDB 1980): one bucket is split per insert while the load is high, so the table
// grows with use and no insert ever pays for a resize. It never shrinks: after a peak the buckets stay, and lookups
// cost what they cost at the peak's bucket count.
//
//   section:  | bucket 0 | bucket 1 | ... primaries grow up →        ← overflow buckets grow down | ovf 1 | ovf 0 |
//
// A bucket is one cache line of eight entries. An entry's hash keeps 24 of its bits: there are always at least 256
// buckets, so the low 8 are the bucket's own number. With eight slots and a load of 95 % an entry costs less than 12 B
// everywhere in the growth cycle (measured; 11.8 at worst); about 16 % of the entries then lie in an overflow bucket.
//
// The table isn't the truth: after a restart it is cleared and filled again from the records. One owner thread. The
// hash must be keyed (SipHash with the region's key), or a peer could aim at one bucket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <emmintrin.h>
#include <optional>
#include <span>

#include "dataplane/base/prefetch.h"

namespace millrace::store {

struct FlowBucket {
    static constexpr uint32_t slots = 8;
    uint16_t hash_high[slots];   ///< bits 31…16
    uint8_t hash_middle[slots];  ///< bits 15…8
    uint32_t overflow;           ///< bucket number of the next in the chain; 0: none (bucket 0 is a primary)
    uint32_t count;              ///< slots in use, the leading ones; only the last of a chain has fewer than all
    uint32_t value[slots];
};
static_assert(sizeof(FlowBucket) == 64 && offsetof(FlowBucket, value) == 32);

class FlowTable {
  public:
    /// Bytes of a section that holds `entries` at any point of the growth cycle.
    static uint64_t bytes_for(uint64_t entries) noexcept;

    /// An empty table in `section` (aligned to a cache line, at least bytes_for(1)), whatever was there before.
    explicit FlowTable(std::span<std::byte> section) noexcept;

    /// Forgets every entry. Touches 16 KiB.
    void clear() noexcept;

    /// Brings the flow's bucket near; call it for a whole burst before the first find.
    void prefetch(uint32_t hash) const noexcept { millrace::prefetch(&buckets_[home(hash)]); }

    /// The first value stored under exactly this hash for which match(value) is true.
    template <class Match>
    std::optional<uint32_t> find(uint32_t hash, Match&& match) const {
        uint32_t at = home(hash);
        do {
            const FlowBucket& bucket = buckets_[at];
            for (uint32_t candidates = same_high(bucket, hash); candidates != 0; candidates &= candidates - 1) {
                const uint32_t slot = static_cast<uint32_t>(__builtin_ctz(candidates));
                if (bucket.hash_middle[slot] == middle(hash) && match(bucket.value[slot])) return bucket.value[slot];
            }
            at = bucket.overflow;
        } while (at != 0);
        return std::nullopt;
    }

    /// Adds an entry; the same pair may be there already (then it is there twice). False when the section is full,
    /// counted in exhausted_total.
    bool insert(uint32_t hash, uint32_t value) noexcept;

    /// Removes one entry of exactly this pair; false when there is none.
    bool erase(uint32_t hash, uint32_t value) noexcept;

    uint64_t size() const noexcept { return size_; }
    /// Bytes of all buckets ever used, primary and overflow: what the table costs in memory.
    uint64_t bytes_in_use() const noexcept {
        return (uint64_t{primaries_} + capacity_ - overflow_low_) * sizeof(FlowBucket);
    }
    uint64_t exhausted_total() const noexcept { return exhausted_total_; }

  private:
    static constexpr uint32_t primaries_min = 256;

    static uint8_t middle(uint32_t hash) noexcept { return static_cast<uint8_t>(hash >> 8); }

    /// Litwin's address: the low bits, one more of them for the buckets that this round has split already.
    uint32_t home(uint32_t hash) const noexcept {
        const uint32_t bucket = hash & round_mask_;
        return bucket < split_ ? hash & (2 * round_mask_ + 1) : bucket;
    }

    /// Bit i is set when slot i is in use and has the hash's upper half.
    static uint32_t same_high(const FlowBucket& bucket, uint32_t hash) noexcept {
        const __m128i stored = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bucket.hash_high));
        const __m128i equal = _mm_cmpeq_epi16(stored, _mm_set1_epi16(static_cast<int16_t>(hash >> 16)));
        const int bits = _mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
        return static_cast<uint32_t>(bits) & ((1u << bucket.count) - 1);
    }

    static uint32_t hash_of(const FlowBucket& bucket, uint32_t slot, uint32_t home) noexcept;
    bool append(uint32_t home, uint32_t hash, uint32_t value) noexcept;
    bool remove(uint32_t home, uint32_t at, uint32_t slot) noexcept;
    void split() noexcept;
    uint32_t take_overflow() noexcept;

    FlowBucket* buckets_;
    uint32_t capacity_;       ///< buckets in the section
    uint32_t primaries_;      ///< round_mask_ + 1 + split_
    uint32_t round_mask_;     ///< buckets at the start of this round, less one
    uint32_t split_;          ///< next bucket to split
    uint32_t overflow_low_;   ///< overflow buckets ever used lie at this number and above
    uint32_t overflow_free_;  ///< head of the free ones, linked by `overflow`; 0: none
    uint64_t size_;
    uint64_t exhausted_total_ = 0;
};

}  // namespace millrace::store
