// What a worker counts, in the layout of the `stats` file: one block per worker, written by that worker alone with
// relaxed stores, read by other workers, and by other processes through the descriptor table. Adding a value means a
// field here and a line in statistics.cpp.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include <millrace/limits.h>
#include <millrace/stats.h>

#include "dataplane/base/counter.h"
#include "dataplane/net/ip_layer.h"
#include "dataplane/tcp/counters.h"
#include "dataplane/wire/drop_reason.h"
#include "tls/record/tally.h"

namespace millrace::relay {

struct Histogram {
    Counter buckets[histogram_bucket_count];

    void add(uint64_t value) {
        const auto width = static_cast<uint32_t>(std::bit_width(value));
        ++buckets[width < histogram_bucket_count ? width : histogram_bucket_count - 1];
    }
};

/// Receive bursts are counted by the bit width of how many frames they had.
inline constexpr size_t burst_sizes = 6;

/// TLS toward clients.
struct TlsStats {
    Counter handshakes_tls12, handshakes_tls13;  ///< done, by version
    Counter handshakes_resumed;                  ///< of them
    Counter handshakes_failed, handshakes_timed_out;
    Counter handshakes_refused;  ///< for want of seats or of keys of ours; with servers, also of memory
    // Our own with servers:
    Counter server_handshakes_tls12, server_handshakes_tls13, server_handshakes_resumed;
    Counter server_handshakes_failed, server_handshakes_timed_out;
    Counter seats_reclaimed;  ///< handshakes that were ended for those who waited
    Counter records_in, records_out;
    Counter data_bytes_in, data_bytes_out;
    Counter bad_records;  ///< answered by an alert
    Counter alerts_in;    ///< that ended a relay; close_notify is none
    Counter alerts_out;   ///< close_notify included
    Counter key_updates_out;
    Counter truncated;  ///< FINs without a close_notify before them
    // Of the crypto threads that this worker reports, so that the sum over the workers is that over the threads:
    Counter crypto_waiting;  ///< steps of this worker's handshakes that wait for a thread
    Counter crypto_steps, crypto_busy_us, crypto_wait_us;
    tls::Tallies<Counter> tallies;  ///< of theirs and of this worker's relays
    Counter seats_waited_for;       ///< handshakes of this worker that wait for a seat
};

struct WorkerStats {
    // The loop (written by port/).
    Counter heartbeat_us;  ///< CLOCK_MONOTONIC of the newest publication: what came until then has been worked upon
    Counter rx_packets, rx_bytes, tx_packets, tx_bytes;
    Counter busy_cycles;                               ///< iterations that found work, device calls excluded
    Counter idle_cycles;                               ///< iterations that found none
    Counter device_cycles;                             ///< inside receive and send bursts of busy iterations
    Counter buffer_cycles, timer_cycles, copy_cycles;  ///< of busy_cycles, estimates: base/stage_clock.h
    Counter rx_bursts[burst_sizes];                    ///< of 1, 2 to 3, 4 to 7… frames
    Counter dispatched_out, dispatched_in, dispatch_dropped;
    Counter tx_out_of_frames;
    // Frames that were dropped before TCP, by wire::DropReason.
    Counter drops[wire::drop_reason_count];
    Counter not_ours_dropped;  ///< for another MAC or IP address, or a SYN by another interface than its address's
    Counter neighbour_messages_kept;  ///< not shown to the other workers, because there were too many
    Counter unknown_flow_resets;      ///< segments of no connection, answered with RST
    net::IpCounters ip;
    tcp::Counters tcp;
    TlsStats tls;
    // Relays.
    Counter relays_open;
    Counter relays_tls_handshake, relays_reading_head, relays_connecting, relays_awaiting_response, relays_relaying,
        relays_answering;
    Counter streams_open;
    Counter relays_exhausted;  ///< connections refused because the relay table or the flow table was full
    Counter chunks_exhausted;
    Counter refused_for_memory;       ///< new clients reset while chunk memory was scarce
    Counter relays_reset_for_memory;  ///< relays that held much of it for a peer that made no progress
    Counter payload_refused_for_memory;
    Counter timer_lag_ms;      ///< how far the timers of the slowest shard are behind
    Counter timers_exhausted;  ///< deadlines left to the sweep, because the timer wheel was full
    Counter chunk_bytes, chunk_bytes_free, chunk_slab_bytes, flow_table_bytes, timer_bytes;
    Counter half_open, neighbours_evicted;
    Counter events_written;
    Counter commands_malformed;
};

struct ListenerStats {
    Counter open, accepted, requests, upgrades;
    Counter responses[10];  ///< our own answers, by response_statuses
};

/// The statuses of answers that the balancer gives itself, in the order of ListenerStats::responses.
inline constexpr uint16_t response_statuses[] = {400, 404, 408, 414, 431, 501, 502, 503, 504, 505};

struct BackendStats {
    Counter retries, no_server, source_ports_exhausted;
    Counter source_ports_tried;  ///< in search of a free one
};

struct ServerStats {
    Counter open, opened;
    Counter connect_failures, upgrade_failures;
    Counter bytes_to_server, bytes_from_server;
    Counter ejections, ejected;
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
