// What the tests of the store share: zeroed memory for a section, shared and sparse like that of a region and gone with
// the object, and seeded random numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <sys/mman.h>

#include <millrace/assert.h>

namespace millrace::store {

using Random32 = std::independent_bits_engine<std::mt19937_64, 32, uint32_t>;

class TestMemory {
  public:
    explicit TestMemory(size_t bytes) : bytes_(bytes) {
        base_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        MILLRACE_ASSERT(base_ != MAP_FAILED);
    }
    TestMemory(const TestMemory&) = delete;
    TestMemory& operator=(const TestMemory&) = delete;
    ~TestMemory() { munmap(base_, bytes_); }

    std::span<std::byte> span() const { return {static_cast<std::byte*>(base_), bytes_}; }

  private:
    void* base_;
    size_t bytes_;
};

}  // namespace millrace::store
