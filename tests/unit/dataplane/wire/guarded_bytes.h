// A copy of some bytes that ends where an unmapped page begins: reading or writing one byte too far ends the test.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <sys/mman.h>
#include <unistd.h>

namespace millrace::wire::test {

class GuardedBytes {
  public:
    /// Zeroed bytes.
    explicit GuardedBytes(size_t size) : size_(size) {
        const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        const size_t usable = (size + page - 1) / page * page;
        mapped_ = usable + page;
        start_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (start_ == MAP_FAILED || mprotect(static_cast<uint8_t*>(start_) + usable, page, PROT_NONE) != 0)
            std::abort();
        at_ = static_cast<uint8_t*>(start_) + usable - size;
    }
    explicit GuardedBytes(std::span<const uint8_t> bytes) : GuardedBytes(bytes.size()) {
        if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
    }
    ~GuardedBytes() { munmap(start_, mapped_); }
    GuardedBytes(const GuardedBytes&) = delete;
    GuardedBytes& operator=(const GuardedBytes&) = delete;

    std::span<uint8_t> span() const { return {at_, size_}; }

  private:
    void* start_;
    size_t mapped_;
    uint8_t* at_;
    size_t size_;
};

}  // namespace millrace::wire::test
