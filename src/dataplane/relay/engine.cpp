#include "dataplane/relay/engine.h"

#include <utility>

#include "dataplane/base/fault.h"
#include "dataplane/http/rewrite.h"
#include "dataplane/tcp/close.h"
#include "dataplane/tcp/receiver.h"
#include "dataplane/tcp/sender.h"

namespace millrace::relay {
namespace {

// The longest head there can be, and what forwarding may add to it: addresses, ids and field names (http/rewrite.h).
constexpr size_t rewritten_head_max =
    2 * store::chunk_payload_max + http::forward_growth_max + 128 + subject_bytes_max + header_name_bytes_max;

// A queue in which nobody waits for longer than a few seconds, where crypto threads are as fast as they should be.
constexpr size_t waiting_per_seat = 8;

// A gauge of this worker, and the part of it that goes with the shard.
void count(Counter& ours, uint32_t& part, int64_t by) {
    ours += static_cast<uint64_t>(by);
    part += static_cast<uint32_t>(by);
}

}  // namespace

Engine::Engine(const EngineSetup& setup, const config::RuntimeConfig& config)
    : shards_(setup.shards),
      ip_(setup.ip),
      port_classes_(setup.port_classes),
      stats_(setup.stats),
      other_stats_(setup.other_stats),
      control_(setup.control),
      pinger_(setup.worker),
      capture_(setup.control),
      config_(&config),
      random_state_(setup.random_seed),
      connection_id_base_(setup.connection_id_base),
      servers_(server_slot_max),
      open_elsewhere_(server_slot_max),
      credits_(server_slot_max),
      candidates_(server_slot_max),
      scratch_(rewritten_head_max),
      handshakes_(setup.handshakes) {
    if (handshakes_ != nullptr) {
        tls_ = std::make_unique<TlsUnit>();
        seats_.resize(handshakes_->seat_count());
        for (WaitingQueue& queue : waiting_) queue.places.resize(waiting_per_seat * seats_.size());
    }
    const SnapshotView& snapshot = config.snapshot();
    uint16_t mtu = 1500;
    for (const InterfaceRecord& interface : snapshot.interfaces()) mtu = std::min(mtu, interface.mtu);
    tcp_options_.mss_v4 = static_cast<uint16_t>(mtu - 40);
    tcp_options_.mss_v6 = static_cast<uint16_t>(mtu - 60);
    tcp_options_.receive_window_bytes = snapshot.dataplane().send_queue_bytes;
    tcp_options_.receive_window_max_bytes = snapshot.dataplane().send_queue_max_bytes;
    const uint32_t largest = std::max(tcp_options_.receive_window_bytes, tcp_options_.receive_window_max_bytes);
    while (65535u << tcp_options_.window_scale < largest) ++tcp_options_.window_scale;
    tcp_options_.syn_cookies = snapshot.dataplane().syn_cookies;
    const TcpRecord& tcp = snapshot.dataplane().tcp;
    tcp_options_.congestion_control = tcp.congestion_control;
    tcp_options_.restart_after_idle = tcp.idle_restart != 0;
    tcp_options_.ack_delay_ms = tcp.ack_delay_ms;
    tcp_options_.path_mtu_min = tcp.path_mtu_min;
    // What a head buffer can take: more could only be thrown away while it waits for the server.
    tcp_options_.syn_window_bytes = store::chunk_payload_max;
}

void Engine::set_config(const config::RuntimeConfig& config) {
    // A slot that now names another server starts without the old one's history.
    for (uint16_t slot = 0; slot < server_slot_max; ++slot) {
        const config::ServerBySlot& before = config_->server_by_slot(slot);
        const config::ServerBySlot& after = config.server_by_slot(slot);
        if (before.address != after.address || before.port != after.port) servers_[slot] = {};
        if (!after.present) stats_.servers[slot].ejected = 0;
    }
    std::fill(credits_.begin(), credits_.end(), 0);
    config_ = &config;
}

tcp::Context Engine::context(Shard& shard) {
    return {.chunks = shard.chunks,
            .options = tcp_options_,
            .counters = stats_.worker.tcp,
            .secrets = shard.secrets,
            .budgets = budgets_,
            .now = now_,
            .buffers_may_grow = shard.shortage() == Shortage::none,
            .out_of_order_held = shard.shortage() < Shortage::low};
}

// xorshift64*: spreads choices, guards nothing.
uint64_t Engine::random() {
    random_state_ ^= random_state_ >> 12;
    random_state_ ^= random_state_ << 25;
    random_state_ ^= random_state_ >> 27;
    return random_state_ * 0x2545f4914f6cdd1d;
}

Counter& Engine::phase_gauge(Phase phase) {
    WorkerStats& worker = stats_.worker;
    switch (phase) {
        case Phase::tls_handshake:
            return worker.relays_tls_handshake;
        case Phase::reading_head:
            return worker.relays_reading_head;
        case Phase::connecting:
            return worker.relays_connecting;
        case Phase::awaiting_response:
            return worker.relays_awaiting_response;
        case Phase::relaying:
            return worker.relays_relaying;
        case Phase::answering:
            return worker.relays_answering;
        case Phase::none:
        case Phase::stream:
            break;
    }
    return worker.streams_open;
}

void Engine::count_phase(Ref r, int64_t by) {
    if (r.relay.phase != Phase::none) count(phase_gauge(r.relay.phase), r.shard.gauges.phase(r.relay.phase), by);
}

void Engine::count_relay(Ref r, int64_t by) {
    count(stats_.worker.relays_open, r.shard.gauges.relays, by);
    count(listener_stats(r.relay).open, r.shard.gauges.listeners[r.relay.listener_slot], by);
}

void Engine::count_server(Ref r, int64_t by) {
    count(server_stats(r.relay.server_slot).open, r.shard.gauges.servers[r.relay.server_slot], by);
}

void Engine::set_phase(Ref r, Phase phase, TimeUs deadline) {
    count_phase(r, -1);
    r.relay.phase = phase;
    count_phase(r, 1);
    if (r.relay.setup == store::no_chunk) return;
    Setup& setup = setup_of(r);
    setup.started = now_;
    setup.deadline = deadline;
}

std::optional<uint32_t> Engine::find(Shard& shard, uint32_t hash, const Flow& flow) {
    return shard.flows.find(hash, [&](uint32_t value) {
        const tcp::EndpointHot& hot = shard.relays.at(FlowValue::index(value)).hot(FlowValue::side(value));
        return hot.peer_port == flow.peer_port && hot.local_port == flow.local_port && hot.local_id == flow.local_id &&
               hot.peer == flow.peer;
    });
}

void Engine::on_segment(Shard& shard, uint32_t flow_hash, const wire::TcpSegment& segment, uint16_t local_id,
                        TimeUs now) {
    now_ = now;
    const Flow flow{segment.source, segment.source_port, segment.destination_port, local_id};
    if (const std::optional<uint32_t> value = find(shard, flow_hash, flow))
        segment_for_relay(shard, *value, segment);
    else
        segment_for_no_relay(shard, segment, local_id);
}

void Engine::segment_for_relay(Shard& shard, uint32_t value, const wire::TcpSegment& segment) {
    const Ref r = ref(shard, FlowValue::index(value));
    const Side side = FlowValue::side(value);
    const tcp::Events events = tcp::receive(context(shard), r.relay.endpoint(side), segment,
                                            [&](std::span<const uint8_t> bytes) { return consume(r, side, bytes); });
    // A relay that is drained has only so much time left, whatever its sides still do.
    if ((events.consumed != 0 || events.acked != 0) && !r.relay.has(flag_drain_sent)) {
        const auto now_ms = static_cast<uint32_t>(now_ / us_per_ms);
        (side == Side::client ? r.relay.client_active_ms : r.relay.server_active_ms) = now_ms;
    }
    on_events(r, side, events);
    mark_ready(r);
}

size_t Engine::consume(Ref r, Side side, std::span<const uint8_t> bytes) {
    if (fault(Fault::relay_ack_without_storing) && bytes.size() > 900) return bytes.size();
    if (!r.relay.has_tls(side) || r.relay.phase == Phase::answering) return consume_plain(r, side, bytes);
    if (!tls_end(r, side).established()) return consume_handshake(r, side, bytes);
    const size_t taken = consume_records(r, side, bytes);
    if (side == Side::server && tls_end(r, side).seat != no_seat) harvest(r, bytes.first(taken));
    return taken;
}

size_t Engine::consume_plain(Ref r, Side side, std::span<const uint8_t> bytes) {
    switch (r.relay.phase) {
        case Phase::relaying:
            return pump(r, side, bytes);
        case Phase::answering:
            return bytes.size();  // the client may finish speaking; nobody listens
        case Phase::stream:
            return consume_stream(r, bytes);
        case Phase::reading_head:
        case Phase::connecting:
        case Phase::awaiting_response: {
            Setup& setup = setup_of(r);
            if (side == Side::server) return append(r, setup.response, bytes);
            if (r.relay.phase == Phase::awaiting_response && setup.kind != http::RequestKind::websocket)
                return pump(r, side, bytes);
            return append(r, setup.request, bytes);
        }
        case Phase::tls_handshake:
        case Phase::none:
            break;
    }
    return 0;
}

void Engine::on_events(Ref r, Side side, const tcp::Events& events) {
    if (events.has(tcp::event_established) && side == Side::server) {
        on_server_connected(r);
        // It may be another server now, to which the rest does not apply.
        if (r.relay.is_open(side) && tcp::syn_unacknowledged(r.relay.server_hot)) return;
    }
    // The server's time for its answer begins anew as long as the request moves: at last, when all of it is there.
    if (events.acked != 0 && side == Side::server && r.relay.phase == Phase::awaiting_response)
        setup_of(r).deadline = now_ + response_timeout(setup_of(r));
    const bool noted = std::exchange(tls_noted_, false);
    if (events.consumed != 0 || noted) progress(r);
    bool said_all = events.has(tcp::event_peer_fin);
    if ((noted || said_all) && r.relay.has_tls(side)) said_all = judge_peer(r, side, said_all);
    if (said_all && r.relay.is_open(side)) on_peer_fin(r, side);
    if (events.has(tcp::event_refused) || events.has(tcp::event_reset) || events.has(tcp::event_timed_out))
        on_connection_lost(r, side, events);
    else if (events.has(tcp::event_closed))
        side_done(r, side);
}

void Engine::progress(Ref r) {
    for (const Side side : {Side::client, Side::server})
        if (shakes_hands(r, side)) feed_handshake(r, side);
    if (r.relay.phase == Phase::reading_head) read_request(r);
    if (r.relay.phase == Phase::awaiting_response) read_response(r);
    if (r.relay.setup != store::no_chunk) check_bodies(r);
}

void Engine::on_peer_fin(Ref r, Side side) {
    switch (r.relay.phase) {
        case Phase::tls_handshake:
            if (handshake_goes_on(r, side)) return;
            close_seat(r, side);
            [[fallthrough]];
        case Phase::reading_head:
            r.relay.set_end(Closer::client, CloseReason::fin);
            return close_client(r);
        case Phase::connecting:
        case Phase::awaiting_response:
            if (side == Side::server && shakes_hands(r, side)) return on_fin_in_server_handshake(r);
            if (side == Side::server) return bad_response(r, CloseReason::bad_response);
            return on_client_fin_before_answer(r);
        case Phase::relaying:
            if (r.relay.setup != store::no_chunk && side == Side::server) return end_exchange(r);
            if (fault(Fault::relay_forgets_half_close)) return;
            if (r.relay.setup == store::no_chunk)
                r.relay.set_end(side == Side::client ? Closer::client : Closer::server, CloseReason::fin);
            return finish_side(r, other(side));
        case Phase::stream:
            if (shakes_hands(r, side)) return on_fin_in_server_handshake(r);
            return close_stream(r, StreamEnd::by_server);
        case Phase::answering:
        case Phase::none:
            return;
    }
}

void Engine::on_connection_lost(Ref r, Side side, const tcp::Events& events) {
    const CloseReason reason =
        events.has(tcp::event_timed_out) ? CloseReason::retransmission_timeout : CloseReason::reset;
    const bool had_said_all = r.relay.hot(side).has(tcp::flag_fin_received);
    side_done(r, side);
    if (r.relay.phase == Phase::stream) {
        close_stream(r, events.has(tcp::event_refused)     ? StreamEnd::refused
                        : events.has(tcp::event_timed_out) ? StreamEnd::timed_out
                                                           : StreamEnd::reset);
    } else if (side == Side::client) {
        r.relay.set_end(Closer::client, reason);
        abort_side(r, Side::server);
    } else if (r.relay.phase == Phase::connecting) {
        on_connect_failed(r, events.has(tcp::event_timed_out) ? CloseReason::connect_timeout
                             : events.has(tcp::event_refused) ? CloseReason::connect_refused
                                                              : CloseReason::tls_handshake);
    } else if (r.relay.phase == Phase::awaiting_response) {
        bad_response(r, reason);
    } else if (r.relay.phase == Phase::relaying || fault(Fault::relay_answer_dies_with_server)) {
        r.relay.set_end(Closer::server, reason);
        if (!had_said_all || !linger(r)) abort_side(r, Side::client);
    }
    // In answering nobody needs the server any more: what it said is on its way to the client.
}

/// The server is gone or not needed any more, but the client still gets what is on its way to it, and the FIN behind
/// it. False when there is no memory for the wait.
bool Engine::linger(Ref r) {
    if (r.relay.setup == store::no_chunk) {
        r.relay.setup = r.shard.chunks.allocate(sizeof(Setup));
        if (r.relay.setup == store::no_chunk) return false;
        setup_of(r) = Setup{};
    }
    set_phase(r, Phase::answering, now_ + linger_us);
    mark_ready(r);
    return true;
}

}  // namespace millrace::relay
