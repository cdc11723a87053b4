#include "load/tables.h"

#include <algorithm>
#include <sys/mman.h>

#include <millrace/assert.h>

#include "load/message.h"

namespace millrace::load {
namespace {

SipKey draw_key(uint64_t seed, uint64_t number) {
    return {mix(seed + 2 * number), mix(seed + 2 * number + 1)};
}

uint64_t timer_entries(const TableLimits& limits) {
    // A connection has one live entry and, for a while, stale ones that an earlier deadline left behind.
    return 4 * (uint64_t{limits.clients} + limits.servers) + 1024;
}

}  // namespace

Memory::~Memory() {
    for (const std::span<std::byte> part : parts_) munmap(part.data(), part.size());
}

std::span<std::byte> Memory::take(uint64_t bytes) {
    constexpr uint64_t unit = 2u << 20;
    const uint64_t rounded = (bytes + unit - 1) / unit * unit;
    void* memory = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MILLRACE_ASSERT(memory != MAP_FAILED);
    // A kernel without huge pages refuses; then it works without.
    madvise(memory, rounded, huge_pages_ ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    parts_.push_back({static_cast<std::byte*>(memory), rounded});
    return parts_.back();
}

Tables::Tables(const TableLimits& limits, uint64_t seed, TimeUs now)
    : memory(limits.huge_pages),
      flow_key(draw_key(seed, 0)),
      secrets{.isn = draw_key(seed, 1),
              .timestamps = draw_key(seed, 2),
              .tables = draw_key(seed, 3),
              .cookies = draw_key(seed, 4)},
      clients(store::RecordPool<Connection>::format(
          memory.take(store::RecordPool<Connection>::bytes_for(std::max(limits.clients, 1u))))),
      servers(store::RecordPool<Connection>::format(
          memory.take(store::RecordPool<Connection>::bytes_for(std::max(limits.servers, 1u))))),
      flows(memory.take(store::FlowTable::bytes_for(uint64_t{limits.clients} + limits.servers + 1))),
      chunks(store::ChunkStore::format(memory.take(limits.chunk_bytes))),
      wheel(memory.take(store::TimerWheel::bytes_for(timer_entries(limits))), now / us_per_ms),
      half_open(memory.records<tcp::HalfOpen>(limits.half_open)),
      time_wait(memory.records<tcp::TimeWait>(limits.time_wait)),
      ready(clients.capacity() + servers.capacity() + 1),
      parked(clients.capacity() + servers.capacity() + 1) {
    if (limits.tls) tls_ends = memory.records<TlsEnd>(clients.capacity());
}

uint64_t Tables::connection_bytes() const {
    const uint64_t records = uint64_t{clients.high_water()} + servers.high_water();
    return records * sizeof(Connection) + flows.bytes_in_use() + wheel.bytes_in_use() +
           uint64_t{ready_most} * sizeof(uint32_t) + (tls_ends.empty() ? 0 : clients.high_water() * sizeof(TlsEnd));
}

}  // namespace millrace::load
