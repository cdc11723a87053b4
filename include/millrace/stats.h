// Statistics: the file `stats` (the dataplane writes, everyone else maps it read-only). It describes itself: a table of
// descriptors names each value with its unit, kind, scope and offset, so that an older reader shows a newer dataplane's
// values and misses none by layout. All values are 64-bit words written by one worker each with relaxed stores; readers
// add them up over the workers.
//
//   stats:  | StatsHeader | StatDescriptor × n | worker 0: scope worker, listeners, backends, servers | worker 1: ... |
//
// The value of descriptor d for worker w and slot s stands at
//   worker_offset + w × worker_stride + scopes[d.scope].offset + s × scopes[d.scope].stride + d.offset
#pragma once

#include <atomic>
#include <cstdint>

#include <millrace/limits.h>
#include <millrace/shared_file.h>

namespace millrace {

inline constexpr uint64_t stats_magic = 0x31747473'6c6c694dULL;  // "Millstt1"

enum class StatScope : uint16_t { worker = 0, listener = 1, backend = 2, server = 3, count };

enum class StatKind : uint16_t {
    counter = 0,  ///< only grows
    gauge = 1,    ///< a level
    histogram =
        2,  ///< histogram_bucket_count words: bucket i counts values v with bit_width(v) == i, the last one all above
};

inline constexpr uint32_t histogram_bucket_count = 40;

struct StatDescriptor {
    char name[48];  ///< terminated; lower case words joined by '_'
    char unit[12];  ///< terminated: "packets", "bytes", "us", "cycles", ...
    StatScope scope;
    StatKind kind;
    uint32_t offset;  ///< bytes from the start of the scope's block
    uint32_t reserved;
};
static_assert(sizeof(StatDescriptor) == 72);

struct StatScopeLayout {
    uint64_t offset;  ///< of slot 0, from the worker's block
    uint32_t stride;  ///< bytes from one slot to the next
    uint32_t slots;   ///< 1 for the worker scope
};

struct StatsHeader {
    SharedFileHeader header;
    uint64_t start_unix_us;              ///< when the dataplane started
    uint64_t tsc_hz;                     ///< cycles per second of every value in "cycles"
    std::atomic<uint64_t> generation;    ///< of the configuration in force in every worker
    std::atomic<uint64_t> heartbeat_us;  ///< CLOCK_MONOTONIC, stored about every 100 ms while the dataplane lives
    uint32_t pid;
    uint32_t worker_count;
    uint32_t descriptor_count;
    uint32_t relay_record_bytes;  ///< sizeof one relay record
    uint64_t worker_offset;
    uint64_t worker_stride;
    std::atomic<uint32_t> polling_workers;  ///< the first so many own shards; the others sleep
    uint32_t reserved;
    char config_error[256];  ///< why the newest published configuration was refused; empty when it was not
    StatScopeLayout scopes[static_cast<uint32_t>(StatScope::count)];
};
static_assert(sizeof(StatsHeader) == 32 + 72 + 256 + 64);

inline const StatDescriptor* stat_descriptors(const std::byte* file) {
    return reinterpret_cast<const StatDescriptor*>(file + sizeof(StatsHeader));
}

}  // namespace millrace
