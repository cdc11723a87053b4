// Creation, publication and joining of the mapped files that <millrace/shared_file.h> describes. The kernel's view (an
// inode, its size, its mode) is checked here; what the files say is checked by whoever reads them.
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <millrace/assert.h>
#include <millrace/limits.h>
#include <millrace/shared_file.h>

#include "abi/truncation_guard.h"

namespace millrace {

namespace {

std::string failure(const std::string& path, const char* what) {
    return path + ": " + what;
}

std::string system_failure(const std::string& path, const char* call) {
    return path + ": " + call + ": " + std::strerror(errno);
}

/// Maps `descriptor` and closes it. Null when the kernel refuses.
std::byte* map_and_close(int descriptor, uint64_t bytes, bool writable) {
    void* data = mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, descriptor, 0);
    const int mmap_errno = errno;
    close(descriptor);
    errno = mmap_errno;
    return data == MAP_FAILED ? nullptr : static_cast<std::byte*>(data);
}

}  // namespace

bool valid_instance_name(std::string_view instance) {
    if (instance.empty() || instance.size() > 32) return false;
    for (size_t i = 0; i < instance.size(); ++i) {
        const char c = instance[i];
        const bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alphanumeric && (i == 0 || (c != '-' && c != '_'))) return false;
    }
    return true;
}

SharedFile::SharedFile(SharedFile&& other) noexcept {
    *this = std::move(other);
}

SharedFile& SharedFile::operator=(SharedFile&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(guarded_, other.guarded_);
    std::swap(magic_, other.magic_);
    std::swap(inode_, other.inode_);
    std::swap(device_, other.device_);
    std::swap(path_, other.path_);
    std::swap(temporary_path_, other.temporary_path_);
    return *this;
}

SharedFile::~SharedFile() {
    if (guarded_) unguard_range(data_);
    if (data_ != nullptr) munmap(data_, size_);
    if (!temporary_path_.empty()) unlink(temporary_path_.c_str());
}

SharedFile SharedFile::create(const std::string& path, uint64_t magic, uint32_t header_bytes, uint64_t bytes,
                              unsigned mode, std::string& error) {
    MILLRACE_ASSERT(header_bytes >= sizeof(SharedFileHeader) && bytes >= header_bytes);
    SharedFile file;
    // A fixed name: what an owner that died half-way left behind is taken away here, and nothing piles up.
    const std::string temporary_path = path + ".new";
    unlink(temporary_path.c_str());
    const int descriptor = open(temporary_path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0) {
        error = system_failure(temporary_path, "open");
        return file;
    }
    file.temporary_path_ = temporary_path;
    struct stat status;
    if (fchmod(descriptor, mode) != 0 || ftruncate(descriptor, static_cast<off_t>(bytes)) != 0 ||
        fstat(descriptor, &status) != 0) {
        error = system_failure(temporary_path, "set mode and size");
        close(descriptor);
        return file;
    }
    std::byte* const data = map_and_close(descriptor, bytes, true);
    if (data == nullptr) {
        error = system_failure(temporary_path, "mmap");
        return file;
    }
    file.data_ = data;
    file.size_ = bytes;
    file.magic_ = magic;
    file.inode_ = status.st_ino;
    file.device_ = status.st_dev;
    file.path_ = path;
    SharedFileHeader& header = file.header();
    header.abi = abi_version;
    header.header_bytes = header_bytes;
    header.total_bytes = bytes;
    if (getrandom(&header.boot_id, sizeof header.boot_id, 0) != sizeof header.boot_id) {
        error = system_failure(path, "getrandom");
        return SharedFile();
    }
    return file;
}

bool SharedFile::publish() {
    MILLRACE_ASSERT(data_ != nullptr && !temporary_path_.empty());
    header().magic.store(magic_, std::memory_order_release);  // pairs with the acquire load in join()
    if (rename(temporary_path_.c_str(), path_.c_str()) != 0) return false;
    temporary_path_.clear();
    return true;
}

SharedFile SharedFile::join(const std::string& path, uint64_t magic, uint32_t header_bytes, uint64_t bytes_min,
                            bool writable, std::string& error) {
    SharedFile file;
    const int descriptor = open(path.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0) {
        error = system_failure(path, "open");
        return file;
    }
    struct stat status;
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        error = failure(path, "is not a regular file");
        close(descriptor);
        return file;
    }
    const uint64_t size = static_cast<uint64_t>(status.st_size);
    if (size < bytes_min || size < header_bytes) {
        error = failure(path, "is too short");
        close(descriptor);
        return file;
    }
    std::byte* const data = map_and_close(descriptor, size, writable);
    if (data == nullptr) {
        error = system_failure(path, "mmap");
        return file;
    }
    file.data_ = data;
    file.size_ = size;
    file.magic_ = magic;
    file.inode_ = status.st_ino;
    file.device_ = status.st_dev;
    file.path_ = path;
    file.guarded_ = !writable && guard_range(data, size);
    if (!writable && !file.guarded_) {
        error = failure(path, "can't be mapped: too many shared files are");
        return SharedFile();
    }
    const SharedFileHeader& header = file.header();
    if (header.magic.load(std::memory_order_acquire) != magic)  // pairs with the release store in publish()
        error = failure(path, "has another magic: not the file it should be, or never finished");
    else if (header.abi != abi_version || header.header_bytes != header_bytes)
        error = failure(path, "was written by another version of Millrace");
    else if (header.total_bytes != size)
        error = failure(path, "has another size than its header says");
    else
        return file;
    return SharedFile();
}

bool SharedFile::is_current() const {
    struct stat status;
    return data_ != nullptr && stat(path_.c_str(), &status) == 0 && status.st_ino == inode_ && status.st_dev == device_;
}

}  // namespace millrace
