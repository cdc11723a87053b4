// A bounded FIFO of record indices in memory of its own that costs nothing until it is touched. One owner thread. Each
// index may stand in it once (the owner keeps a flag in the record), so it can never overflow.
#pragma once

#include <cstdint>
#include <sys/mman.h>
#include <utility>

#include <millrace/assert.h>

namespace millrace::store {

class IndexQueue {
  public:
    explicit IndexQueue(uint32_t capacity) : capacity_(capacity) {
        void* memory =
            mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        MILLRACE_ASSERT(memory != MAP_FAILED);
        slots_ = static_cast<uint32_t*>(memory);
    }
    IndexQueue(IndexQueue&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)),
          capacity_(other.capacity_),
          head_(other.head_),
          count_(other.count_) {}
    IndexQueue& operator=(IndexQueue&&) = delete;
    ~IndexQueue() {
        if (slots_ != nullptr) munmap(slots_, bytes());
    }

    bool empty() const { return count_ == 0; }
    uint32_t size() const { return count_; }

    void push(uint32_t index) {
        MILLRACE_ASSERT(count_ < capacity_);
        uint32_t at = head_ + count_;
        if (at >= capacity_) at -= capacity_;
        slots_[at] = index;
        ++count_;
    }

    uint32_t pop() {
        MILLRACE_ASSERT(count_ > 0);
        const uint32_t index = slots_[head_];
        if (++head_ == capacity_) head_ = 0;
        // An empty queue starts over, so that a short one never walks through all its memory.
        if (--count_ == 0) head_ = 0;
        return index;
    }

    /// The index `ahead` places behind the head, for prefetching; the queue must be longer than that.
    uint32_t peek(uint32_t ahead) const {
        uint32_t at = head_ + ahead;
        if (at >= capacity_) at -= capacity_;
        return slots_[at];
    }

  private:
    size_t bytes() const { return size_t{capacity_} * sizeof(uint32_t); }

    uint32_t* slots_;
    uint32_t capacity_;
    uint32_t head_ = 0;
    uint32_t count_ = 0;
};

}  // namespace millrace::store
