#include "dataplane/relay/shard.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace millrace::relay {
namespace {

SipKey key_of(const uint8_t (&bytes)[16]) {
    SipKey key;
    std::memcpy(&key.k0, bytes, 8);
    std::memcpy(&key.k1, bytes + 8, 8);
    return key;
}

uint32_t share(uint64_t total, uint32_t shards, uint32_t at_least) {
    return static_cast<uint32_t>(std::max<uint64_t>((total + shards - 1) / shards, at_least));
}

}  // namespace

ShardLimits ShardLimits::of(const DataplaneRecord& dataplane) {
    const uint32_t shards = dataplane.shard_count;
    const uint64_t chunk_bytes = dataplane.chunk_bytes_max / shards;
    const uint64_t slab = store::ChunkStore::slab_bytes;
    return {.relays_max = share(dataplane.relays_max, shards, 16),
            .chunk_bytes_max = chunk_bytes / slab * slab,
            .half_open_max = std::bit_ceil(share(dataplane.half_open_max, shards, 8)),
            .time_wait_max = std::bit_ceil(share(dataplane.time_wait_max, shards, 8)),
            .tls = dataplane.crypto_threads != 0};
}

store::RegionPlan shard_region_plan(uint32_t shard, const ShardLimits& limits, bool huge_pages) {
    using store::SectionKind;
    const uint64_t relays = limits.relays_max;
    store::RegionPlan plan{
        .shard = shard,
        .huge_pages = huge_pages,
        .sections = {
            {SectionKind::relays, store::RecordPool<Relay>::bytes_for(relays), sizeof(Relay), false},
            {SectionKind::chunks, limits.chunk_bytes_max, 1, false},
            {SectionKind::flow_table, store::FlowTable::bytes_for(2 * relays), sizeof(store::FlowBucket), false},
            // A relay has one live entry and, for a while, stale ones that an earlier deadline left behind.
            {SectionKind::timers, store::TimerWheel::bytes_for(4 * relays + 1024), sizeof(store::TimerBlock), false},
            {SectionKind::half_open, uint64_t{limits.half_open_max} * sizeof(tcp::HalfOpen), sizeof(tcp::HalfOpen),
             false},
            {SectionKind::time_wait, uint64_t{limits.time_wait_max} * sizeof(tcp::TimeWait), sizeof(tcp::TimeWait),
             false},
        }};
    for (const SectionKind ends : {SectionKind::tls_slots, SectionKind::server_tls_slots})
        if (limits.tls) plan.sections.push_back({ends, relays * sizeof(TlsEnd), sizeof(TlsEnd), false});
    return plan;
}

Shard::Shard(uint32_t number_, store::Region memory, const ShardLimits& limits, TimeUs now)
    : number(number_),
      region(std::move(memory)),
      flow_key(key_of(region.secrets().flow_hash)),
      secrets{.isn = key_of(region.secrets().isn),
              .timestamps = key_of(region.secrets().timestamps),
              .tables = key_of(region.secrets().tables),
              .cookies = key_of(region.secrets().cookies)},
      // Sections are rounded up; the limits are meant as they stand.
      relays(store::RecordPool<Relay>::format(
          region.section(store::SectionKind::relays).first(store::RecordPool<Relay>::bytes_for(limits.relays_max)))),
      tls{TlsEnds{region.records<TlsEnd>(store::SectionKind::tls_slots)},
          TlsEnds{region.records<TlsEnd>(store::SectionKind::server_tls_slots)}},
      flows(region.section(store::SectionKind::flow_table)),
      chunks(store::ChunkStore::format(region.section(store::SectionKind::chunks).first(limits.chunk_bytes_max))),
      wheel(region.section(store::SectionKind::timers), now / us_per_ms),
      half_open(region.records<tcp::HalfOpen>(store::SectionKind::half_open).first(limits.half_open_max)),
      time_wait(region.records<tcp::TimeWait>(store::SectionKind::time_wait).first(limits.time_wait_max)),
      ready(relays.capacity() + 1),
      parked(relays.capacity() + 1) {}

}  // namespace millrace::relay
