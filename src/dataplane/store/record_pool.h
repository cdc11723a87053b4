// Fixed-size records in a section, named by index and generation so that a handle to a record that was freed, or freed
// and reused, is noticed. The section opens with a small header that survives the process (how far the section was ever
// used); the free list is threaded through the free records and rebuilt from the generations at join().
//
//   section:  | PoolHeader | T 0 | T 1 | ...         T::generation  even: free (0: never used), odd: live
//
// One owner thread. No record ever moves, so references stay good until the record is freed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

#include <millrace/assert.h>

#include "dataplane/base/fault.h"
#include "dataplane/base/prefetch.h"

namespace millrace::store {

struct Handle {
    uint32_t index;
    uint32_t generation;  ///< of a live record, so odd; 0 names nothing
    bool operator==(const Handle&) const = default;
};
inline constexpr Handle no_handle{0, 0};
inline constexpr uint32_t no_index = 0xffff'ffff;

/// Stands at the start of the section; the only part besides the generations that must survive.
struct PoolHeader {
    uint32_t record_bytes;
    uint32_t high_water;  ///< records at this index and above were never used
    uint8_t reserved[56];
};
static_assert(sizeof(PoolHeader) == 64);

/// T begins with `uint32_t generation`, which only the pool writes, and has at least 8 bytes.
template <class T>
class RecordPool {
    static_assert(std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T>);
    static_assert(sizeof(T) >= 8 && offsetof(T, generation) == 0 && std::is_same_v<decltype(T::generation), uint32_t>);

  public:
    /// Bytes of a section for `records` records.
    static constexpr uint64_t bytes_for(uint64_t records) { return sizeof(PoolHeader) + records * sizeof(T); }

    /// Makes a zeroed section (aligned to a cache line, room for at least one record) an empty pool.
    static RecordPool format(std::span<std::byte> section) noexcept {
        RecordPool pool(section);
        *pool.header_ = PoolHeader{sizeof(T), 0, {}};
        return pool;
    }

    /// Takes over the pool that an earlier process left: every record with an odd generation is live. Touches all
    /// records below the high-water mark. Empty when the header doesn't fit this T or this section.
    static std::optional<RecordPool> join(std::span<std::byte> section) noexcept {
        RecordPool pool(section);
        if (pool.header_->record_bytes != sizeof(T) || pool.header_->high_water > pool.capacity_) return std::nullopt;
        for (uint32_t index = pool.header_->high_water; index-- > 0;) {
            if (pool.is_live(index))
                ++pool.live_;
            else
                pool.push_free(index);
        }
        return pool;
    }

    /// A record that is zero but for its generation; no_index when all are in use (counted in exhausted_total). After a
    /// crash it is found live, perhaps still all zero: zero must mean "not established" in T's own fields.
    uint32_t allocate() noexcept {
        uint32_t index = free_head_;
        if (index != no_index) {
            free_head_ = next_free(index);
        } else {
            if (header_->high_water == capacity_) {
                ++exhausted_total_;
                return no_index;
            }
            index = header_->high_water++;
        }
        const uint32_t generation = records_[index].generation;
        std::memset(static_cast<void*>(&records_[index]), 0, sizeof(T));
        // The record must be zero before it counts as live, in this order for whoever joins after a crash.
        records_[index].generation = generation;
        std::atomic_signal_fence(std::memory_order_release);
        records_[index].generation = generation + 1;
        ++live_;
        return index;
    }

    /// Asserts that the record is live. Every handle to it is stale from now on.
    void free(uint32_t index) noexcept {
        MILLRACE_ASSERT(is_live(index));
        ++records_[index].generation;
        std::atomic_signal_fence(std::memory_order_release);
        push_free(index);
        --live_;
    }

    /// The record of a handle; nullptr when it was freed since, or when the handle never named one.
    T* get(Handle handle) noexcept {
        if (handle.index >= capacity_) return nullptr;
        T& record = records_[handle.index];
        if (fault(Fault::store_stale_handle_accepted)) return &record;
        return record.generation == handle.generation && (handle.generation & 1) != 0 ? &record : nullptr;
    }

    /// The record at an index known to be live.
    T& at(uint32_t index) noexcept {
        MILLRACE_ASSERT(index < capacity_);
        return records_[index];
    }
    const T& at(uint32_t index) const noexcept {
        MILLRACE_ASSERT(index < capacity_);
        return records_[index];
    }

    /// The handle of a live record.
    Handle handle(uint32_t index) const noexcept { return {index, at(index).generation}; }

    /// Any index; false beyond the capacity.
    bool is_live(uint32_t index) const noexcept {
        return index < header_->high_water && (records_[index].generation & 1) != 0;
    }

    /// Brings the record near, all its cache lines. Any index.
    void prefetch(uint32_t index) const noexcept {
        const char* record = reinterpret_cast<const char*>(records_ + (index < capacity_ ? index : 0));
        for (size_t at = 0; at < sizeof(T); at += 64) millrace::prefetch(record + at);
        if constexpr (sizeof(T) % 64 != 0) millrace::prefetch(record + sizeof(T) - 1);
    }

    /// Calls visit(index, record) for each live record in ascending order. `visit` may free that record. A listing in
    /// pages uses is_live() and high_water() itself, so that one page is bounded in time.
    template <class Visit>
    void for_each_live(Visit&& visit) {
        for (uint32_t index = 0; index < header_->high_water; ++index)
            if (is_live(index)) visit(index, records_[index]);
    }

    uint32_t live_count() const noexcept { return live_; }
    uint32_t capacity() const noexcept { return capacity_; }
    /// One more than the highest index ever used; memory below it stays in use.
    uint32_t high_water() const noexcept { return header_->high_water; }
    uint64_t exhausted_total() const noexcept { return exhausted_total_; }

  private:
    explicit RecordPool(std::span<std::byte> section) noexcept {
        MILLRACE_ASSERT(section.size() >= bytes_for(1) && reinterpret_cast<uintptr_t>(section.data()) % 64 == 0);
        header_ = reinterpret_cast<PoolHeader*>(section.data());
        records_ = reinterpret_cast<T*>(section.data() + sizeof(PoolHeader));
        const uint64_t fit = (section.size() - sizeof(PoolHeader)) / sizeof(T);
        capacity_ = fit < no_index ? static_cast<uint32_t>(fit) : no_index;
    }

    // A free record's second word is its link; memcpy, since T has no such member.
    uint32_t next_free(uint32_t index) const noexcept {
        uint32_t next;
        std::memcpy(&next, reinterpret_cast<const std::byte*>(records_ + index) + 4, sizeof(next));
        return next;
    }
    void push_free(uint32_t index) noexcept {
        std::memcpy(reinterpret_cast<std::byte*>(records_ + index) + 4, &free_head_, sizeof(free_head_));
        free_head_ = index;
    }

    PoolHeader* header_;
    T* records_;
    uint32_t capacity_;
    uint32_t free_head_ = no_index;
    uint32_t live_ = 0;
    uint64_t exhausted_total_ = 0;
};

}  // namespace millrace::store
