#include "dataplane/relay/statistics.h"

#include <cstddef>
#include <cstdio>
#include <string>

namespace millrace::relay {
namespace {

struct Row {
    const char* name;
    const char* unit;
    StatScope scope;
    StatKind kind;
    size_t offset;
};

constexpr auto counter = StatKind::counter;
constexpr auto gauge = StatKind::gauge;
constexpr auto histogram = StatKind::histogram;

#define WORKER(field, unit, kind) \
    { #field, unit, StatScope::worker, kind, offsetof(WorkerStats, field) }
#define WORKER_TOTAL(field, unit) \
    { #field "_total", unit, StatScope::worker, counter, offsetof(WorkerStats, field) }
#define IP_TOTAL(field)                                                  \
    {                                                                    \
        "ip_" #field "_total", "packets", StatScope::worker, counter,    \
            offsetof(WorkerStats, ip) + offsetof(net::IpCounters, field) \
    }
#define TCP_TOTAL(field, unit)                                          \
    {                                                                   \
        "tcp_" #field "_total", unit, StatScope::worker, counter,       \
            offsetof(WorkerStats, tcp) + offsetof(tcp::Counters, field) \
    }
#define TLS_TOTAL(field, unit) \
    { "tls_" #field "_total", unit, StatScope::worker, counter, offsetof(WorkerStats, tls) + offsetof(TlsStats, field) }
#define TLS_GAUGE(field, unit) \
    { "tls_" #field, unit, StatScope::worker, gauge, offsetof(WorkerStats, tls) + offsetof(TlsStats, field) }
#define LISTENER(name, field, unit, kind) \
    { name, unit, StatScope::listener, kind, offsetof(ListenerStats, field) }
#define BACKEND(name, field, unit, kind) \
    { name, unit, StatScope::backend, kind, offsetof(BackendStats, field) }
#define SERVER(name, field, unit, kind) \
    { name, unit, StatScope::server, kind, offsetof(ServerStats, field) }

constexpr Row rows[] = {
    WORKER(heartbeat_us, "us", gauge),
    WORKER_TOTAL(rx_packets, "packets"),
    WORKER_TOTAL(rx_bytes, "bytes"),
    WORKER_TOTAL(tx_packets, "packets"),
    WORKER_TOTAL(tx_bytes, "bytes"),
    WORKER_TOTAL(busy_cycles, "cycles"),
    WORKER_TOTAL(idle_cycles, "cycles"),
    WORKER_TOTAL(device_cycles, "cycles"),
    WORKER_TOTAL(buffer_cycles, "cycles"),
    WORKER_TOTAL(timer_cycles, "cycles"),
    WORKER_TOTAL(copy_cycles, "cycles"),
    WORKER_TOTAL(dispatched_out, "packets"),
    WORKER_TOTAL(dispatched_in, "packets"),
    WORKER_TOTAL(dispatch_dropped, "packets"),
    WORKER_TOTAL(tx_out_of_frames, "packets"),
    WORKER_TOTAL(not_ours_dropped, "packets"),
    WORKER_TOTAL(neighbour_messages_kept, "packets"),
    WORKER_TOTAL(unknown_flow_resets, "packets"),
    IP_TOTAL(echo_answered),
    IP_TOTAL(arp_answered),
    IP_TOTAL(ndp_answered),
    IP_TOTAL(solicitations_sent),
    IP_TOTAL(unresolved_dropped),
    IP_TOTAL(unreachable_dropped),
    IP_TOTAL(no_credit_dropped),
    TCP_TOTAL(segments_in, "segments"),
    TCP_TOTAL(segments_out, "segments"),
    TCP_TOTAL(data_bytes_in, "bytes"),
    TCP_TOTAL(data_bytes_out, "bytes"),
    TCP_TOTAL(resets_in, "segments"),
    TCP_TOTAL(resets_out, "segments"),
    TCP_TOTAL(active_opens, "connections"),
    TCP_TOTAL(passive_opens, "connections"),
    TCP_TOTAL(established, "connections"),
    TCP_TOTAL(open_refused, "connections"),
    TCP_TOTAL(open_timed_out, "connections"),
    TCP_TOTAL(syn_retransmissions, "segments"),
    TCP_TOTAL(half_open_overflow, "segments"),
    TCP_TOTAL(half_open_evicted, "connections"),
    TCP_TOTAL(half_open_expired, "connections"),
    TCP_TOTAL(half_open_reset, "connections"),
    TCP_TOTAL(bad_handshake_acks, "segments"),
    TCP_TOTAL(syn_cookies_sent, "segments"),
    TCP_TOTAL(syn_cookies_accepted, "connections"),
    TCP_TOTAL(syn_cookies_rejected, "segments"),
    TCP_TOTAL(retransmitted_segments, "segments"),
    TCP_TOTAL(fast_retransmits, "times"),
    TCP_TOTAL(rto_timeouts, "times"),
    TCP_TOTAL(tail_loss_probes, "times"),
    TCP_TOTAL(spurious_recoveries, "times"),
    TCP_TOTAL(duplicate_sacks_in, "segments"),
    TCP_TOTAL(ecn_reductions, "times"),
    TCP_TOTAL(sack_searches_cut, "segments"),
    TCP_TOTAL(reneged, "times"),
    TCP_TOTAL(window_probes, "segments"),
    TCP_TOTAL(connections_timed_out, "connections"),
    TCP_TOTAL(duplicate_acks_in, "segments"),
    TCP_TOTAL(recovery_without_state, "times"),
    TCP_TOTAL(out_of_order_in, "segments"),
    TCP_TOTAL(duplicate_data_in, "segments"),
    TCP_TOTAL(reassembly_dropped, "segments"),
    TCP_TOTAL(payload_refused, "segments"),
    TCP_TOTAL(beyond_window_in, "segments"),
    TCP_TOTAL(out_of_window_in, "segments"),
    TCP_TOTAL(paws_rejected, "segments"),
    TCP_TOTAL(missing_timestamp, "segments"),
    TCP_TOTAL(bad_acks, "segments"),
    TCP_TOTAL(challenge_acks, "segments"),
    TCP_TOTAL(challenge_acks_limited, "segments"),
    TCP_TOTAL(send_chunks_exhausted, "times"),
    TCP_TOTAL(keepalive_probes, "segments"),
    TCP_TOTAL(keepalive_timeouts, "connections"),
    TCP_TOTAL(path_mtu_lowered, "times"),
    TCP_TOTAL(path_mtu_black_holes, "times"),
    TCP_TOTAL(path_mtu_raised, "times"),
    TCP_TOTAL(icmp_ignored, "packets"),
    TCP_TOTAL(icmp_soft_errors, "packets"),
    TCP_TOTAL(time_wait_entered, "connections"),
    TCP_TOTAL(time_wait_evicted, "connections"),
    TCP_TOTAL(time_wait_reused, "connections"),
    TLS_TOTAL(handshakes_tls12, "handshakes"),
    TLS_TOTAL(handshakes_tls13, "handshakes"),
    TLS_TOTAL(handshakes_resumed, "handshakes"),
    TLS_TOTAL(handshakes_failed, "handshakes"),
    TLS_TOTAL(handshakes_timed_out, "handshakes"),
    TLS_TOTAL(handshakes_refused, "handshakes"),
    TLS_TOTAL(server_handshakes_tls12, "handshakes"),
    TLS_TOTAL(server_handshakes_tls13, "handshakes"),
    TLS_TOTAL(server_handshakes_resumed, "handshakes"),
    TLS_TOTAL(server_handshakes_failed, "handshakes"),
    TLS_TOTAL(server_handshakes_timed_out, "handshakes"),
    TLS_TOTAL(seats_reclaimed, "handshakes"),
    TLS_TOTAL(records_in, "records"),
    TLS_TOTAL(records_out, "records"),
    TLS_TOTAL(data_bytes_in, "bytes"),
    TLS_TOTAL(data_bytes_out, "bytes"),
    TLS_TOTAL(bad_records, "records"),
    TLS_TOTAL(alerts_in, "alerts"),
    TLS_TOTAL(alerts_out, "alerts"),
    TLS_TOTAL(key_updates_out, "records"),
    TLS_TOTAL(truncated, "times"),
    TLS_TOTAL(crypto_steps, "steps"),
    TLS_TOTAL(crypto_busy_us, "microseconds"),
    TLS_TOTAL(crypto_wait_us, "microseconds"),
    TLS_GAUGE(crypto_waiting, "steps"),
    TLS_GAUGE(seats_waited_for, "handshakes"),
    WORKER(relays_open, "relays", gauge),
    WORKER(relays_tls_handshake, "relays", gauge),
    WORKER(relays_reading_head, "relays", gauge),
    WORKER(relays_connecting, "relays", gauge),
    WORKER(relays_awaiting_response, "relays", gauge),
    WORKER(relays_relaying, "relays", gauge),
    WORKER(relays_answering, "relays", gauge),
    WORKER(streams_open, "streams", gauge),
    WORKER_TOTAL(relays_exhausted, "connections"),
    WORKER_TOTAL(chunks_exhausted, "times"),
    WORKER_TOTAL(refused_for_memory, "connections"),
    WORKER_TOTAL(relays_reset_for_memory, "relays"),
    WORKER_TOTAL(payload_refused_for_memory, "segments"),
    WORKER(timer_lag_ms, "ms", gauge),
    WORKER_TOTAL(timers_exhausted, "times"),
    WORKER(chunk_bytes, "bytes", gauge),
    WORKER(chunk_bytes_free, "bytes", gauge),
    WORKER(chunk_slab_bytes, "bytes", gauge),
    WORKER(flow_table_bytes, "bytes", gauge),
    WORKER(timer_bytes, "bytes", gauge),
    WORKER(half_open, "connections", gauge),
    WORKER_TOTAL(neighbours_evicted, "neighbours"),
    WORKER_TOTAL(events_written, "events"),
    WORKER_TOTAL(commands_malformed, "messages"),
    LISTENER("open", open, "relays", gauge),
    LISTENER("accepted_total", accepted, "connections", counter),
    LISTENER("requests_total", requests, "requests", counter),
    LISTENER("upgrades_total", upgrades, "upgrades", counter),
    BACKEND("retries_total", retries, "times", counter),
    BACKEND("no_server_total", no_server, "requests", counter),
    BACKEND("source_ports_exhausted_total", source_ports_exhausted, "times", counter),
    BACKEND("source_ports_tried_total", source_ports_tried, "ports", counter),
    SERVER("open", open, "relays", gauge),
    SERVER("opened_total", opened, "relays", counter),
    SERVER("connect_failures_total", connect_failures, "times", counter),
    SERVER("upgrade_failures_total", upgrade_failures, "times", counter),
    SERVER("bytes_to_server_total", bytes_to_server, "bytes", counter),
    SERVER("bytes_from_server_total", bytes_from_server, "bytes", counter),
    SERVER("ejections_total", ejections, "times", counter),
    SERVER("ejected_workers", ejected, "workers", gauge),
    SERVER("connect_time", connect_time, "us", histogram),
    SERVER("upgrade_time", upgrade_time, "us", histogram),
};

StatDescriptor describe(const std::string& name, const char* unit, StatScope scope, StatKind kind, size_t offset) {
    StatDescriptor descriptor{};
    std::snprintf(descriptor.name, sizeof descriptor.name, "%s", name.c_str());
    std::snprintf(descriptor.unit, sizeof descriptor.unit, "%s", unit);
    descriptor.scope = scope;
    descriptor.kind = kind;
    descriptor.offset = static_cast<uint32_t>(offset);
    return descriptor;
}

}  // namespace

std::vector<StatDescriptor> stat_descriptor_table() {
    std::vector<StatDescriptor> table;
    for (const Row& row : rows) table.push_back(describe(row.name, row.unit, row.scope, row.kind, row.offset));
    for (size_t i = 1; i < wire::drop_reason_count; ++i)
        table.push_back(describe("drop_" + std::string(wire::name(static_cast<wire::DropReason>(i))) + "_total",
                                 "packets", StatScope::worker, counter, offsetof(WorkerStats, drops) + 8 * i));
    for (size_t i = 0; i < burst_sizes; ++i)
        table.push_back(describe("rx_bursts_" + std::to_string(1u << i) + "_total", "bursts", StatScope::worker,
                                 counter, offsetof(WorkerStats, rx_bursts) + 8 * i));
    const auto add_tls = [&](const std::string& name, const char* unit, size_t offset) {
        table.push_back(describe("tls_" + name + "_total", unit, StatScope::worker, counter,
                                 offsetof(WorkerStats, tls) + offsetof(TlsStats, tallies) + offset));
    };
    using Tallies = tls::Tallies<Counter>;
    for (size_t i = 0; i < tls::suite_names.size(); ++i)
        add_tls("suite_" + std::string(tls::suite_names[i]), "handshakes", offsetof(Tallies, suites) + 8 * i);
    for (size_t i = 0; i < tls::group_names.size(); ++i)
        add_tls("group_" + std::string(tls::group_names[i]), "handshakes", offsetof(Tallies, groups) + 8 * i);
    for (size_t i = 0; i < tls::alert_names.size(); ++i) {
        add_tls("alerts_in_" + std::string(tls::alert_names[i].name), "alerts", offsetof(Tallies, alerts_in) + 8 * i);
        add_tls("alerts_out_" + std::string(tls::alert_names[i].name), "alerts", offsetof(Tallies, alerts_out) + 8 * i);
    }
    for (size_t i = 0; i < std::size(response_statuses); ++i)
        table.push_back(describe("responses_" + std::to_string(response_statuses[i]) + "_total", "responses",
                                 StatScope::listener, counter, offsetof(ListenerStats, responses) + 8 * i));
    return table;
}

void fill_scope_layouts(StatScopeLayout (&scopes)[static_cast<uint32_t>(StatScope::count)]) {
    scopes[static_cast<size_t>(StatScope::worker)] = {offsetof(StatsBlock, worker), sizeof(WorkerStats), 1};
    scopes[static_cast<size_t>(StatScope::listener)] = {offsetof(StatsBlock, listeners), sizeof(ListenerStats),
                                                        listener_slot_max};
    scopes[static_cast<size_t>(StatScope::backend)] = {offsetof(StatsBlock, backends), sizeof(BackendStats),
                                                       backend_slot_max};
    scopes[static_cast<size_t>(StatScope::server)] = {offsetof(StatsBlock, servers), sizeof(ServerStats),
                                                      server_slot_max};
}

}  // namespace millrace::relay
