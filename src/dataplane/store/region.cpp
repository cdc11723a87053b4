#include "dataplane/store/region.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "dataplane/base/fault.h"

namespace millrace::store {
namespace {

// Far above any machine, far below where sums of sections could wrap.
constexpr uint64_t section_bytes_max = uint64_t{1} << 44;

constexpr uint64_t round_up(uint64_t bytes) {
    return (bytes + section_align - 1) & ~(section_align - 1);
}

std::string system_error(const std::string& what) {
    return what + ": " + std::strerror(errno);
}

// The machine's boot, as text; empty where /proc is missing, which then matches only itself.
void read_boot_id(char (&out)[40]) {
    std::memset(out, 0, sizeof(out));
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (read(fd, out, 36) != 36) std::memset(out, 0, sizeof(out));
    close(fd);
}

// Fills the section table and the total size; false when the plan is none that a region can have.
bool lay_out(const RegionPlan& plan, RegionHeader& header, std::string& error) {
    if (plan.sections.empty() || plan.sections.size() > section_count_max) {
        error = "a region has 1 to " + std::to_string(section_count_max) + " sections, not " +
                std::to_string(plan.sections.size());
        return false;
    }
    uint64_t offset = section_align;
    for (const SectionPlan& section : plan.sections) {
        const std::string name = "section " + std::to_string(static_cast<uint32_t>(section.kind));
        for (uint32_t i = 0; i < header.section_count; ++i) {
            if (header.sections[i].kind != section.kind) continue;
            error = name + " is planned twice";
            return false;
        }
        if (section.bytes == 0 || section.bytes > section_bytes_max || section.record_bytes == 0 ||
            section.record_bytes > section.bytes) {
            error = name + " can't have " + std::to_string(section.bytes) + " bytes with records of " +
                    std::to_string(section.record_bytes);
            return false;
        }
        const uint64_t bytes = round_up(section.bytes);
        header.sections[header.section_count++] = {section.kind, section.dump ? 1u : 0u, offset,
                                                   bytes,        section.record_bytes,   0};
        offset += bytes;
    }
    header.total_bytes = offset;
    return true;
}

// Null when the table of a header that join() found is sound, else what is wrong with it.
const char* section_fault(const RegionHeader& header) {
    if (header.section_count == 0 || header.section_count > section_count_max) return "section count";
    if (fault(Fault::store_join_ignores_bounds)) return nullptr;
    uint64_t end = section_align;
    for (uint32_t i = 0; i < header.section_count; ++i) {
        const SectionEntry& entry = header.sections[i];
        // Sections lie one behind the other, so that one comparison excludes overlaps, holes and wrapped sums.
        if (entry.offset != end) return "section offset";
        if (entry.bytes == 0 || entry.bytes % section_align != 0 || entry.bytes > header.total_bytes - end)
            return "section size";
        if (entry.record_bytes == 0 || entry.record_bytes > entry.bytes) return "record size";
        for (uint32_t j = 0; j < i; ++j)
            if (header.sections[j].kind == entry.kind) return "section kind";
        end += entry.bytes;
    }
    return end == header.total_bytes ? nullptr : "sum of sections";
}

}  // namespace

std::optional<Region> Region::create(const std::string& path, const RegionPlan& plan, std::string& error) {
    RegionHeader header{};
    if (!lay_out(plan, header, error)) return std::nullopt;
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        error = system_error(path);
        return std::nullopt;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fchmod(fd, 0600) == 0 &&
        ftruncate(fd, static_cast<off_t>(header.total_bytes)) == 0) {
        std::optional<Region> region = map(fd, header.total_bytes, error);
        if (region && region->format(plan, error)) return region;
        if (!region) close(fd);
    } else {
        error = system_error(path);
        close(fd);
    }
    unlink(path.c_str());
    return std::nullopt;
}

std::optional<Region> Region::create_anonymous(const RegionPlan& plan, std::string& error) {
    RegionHeader header{};
    if (!lay_out(plan, header, error)) return std::nullopt;
    std::optional<Region> region = map(-1, header.total_bytes, error);
    if (region && !region->format(plan, error)) return std::nullopt;
    return region;
}

std::optional<Region> Region::join(const std::string& path, std::string& error) {
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        error = system_error(path);
        return std::nullopt;
    }
    struct stat status;
    const char* wrong = nullptr;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        wrong = "not a regular file";
    else if (status.st_uid != geteuid())
        wrong = "belongs to another user";
    else if ((status.st_mode & 077) != 0)
        wrong = "others may access it (mode must be 0600)";
    else if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        wrong = "in use by another process";
    else if (static_cast<uint64_t>(status.st_size) < 2 * section_align)
        wrong = "too small for a region, perhaps half made";
    if (wrong != nullptr) {
        error = path + ": " + wrong;
        close(fd);
        return std::nullopt;
    }
    std::optional<Region> region = map(fd, static_cast<uint64_t>(status.st_size), error);
    if (!region) {
        close(fd);
        error = path + ": " + error;
        return std::nullopt;
    }
    if (!region->check(error) || !region->advise(error)) {
        error = path + ": " + error;
        return std::nullopt;
    }
    return region;
}

