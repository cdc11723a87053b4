// Segments out and everything that time does: one flush per touched relay and burst, lazy timers, and the slow sweep
// that finds idle relays. An idle relay stands in no timer: the sweep visits every record at least once in ten seconds.

#include <algorithm>
#include <functional>

#include "dataplane/base/fault.h"
#include "dataplane/base/stage_clock.h"
#include "dataplane/relay/engine.h"
#include "dataplane/relay/overtaken.h"
#include "dataplane/tcp/close.h"
#include "dataplane/tcp/keepalive.h"
#include "dataplane/tcp/path_mtu.h"
#include "dataplane/tcp/sender.h"
#include "dataplane/tcp/timers.h"

namespace millrace::relay {
namespace {

constexpr uint32_t flush_burst = 64;         // relays flushed between two looks at the devices
constexpr uint32_t segments_per_flush = 32;  // of one side, so that bulk leaves room for the others
constexpr uint32_t timer_budget = 256;       // wheel entries a millisecond, and as many for each one they are behind
constexpr uint64_t timer_lag_max = 63;       // milliseconds that count for that: a poll takes some milliseconds at most
constexpr TimeUs unpark_interval_us = 100 * us_per_ms;
constexpr uint32_t unpark_batch = 256;  // of a shard: a dead host's relays shall not hold up the others'
constexpr TimeUs tick_us = us_per_ms;
constexpr uint32_t sweep_ticks = 10'000;        // ticks for one pass over all records; fewer when these are fewer
constexpr uint32_t path_probe_ticks = 600'000;  // between tries of a larger path MTU, on the average

}  // namespace

bool Engine::poll(TimeUs now) {
    now_ = now;
    capture_.poll(now);
    bool worked = poll_commands();
    if (handshakes_ != nullptr) worked = poll_handshakes() || worked;
    const bool tick = now - ticked_at_ >= tick_us;
    if (tick) {
        ticked_at_ = now;
        read_other_counts();
        release_idle_seat();
    }
    const bool neighbours_changed = ip_.neighbours().changes() != seen_neighbour_changes_;
    uint32_t unpark_most = 0;
    if (neighbours_changed || now - unparked_at_ >= unpark_interval_us) {
        seen_neighbour_changes_ = ip_.neighbours().changes();
        unparked_at_ = now;
        unpark_most = neighbours_changed ? UINT32_MAX : unpark_batch;
    }
    for (Shard* shard : shards_) {
        if (tick) {
            poll_half_open(*shard);
            sweep(*shard);
            relieve(*shard);
            turn_wheel(*shard);
        }
        unpark(*shard, unpark_most);
        worked = flush_ready(*shard) || worked;
    }
    if (pinger_.active()) poll_pings();
    ip_.poll(now);
    return worked;
}

void Engine::turn_wheel(Shard& shard) {
    const StageTime<Stage::timers> time;
    const uint64_t now_ms = now_ / us_per_ms;
    const uint64_t behind = std::min(now_ms - shard.wheel.current_ms(), timer_lag_max);
    shard.wheel.advance(
        now_ms, timer_budget * static_cast<uint32_t>(behind + 1), [&](uint32_t index) { shard.relays.prefetch(index); },
        [&](uint32_t index, uint32_t generation) { on_timer(shard, index, generation); });
}

void Engine::mark_ready(Ref r) {
    if (r.relay.has(flag_ready)) return;
    r.relay.set(flag_ready);
    r.shard.ready.push(r.index);
}

/// Flushes a bounded number of those that are ready. True when there was one.
bool Engine::flush_ready(Shard& shard) {
    const uint32_t count = std::min(shard.ready.size(), flush_burst);
    for (uint32_t i = 0; i < count; ++i) flush(ref(shard, shard.ready.pop()));
    return count != 0;
}

/// Keeps flag_ready while it works, so that a side which ends here does not put the relay, about to be freed, into the
/// queue again.
void Engine::flush(Ref r) {
    Outcome outcome = Outcome::done;
    for (const Side side : {Side::server, Side::client}) outcome = std::max(outcome, flush_side(r, side));
    // One that is parked is freed when it leaves that queue.
    if (!r.relay.any_open() && !r.relay.has(flag_parked)) return finish(r);
    r.relay.clear(flag_ready);
    if (outcome == Outcome::unresolved && !r.relay.has(flag_parked)) {
        r.relay.set(flag_parked);
        r.shard.parked.push(r.index);
    } else if (outcome == Outcome::wants_credit) {
        mark_ready(r);
    } else if (outcome == Outcome::unreachable) {
        on_server_unreachable(r);
    }
    schedule(r);
}

Engine::Outcome Engine::flush_side(Ref r, Side side) {
    if (!r.relay.is_open(side)) return Outcome::done;
    const tcp::Context ctx = context(r.shard);
    const tcp::Endpoint ep = r.relay.endpoint(side);
    const uint32_t space = receive_space(r, side);
    // Without credit nothing moves and the answer tells whether anything would.
    if (ep.hot.state != tcp::State::time_wait && !tcp::flush(ctx, ep, space, 0, [](const auto&) {}).wants_credit)
        return Outcome::done;
    net::Path path;
    const net::PathState state = ip_.path(ep.hot.peer, now_, path);
    if (state == net::PathState::ready) {
        const uint32_t credit = std::min(ip_.credit(path), segments_per_flush);
        const tcp::FlushResult result =
            tcp::flush(ctx, ep, space, credit, [&](wire::OutboundSegment& segment) { ip_.send(path, segment); });
        if (result.wants_credit) return Outcome::wants_credit;
    } else if (ep.hot.state != tcp::State::time_wait) {
        const bool gives_up = ep.hot.state == tcp::State::syn_sent && state != net::PathState::unresolved;
        return gives_up ? Outcome::unreachable : Outcome::unresolved;
    }
    // Without a path its last ACK is lost: the table repeats it when the peer's FIN comes again.
    if (ep.hot.state == tcp::State::time_wait) {
        r.shard.time_wait.insert(ctx, ep, config_->local_addresses()[ep.hot.local_id].address);
        side_done(r, side);
    }
    return Outcome::done;
}

/// Sees to it that an entry of the wheel fires by the next deadline: the one at scheduled_ms. The one that it may have
/// overtaken is found again later.
void Engine::schedule(Ref r) {
    const TimeUs deadline = next_deadline(r);
    if (deadline == store::TimerWheel::never) return;
    if (fault(Fault::relay_timer_forgotten) && r.relay.phase == Phase::relaying) return;
    const uint64_t present_ms = r.shard.wheel.current_ms();
    uint64_t entry_ms = timer_entry_ms(std::max(deadline, now_) / us_per_ms + 1, present_ms);
    const uint32_t scheduled_ms = r.relay.scheduled_ms;
    if (scheduled_ms != 0 && static_cast<int32_t>(static_cast<uint32_t>(entry_ms) - scheduled_ms) >= 0) return;
    const uint64_t pending_ms = overtaken_ms(r.relay.overtaken, present_ms);
    const bool found = scheduled_ms == 0 && r.relay.overtaken != 0 && pending_ms <= entry_ms;
    if (found)
        entry_ms = pending_ms;
    else if (!r.shard.wheel.schedule(r.index, r.relay.generation, entry_ms))
        return;
    if (found || overtaken_slot(scheduled_ms) != 0) r.relay.overtaken = overtaken_slot(scheduled_ms);
    r.relay.scheduled_ms = std::max(static_cast<uint32_t>(entry_ms), 1u);  // 0 says that no entry is pending
}

TimeUs Engine::next_deadline(Ref r) {
    const tcp::Context ctx = context(r.shard);
    TimeUs deadline = store::TimerWheel::never;
    for (const Side side : {Side::client, Side::server}) {
        if (!r.relay.is_open(side)) continue;
        if (const auto own = tcp::next_deadline(ctx, r.relay.endpoint(side))) deadline = std::min(deadline, *own);
    }
    if (r.relay.setup != store::no_chunk) deadline = std::min(deadline, setup_of(r).deadline);
    return deadline;
}

void Engine::on_timer(Shard& shard, uint32_t index, uint32_t generation) {
    if (shard.relays.get({index, generation}) == nullptr) return;
    const Ref r = ref(shard, index);
    const auto now_ms = static_cast<uint32_t>(now_ / us_per_ms);
    if (r.relay.overtaken != 0 && overtaken_slot(shard.wheel.current_ms()) == r.relay.overtaken) r.relay.overtaken = 0;
    // An entry that a nearer deadline overtook fires in vain; the nearer one has its own.
    if (r.relay.scheduled_ms == 0 || static_cast<int32_t>(now_ms - r.relay.scheduled_ms) < 0) return;
    r.relay.scheduled_ms = 0;
    on_deadlines(r);
}

void Engine::on_deadlines(Ref r) {
    if (!r.relay.any_open()) return;  // ended in this very moment, and about to be freed
    for (const Side side : {Side::client, Side::server}) {
        if (!r.relay.is_open(side)) continue;
        const tcp::Events events = tcp::on_deadline(context(r.shard), r.relay.endpoint(side));
        if (events.ended()) on_events(r, side, events);
    }
    if (r.relay.any_open() && r.relay.setup != store::no_chunk && setup_of(r).deadline <= now_) on_phase_deadline(r);
    mark_ready(r);
}

void Engine::on_phase_deadline(Ref r) {
    switch (r.relay.phase) {
        case Phase::tls_handshake:
            return on_client_handshake_deadline(r);
        case Phase::reading_head: {
            const Setup& setup = setup_of(r);
            if (setup.request != store::no_chunk) return answer_error(r, 408, CloseReason::head_timeout);
            // Nothing was asked, so there is nothing to answer.
            r.relay.set_end(Closer::balancer, CloseReason::head_timeout);
            return close_client(r);
        }
        case Phase::connecting:
            if (r.relay.has_tls(Side::server) && !tcp::syn_unacknowledged(r.relay.server_hot))
                return on_server_handshake_deadline(r);
            return on_connect_failed(r, CloseReason::connect_timeout);
        case Phase::awaiting_response: {
            const bool client_owes =
                !setup_of(r).request_body.done() && tcp::send_queue_bytes(r.relay.server_warm) == 0;
            if (client_owes) return answer_error(r, 408, CloseReason::body_timeout);
            return bad_response(r, CloseReason::upgrade_timeout);
        }
        case Phase::stream:
            if (shakes_hands(r, Side::server) && !tcp::syn_unacknowledged(r.relay.server_hot))
                return on_server_handshake_deadline(r);
            return close_stream(r, StreamEnd::timed_out);
        case Phase::answering:
            abort_side(r, Side::server);
            if (tcp::send_queue_bytes(r.relay.client_warm) == 0) {
                // It has everything. Who took the last of it just now gets the same time to close, once.
                if (setup_of(r).all_taken != 0) return abort_side(r, Side::client);
                setup_of(r).all_taken = 1;
            }
            // Still reading: its own idle timeout bounds how long.
            setup_of(r).deadline = now_ + linger_us;
            return;
        case Phase::relaying:
        case Phase::none:
            return;
    }
}

void Engine::unpark(Shard& shard, uint32_t most) {
    for (uint32_t count = std::min(shard.parked.size(), most); count > 0; --count) {
        const Ref r = ref(shard, shard.parked.pop());
        r.relay.clear(flag_parked);
        mark_ready(r);
    }
}

void Engine::sweep(Shard& shard) {
    const uint32_t end = shard.relays.high_water();
    for (uint32_t left = end / sweep_ticks + 1; left > 0 && end != 0; --left) {
        if (shard.sweep >= end) shard.sweep = 0;
        const uint32_t index = shard.sweep++;
        shard.relays.prefetch(shard.sweep + 4);
        if (shard.relays.is_live(index)) sweep_one(ref(shard, index));
    }
}

void Engine::sweep_one(Ref r) {
    // Where the wheel had no room for its deadline, this is what finds it.
    const bool forgotten = r.shard.wheel.exhausted_total() != 0 && r.relay.scheduled_ms == 0;
    if (forgotten && next_deadline(r) <= now_) on_deadlines(r);
    for (const Side side : {Side::client, Side::server})
        if (r.relay.is_open(side)) tcp::on_sweep(context(r.shard), r.relay.endpoint(side));
    if (r.relay.phase != Phase::relaying && r.relay.phase != Phase::answering) return;
    const auto now_ms = static_cast<uint32_t>(now_ / us_per_ms);
    if (r.relay.age_ms(now_) > Relay::age_ms_max) r.relay.opened_ms = now_ms - Relay::age_ms_max;
    const uint32_t client_silence_ms = now_ms - r.relay.client_active_ms;
    if (r.relay.has(flag_drain_sent)) {
        if (client_silence_ms > linger_us / us_per_ms) abort(r, Closer::balancer, CloseReason::idle_timeout);
        return;
    }
    // A side that has closed is silent by right; the other one may still be reading.
    const bool client_idle = r.relay.is_open(Side::client) &&
                             client_silence_ms > config_->listener_by_slot(r.relay.listener_slot).idle_timeout_ms;
    const bool server_idle =
        r.relay.is_open(Side::server) &&
        now_ms - r.relay.server_active_ms > config_->server_by_slot(r.relay.server_slot).idle_timeout_ms;
    if (client_idle || server_idle) return drain(r, now_ms);
    if (keep_alive(r, Side::client, config_->listener_by_slot(r.relay.listener_slot).keepalive) &&
        r.relay.is_open(Side::server))
        keep_alive(r, Side::server, config_->server_by_slot(r.relay.server_slot).keepalive);
}

/// What the path to the side's peer, and the peer itself, are asked now and then. False when the relay has ended.
bool Engine::keep_alive(Ref r, Side side, const KeepaliveRecord& settings) {
    if (!r.relay.is_open(side)) return true;
    const tcp::Context ctx = context(r.shard);
    const tcp::Endpoint ep = r.relay.endpoint(side);
    const uint32_t pass_ticks = std::clamp(r.shard.relays.high_water(), 1u, sweep_ticks);
    if (ep.warm.mss_full != 0 && random() % (path_probe_ticks / pass_ticks) == 0) tcp::path_mtu_raise(ctx, ep);
    switch (tcp::keepalive_step(ctx, ep, settings)) {
        case tcp::KeepaliveStep::none:
            return true;
        case tcp::KeepaliveStep::probe:
            mark_ready(r);
            return true;
        case tcp::KeepaliveStep::dead:
            abort(r, side == Side::client ? Closer::client : Closer::server, CloseReason::keepalive_timeout);
            return false;
    }
    return true;
}

/// Both sides get a FIN and some seconds to answer it.
void Engine::drain(Ref r, uint32_t now_ms) {
    r.relay.set(flag_drain_sent);
    r.relay.client_active_ms = now_ms;
    r.relay.set_end(Closer::balancer, CloseReason::idle_timeout);
    for (const Side side : {Side::client, Side::server})
        if (r.relay.is_open(side)) finish_side(r, side);
    mark_ready(r);
}

void Engine::publish_handshakes() {
    TlsStats& tls = stats_.worker.tls;
    Handshakes::Load load = handshakes_->load();
    tls.crypto_waiting = load.waiting;
    tls.crypto_steps = load.steps;
    tls.crypto_busy_us = load.busy_us;
    tls.crypto_wait_us = load.wait_us;
    tls.seats_waited_for = 0;
    for (const WaitingQueue& queue : waiting_) tls.seats_waited_for += queue.count - std::min(queue.gone, queue.count);
    std::ranges::copy(load.tallies.suites, tls.tallies.suites.begin());
    std::ranges::copy(load.tallies.groups, tls.tallies.groups.begin());
    std::ranges::transform(load.tallies.alerts_in, tls_->tallies.alerts_in, tls.tallies.alerts_in.begin(), std::plus());
    std::ranges::transform(load.tallies.alerts_out, tls_->tallies.alerts_out, tls.tallies.alerts_out.begin(),
                           std::plus());
}

void Engine::publish_gauges() {
    WorkerStats& worker = stats_.worker;
    worker.chunk_bytes = worker.chunk_slab_bytes = worker.flow_table_bytes = worker.timer_bytes = worker.half_open = 0;
    worker.chunk_bytes_free = worker.timers_exhausted = worker.timer_lag_ms = 0;
    for (const Shard* shard : shards_) {
        worker.chunk_bytes += shard->chunks.bytes_in_use();
        worker.chunk_slab_bytes += shard->chunks.bytes_of_slabs();
        worker.chunk_bytes_free += shard->chunks.bytes_free();
        worker.flow_table_bytes += shard->flows.bytes_in_use();
        worker.timer_bytes += shard->wheel.bytes_in_use();
        worker.timer_lag_ms = std::max<uint64_t>(worker.timer_lag_ms, now_ / us_per_ms - shard->wheel.current_ms());
        worker.timers_exhausted += shard->wheel.exhausted_total();
        worker.half_open += shard->half_open.size();
    }
    if (handshakes_ != nullptr) publish_handshakes();
    worker.ip = ip_.counters();
    worker.neighbours_evicted = ip_.neighbours().evicted_total();
    worker.commands_malformed = control_.malformed();
    for (const ServerRecord& server : config_->snapshot().servers())
        server_stats(server.slot).ejected = is_ejected(server.slot) ? 1 : 0;
}

}  // namespace millrace::relay
