// Bytes whose end (or start) touches an unmapped page: a parser that reads one byte too far dies here, in every build,
// without a sanitizer. For tests only.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace millrace::test {

class GuardedBytes {
  public:
    /// Room for up to `capacity` bytes between two unmapped pages.
    explicit GuardedBytes(size_t capacity) {
        page_bytes_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        room_bytes_ = (capacity + page_bytes_ - 1) / page_bytes_ * page_bytes_;
        void* mapping = mmap(nullptr, room_bytes_ + 2 * page_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapping == MAP_FAILED) std::abort();
        room_ = static_cast<uint8_t*>(mapping) + page_bytes_;
        if (room_bytes_ > 0 && mprotect(room_, room_bytes_, PROT_READ | PROT_WRITE) != 0) std::abort();
    }
    ~GuardedBytes() { munmap(room_ - page_bytes_, room_bytes_ + 2 * page_bytes_); }
    GuardedBytes(const GuardedBytes&) = delete;
    GuardedBytes& operator=(const GuardedBytes&) = delete;

    /// The last `length` bytes of the room; the unmapped page follows at once.
    std::span<uint8_t> at_end(size_t length) {
        if (length > room_bytes_) std::abort();
        return {room_ + room_bytes_ - length, length};
    }

    /// A copy of `text` at the end of the room. Valid until the next call.
    std::span<uint8_t> copy_to_end(std::string_view text) {
        const std::span<uint8_t> bytes = at_end(text.size());
        if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
        return bytes;
    }

  private:
    size_t page_bytes_;
    size_t room_bytes_;
    uint8_t* room_;
};

}  // namespace millrace::test
