// Files of an instance's run directory that are mapped by more than one process. Each has one owner that creates it
// (beside, then renamed into place, so a joiner never sees a half-made one) and others that join it. Every one starts
// with the same header; the magic is stored last.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace millrace {

struct SharedFileHeader {
    std::atomic<uint64_t> magic;  ///< stored last at creation, with release; pairs with the acquire load of join()
    uint32_t abi;
    uint32_t header_bytes;  ///< size of the file's own header struct, this one included
    uint64_t total_bytes;
    uint64_t boot_id;  ///< random at each creation: a joiner that finds another one maps the file anew
};
static_assert(sizeof(SharedFileHeader) == 32);

/// True when `instance` is 1…32 characters of a-z, A-Z, 0-9, '-', '_', beginning with a letter or digit.
bool valid_instance_name(std::string_view instance);

/// From now on a file that was joined read-only, and that its owner then cuts short, reads as zeros beyond its end
/// instead of ending this process by SIGBUS. Once, at the start of a program.
void survive_truncation();

/// A mapped shared file; unmaps when it goes. Movable, not copyable.
class SharedFile {
  public:
    SharedFile() = default;
    SharedFile(SharedFile&& other) noexcept;
    SharedFile& operator=(SharedFile&& other) noexcept;
    ~SharedFile();

    /// Makes `path` anew with `bytes` zeroed bytes and `mode`, replacing what stood there; the old file lives on for
    /// those who have it mapped. The header is filled but for the magic: call publish() when the rest is laid out.
    /// On failure returns an empty SharedFile and says why in `error`.
    static SharedFile create(const std::string& path, uint64_t magic, uint32_t header_bytes, uint64_t bytes,
                             unsigned mode, std::string& error);

    /// Stores the magic and renames the file into place. False (with errno) when that fails.
    bool publish();

    /// Maps an existing file after checking magic, ABI version and size (at least `bytes_min`).
    static SharedFile join(const std::string& path, uint64_t magic, uint32_t header_bytes, uint64_t bytes_min,
                           bool writable, std::string& error);

    /// True while the path still names this very file (its owner has not replaced it).
    bool is_current() const;

    explicit operator bool() const { return data_ != nullptr; }
    std::byte* data() const { return data_; }
    uint64_t size() const { return size_; }
    SharedFileHeader& header() const { return *reinterpret_cast<SharedFileHeader*>(data_); }
    const std::string& path() const { return path_; }

  private:
    std::byte* data_ = nullptr;
    uint64_t size_ = 0;
    bool guarded_ = false;  // against truncation
    uint64_t magic_ = 0;
    uint64_t inode_ = 0;
    uint64_t device_ = 0;
    std::string path_;
    std::string temporary_path_;
};

}  // namespace millrace