// Maps `bytes` of `fd` (-1: anonymous memory) at an address aligned like the sections, without which the kernel could
// give no huge page. The region owns fd from here on, unless this fails.
std::optional<Region> Region::map(int fd, uint64_t bytes, std::string& error) {
    void* reserved =
        mmap(nullptr, bytes + section_align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) {
        error = system_error("mmap");
        return std::nullopt;
    }
    std::byte* const start = static_cast<std::byte*>(reserved);
    std::byte* const base = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<uintptr_t>(start)));
    const int source = fd < 0 ? MAP_ANONYMOUS : 0;
    void* mapped = mmap(base, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE | source, fd, 0);
    if (mapped == MAP_FAILED) {
        error = system_error("mmap");
        munmap(start, bytes + section_align);
        return std::nullopt;
    }
    const size_t before = static_cast<size_t>(base - start);
    if (before > 0) munmap(start, before);
    munmap(base + bytes, section_align - before);

    Region region;
    region.base_ = base;
    region.bytes_ = bytes;
    region.fd_ = fd;
    return region;
}

bool Region::format(const RegionPlan& plan, std::string& error) {
    RegionHeader& header = this->header();
    if (!lay_out(plan, header, error)) return false;
    header.abi_version = region_abi_version;
    header.shard = plan.shard;
    header.huge_pages = plan.huge_pages ? 1 : 0;
    read_boot_id(header.boot_id);
    if (getrandom(header.id, sizeof(header.id), 0) != ssize_t{sizeof(header.id)} ||
        getrandom(&header.secrets, sizeof(header.secrets), 0) != ssize_t{sizeof(header.secrets)}) {
        error = system_error("getrandom");
        return false;
    }
    if (!advise(error)) return false;
    std::atomic_ref(header.magic).store(region_magic, std::memory_order_release);
    return true;
}

bool Region::check(std::string& error) const {
    RegionHeader& header = this->header();
    char boot_id[40];
    read_boot_id(boot_id);
    if (std::atomic_ref(header.magic).load(std::memory_order_acquire) != region_magic)
        error = "not a region (magic), perhaps half made";
    else if (header.abi_version != region_abi_version)
        error = "ABI version " + std::to_string(header.abi_version) + ", this program has " +
                std::to_string(region_abi_version);
    else if (header.total_bytes != bytes_)
        error = "made with " + std::to_string(header.total_bytes) + " bytes, the file has " + std::to_string(bytes_);
    else if (std::memcmp(header.boot_id, boot_id, sizeof(boot_id)) != 0)
        error = "made before the machine last started";
    else if (const char* what = section_fault(header))
        error = std::string("damaged header: ") + what;
    else
        return true;
    return false;
}

bool Region::advise(std::string& error) const {
    const RegionHeader& header = this->header();
    bool kept_out_of_dumps = madvise(base_, section_align, MADV_DONTDUMP) == 0;
    for (uint32_t i = 0; i < header.section_count; ++i) {
        const SectionEntry& entry = header.sections[i];
        // Refused where the kernel has no huge pages for this file: then it runs on small ones.
        if (header.huge_pages != 0) (void)madvise(base_ + entry.offset, entry.bytes, MADV_HUGEPAGE);
        if (entry.dump == 0 && madvise(base_ + entry.offset, entry.bytes, MADV_DONTDUMP) != 0)
            kept_out_of_dumps = false;
    }
    if (!kept_out_of_dumps) error = system_error("madvise(MADV_DONTDUMP)");
    return kept_out_of_dumps;
}

Region::Region(Region&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), bytes_(other.bytes_), fd_(std::exchange(other.fd_, -1)) {}

Region& Region::operator=(Region&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(bytes_, other.bytes_);
    std::swap(fd_, other.fd_);
    return *this;
}

Region::~Region() {
    if (base_ != nullptr) munmap(base_, bytes_);
    if (fd_ >= 0) close(fd_);
}

uint32_t Region::shard() const noexcept {
    return header().shard;
}

std::span<const uint8_t, 16> Region::id() const noexcept {
    return header().id;
}

RegionSecrets& Region::secrets() noexcept {
    return header().secrets;
}

const RegionSecrets& Region::secrets() const noexcept {
    return header().secrets;
}

const SectionEntry* Region::find(SectionKind kind) const noexcept {
    for (uint32_t i = 0; i < header().section_count; ++i)
        if (header().sections[i].kind == kind) return &header().sections[i];
    return nullptr;
}

std::span<std::byte> Region::section(SectionKind kind) const noexcept {
    const SectionEntry* entry = find(kind);
    if (entry == nullptr) return {};
    return {base_ + entry->offset, entry->bytes};
}

uint32_t Region::record_bytes(SectionKind kind) const noexcept {
    const SectionEntry* entry = find(kind);
    return entry == nullptr ? 0 : entry->record_bytes;
}

}  // namespace millrace::store
