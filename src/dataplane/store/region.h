// A region file: the memory of one shard, which outlives the process that filled it. It is a sparse file on a tmpfs of
// our own (or on hugetlbfs), cut into sections that each hold one kind of plain old data; whoever joins it after a
// crash finds every relay where it was. This file knows where sections lie and nothing of what is in them.
//
//   file:  | header, secrets | section (2 MiB aligned) | section ...    sized for the limits, paid for as it is touched
//
// Life: create → (magic stored last) → used by one owner → unmapped; later joined by the next process. An exclusive
// flock is held while a region is mapped, so that a second dataplane can't join what a first still uses; the kernel
// drops it with the process. Mapped by the dataplane alone: mode 0600, it holds keys and plaintext.
//
// A tmpfs that is full answers a first touch with SIGBUS: mount it at least as large as the memory the limits can need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace millrace::store {

/// Layout version of the header and of every record in every section: raise it when any of them changes.
inline constexpr uint32_t region_abi_version = 3;
inline constexpr uint64_t region_magic = 0x316e'6f69'6765'524d;  // "MRegion1" in memory
inline constexpr uint64_t section_align = 2u << 20;
inline constexpr uint32_t section_count_max = 32;

/// What a section holds. Numbers are part of the layout: never reuse one.
enum class SectionKind : uint32_t {
    relays = 1,
    endpoints_warm = 2,
    tls_slots = 3,
    chunks = 4,
    flow_table = 5,
    timers = 6,
    half_open = 7,
    half_open_table = 8,
    time_wait = 9,
    time_wait_table = 10,
    server_tls_slots = 11,
};

struct SectionPlan {
    SectionKind kind;
    uint64_t bytes;         ///< > 0; rounded up to section_align
    uint32_t record_bytes;  ///< size of one record, checked at join by records<T>(); 1 when it has no single one
    bool dump = false;      ///< whether a core dump may hold it; keys and payload must not
};

struct RegionPlan {
    uint32_t shard = 0;
    /// Ask for 2 MiB pages (a tmpfs mounted huge=advise, or hugetlbfs). The first touch of a section then costs 2 MiB:
    /// six sections in eight shards 96 MiB before the first relay, against 0.5 MB of records at 1,000 relays. Leave
    /// it false below about 100,000 relays; it changes no offset, only what the kernel is told.
    bool huge_pages = false;
    std::vector<SectionPlan> sections;
};

/// Keys drawn at creation, so that a new process goes on with the numbers of the old one. Each serves one purpose.
struct RegionSecrets {
    uint8_t rss_key[64];     ///< Toeplitz key, as many leading bytes as the device takes; the instance uses shard 0's
    uint8_t flow_hash[16];   ///< SipHash key of the flow table
    uint8_t isn[16];         ///< initial sequence numbers (RFC 6528)
    uint8_t timestamps[16];  ///< timestamp offsets (RFC 7323 §5.4)
    uint8_t cookies[16];     ///< SYN cookies (RFC 4987 §3.6)
    uint8_t tables[16];      ///< SipKey of the half-open and TIME_WAIT tables
    uint8_t connection_ids[16];  ///< connection and request ids
};
static_assert(sizeof(RegionSecrets) == 160);

struct SectionEntry {
    SectionKind kind;
    uint32_t dump;  ///< 0 or 1
    uint64_t offset;
    uint64_t bytes;
    uint32_t record_bytes;
    uint32_t reserved;
};
static_assert(sizeof(SectionEntry) == 32);

/// The first page of the file.
struct RegionHeader {
    uint64_t magic;  ///< stored last with release when all else is in place; pairs with the acquire in join()
    uint32_t abi_version;
    uint32_t section_count;
    uint64_t total_bytes;
    uint32_t shard;
    uint32_t huge_pages;  ///< 0 or 1
    uint8_t id[16];
    char boot_id[40];  ///< CLOCK_MONOTONIC restarts with the machine, and the times in the records mean nothing then
    RegionSecrets secrets;
    SectionEntry sections[section_count_max];
};
static_assert(sizeof(RegionHeader) == 248 + 32 * section_count_max && sizeof(RegionHeader) <= 4096);
static_assert(std::is_trivially_copyable_v<RegionHeader> && std::is_standard_layout_v<RegionHeader>);

class Region {
  public:
    /// Makes the file `path` (which must not exist), formats the header and draws the secrets; every section is zero.
    /// Empty with one line in `error` when the plan is bad (no section, one kind twice, zero sizes) or the system
    /// refuses. A file that a crash left half made is refused by join() and can be removed.
    static std::optional<Region> create(const std::string& path, const RegionPlan& plan, std::string& error);

    /// The same without a file: gone with the last mapping. For tests and the simulator.
    static std::optional<Region> create_anonymous(const RegionPlan& plan, std::string& error);

    /// Maps the existing file `path` after checking its owner, mode, lock, size, magic, ABI version, boot, and the
    /// bounds of every section. Empty with one line in `error` when any of them is wrong; nothing was written then.
    static std::optional<Region> join(const std::string& path, std::string& error);

    Region(Region&& other) noexcept;
    Region& operator=(Region&& other) noexcept;
    ~Region();

    uint32_t shard() const noexcept;
    /// 16 random bytes drawn at creation.
    std::span<const uint8_t, 16> id() const noexcept;

    /// Writable, so that a simulation can put its own seeded ones there and shards can share shard 0's.
    RegionSecrets& secrets() noexcept;
    const RegionSecrets& secrets() const noexcept;

    /// The bytes of a section, aligned to section_align; empty when the region has none of that kind.
    std::span<std::byte> section(SectionKind kind) const noexcept;

    /// The section as an array of T; empty when it is missing or was made for records of another size.
    template <class T>
    std::span<T> records(SectionKind kind) const noexcept {
        static_assert(std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T>);
        if (record_bytes(kind) != sizeof(T)) return {};
        const std::span<std::byte> bytes = section(kind);
        return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
    }

    /// 0 when the region has no section of that kind.
    uint32_t record_bytes(SectionKind kind) const noexcept;

  private:
    Region() = default;
    static std::optional<Region> map(int fd, uint64_t bytes, std::string& error);
    bool format(const RegionPlan& plan, std::string& error);
    bool check(std::string& error) const;
    bool advise(std::string& error) const;
    const SectionEntry* find(SectionKind kind) const noexcept;
    RegionHeader& header() const noexcept { return *reinterpret_cast<RegionHeader*>(base_); }

    std::byte* base_ = nullptr;
    uint64_t bytes_ = 0;
    int fd_ = -1;  ///< held for its lock; -1 for an anonymous region
};

}  // namespace millrace::store
