// One shard: a RETA class of flows with every table that its relays need, all of it in one region. A worker owns some
// shards and is the only one that touches them; a flow never changes its shard, but a shard may change its worker.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include <millrace/snapshot.h>

#include "dataplane/base/siphash.h"
#include "dataplane/base/time.h"
#include "dataplane/relay/drain_watch.h"
#include "dataplane/relay/gauges.h"
#include "dataplane/relay/record.h"
#include "dataplane/relay/tls_end.h"
#include "dataplane/store/chunk_store.h"
#include "dataplane/store/flow_table.h"
#include "dataplane/store/index_queue.h"
#include "dataplane/store/record_pool.h"
#include "dataplane/store/region.h"
#include "dataplane/store/timer_wheel.h"
#include "dataplane/tcp/half_open.h"
#include "dataplane/tcp/secrets.h"
#include "dataplane/tcp/time_wait.h"

namespace millrace::relay {

/// The limits of one shard: the configuration's, divided by the number of shards.
struct ShardLimits {
    uint32_t relays_max;
    uint64_t chunk_bytes_max;
    uint32_t half_open_max;
    uint32_t time_wait_max;
    bool tls;  ///< there are crypto threads, so that relays can have TLS

    static ShardLimits of(const DataplaneRecord& dataplane);
};

/// The sections of a shard's region.
store::RegionPlan shard_region_plan(uint32_t shard, const ShardLimits& limits, bool huge_pages);

/// What a flow table entry names: a side of a relay.
struct FlowValue {
    static uint32_t pack(uint32_t index, Side side) { return index << 1 | static_cast<uint32_t>(side); }
    static uint32_t index(uint32_t value) { return value >> 1; }
    static Side side(uint32_t value) { return static_cast<Side>(value & 1); }
};

/// How short of chunk memory a shard is (engine_memory.cpp has the policy).
enum class Shortage : uint8_t {
    none,
    near,    ///< less than half is free: no buffer grows any more
    low,     ///< less than a quarter: buffers go back to their first size, and windows shrink
    scarce,  ///< less than an eighth: nobody new, and who drains too slowly gives way
    dire,    ///< less than a sixteenth: kept for heads and small pushes
};

/// The ends of one side of the relays, by their index; empty without TLS.
struct TlsEnds {
    std::span<TlsEnd> ends;
    uint32_t used = 0;
};

struct Shard {
    /// Formats the tables in a fresh region.
    Shard(uint32_t number, store::Region memory, const ShardLimits& limits, TimeUs now);

    uint32_t flow_hash(const IpAddress& peer, const IpAddress& local, uint16_t peer_port, uint16_t local_port) const {
        return static_cast<uint32_t>(millrace::flow_hash(flow_key, peer, local, peer_port, local_port));
    }

    Shortage shortage() const {
        const uint64_t free = chunks.bytes_free(), total = chunks.bytes_total();
        if (free >= total / 4) return free >= total / 2 ? Shortage::none : Shortage::near;
        return free >= total / 8 ? Shortage::low : free >= total / 16 ? Shortage::scarce : Shortage::dire;
    }

    uint32_t number;
    store::Region region;
    SipKey flow_key;
    tcp::Secrets secrets;
    store::RecordPool<Relay> relays;
    std::array<TlsEnds, 2> tls;  ///< by Side
    TlsEnds& tls_of(Side side) { return tls[static_cast<size_t>(side)]; }
    const TlsEnds& tls_of(Side side) const { return tls[static_cast<size_t>(side)]; }
    store::FlowTable flows;
    store::ChunkStore chunks;
    store::TimerWheel wheel;
    tcp::HalfOpenTable half_open;
    tcp::TimeWaitTable time_wait;
    store::IndexQueue ready;   ///< relays to flush
    store::IndexQueue parked;  ///< relays that wait for a neighbour
    DrainWatch drains;         ///< relays that may have to give way
    Gauges gauges;             ///< its part of the owner's gauges
    uint32_t sweep = 0;        ///< where the idle sweep goes on
    uint32_t relief = 0;       ///< where the search for who gives way goes on
    uint64_t connections = 0;  ///< counts connection ids
};

}  // namespace millrace::relay
