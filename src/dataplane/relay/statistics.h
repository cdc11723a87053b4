// What a worker counts, in the layout of the `stats` file: one block per worker, written by that worker alone with
// plain aligned 64-bit stores (single on the architectures we run on), read by other processes through the descriptor
// table. Adding a value means a field here and a line in statistics.cpp.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include <millrace/limits.h>
#include <millrace/stats.h>

#include "dataplane/net/ip_layer.h"
#include "dataplane/tcp/counters.h"
#include "dataplane/wire/drop_reason.h"

namespace millrace::relay {

struct Histogram {
    uint64_t buckets[histogram_bucket_count];

    void add(uint64_t value) {
        const auto width = static_cast<uint32_t>(std::bit_width(value));
        ++buckets[width < histogram_bucket_count ? width : histogram_bucket_count - 1];
    }
};

struct WorkerStats {
    // The loop (written by port/).
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
    uint64_t busy_cycles;    ///< iterations that found work, device calls excluded
    uint64_t idle_cycles;    ///< iterations that found none
    uint64_t device_cycles;  ///< inside receive and send bursts of busy iterations
    uint64_t dispatched_out, dispatched_in, dispatch_dropped;
    uint64_t tx_out_of_frames;
    // Frames that were dropped before TCP, by wire::DropReason.
    uint64_t drops[wire::drop_reason_count];
    uint64_t not_ours_dropped;     ///< for another MAC or IP address
    uint64_t unknown_flow_resets;  ///< segments of no connection, answered with RST
    net::IpCounters ip;
    tcp::Counters tcp;
    // Relays.
    uint64_t relays_open;
    uint64_t relays_reading_head, relays_connecting, relays_awaiting_response, relays_relaying, relays_answering;
    uint64_t streams_open;
    uint64_t relays_exhausted;  ///< connections refused because the relay table or the flow table was full
    uint64_t chunks_exhausted;
    uint64_t refused_for_memory;       ///< new clients reset while chunk memory was scarce
    uint64_t relays_reset_for_memory;  ///< relays that held much of it for a peer that made no progress
    uint64_t payload_refused_for_memory;
    uint64_t timers_exhausted;  ///< deadlines left to the sweep, because the timer wheel was full
    uint64_t chunk_bytes, chunk_bytes_free, chunk_slab_bytes, flow_table_bytes, timer_bytes;
    uint64_t half_open, neighbours_evicted;
    uint64_t events_written;
    uint64_t commands_malformed;
};

struct ListenerStats {
    uint64_t open, accepted, requests, upgrades;
    uint64_t responses[10];  ///< our own answers, by response_statuses
};

/// The statuses of answers that the balancer gives itself, in the order of ListenerStats::responses.
inline constexpr uint16_t response_statuses[] = {400, 404, 408, 414, 431, 501, 502, 503, 504, 505};

struct BackendStats {
    uint64_t retries, no_server, source_ports_exhausted;
};

struct ServerStats {
    uint64_t open, opened;
    uint64_t connect_failures, upgrade_failures;
    uint64_t bytes_to_server, bytes_from_server;
    uint64_t ejections, ejected;
    Histogram connect_time;  ///< microseconds from our SYN to the established connection
    Histogram upgrade_time;  ///< microseconds from the request to the whole response head
};

struct StatsBlock {
    WorkerStats worker;
    ListenerStats listeners[listener_slot_max];
    BackendStats backends[backend_slot_max];
    ServerStats servers[server_slot_max];
};

/// The descriptor table and the scopes' layout of a file of such blocks.
std::vector<StatDescriptor> stat_descriptor_table();
void fill_scope_layouts(StatScopeLayout (&scopes)[static_cast<uint32_t>(StatScope::count)]);

}  // namespace millrace::relay
