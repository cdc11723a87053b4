// Segments out, one flush for each connection and round; timers; and how connections end. A connection is freed in one
// place, finish(), when TCP is done with it.

#include <algorithm>

#include "dataplane/tcp/close.h"
#include "dataplane/tcp/sender.h"
#include "dataplane/tcp/timers.h"
#include "load/engine.h"

namespace millrace::load {
namespace {

constexpr uint32_t flush_burst = 64;  // connections flushed between two looks at the devices
constexpr uint32_t prefetch_ahead = 4;
constexpr uint32_t segments_per_flush = 32;   // of one connection, so that bulk leaves room for the others
constexpr uint32_t receive_space = 4u << 20;  // everything is taken at once
constexpr uint32_t timer_budget = 256;        // wheel entries a millisecond, and as many for each one they are behind
constexpr uint64_t timer_lag_max = 63;
constexpr TimeUs timer_ahead_max_us = 20 * us_per_s;  // well within the 16 bits that are kept of a deadline
constexpr TimeUs unpark_interval_us = 100 * us_per_ms;
constexpr uint32_t unpark_batch = 256;
constexpr uint32_t sweep_ticks = 60'000;  // milliseconds of one pass over all records; fewer when these are fewer

}  // namespace

bool Engine::poll(TimeUs now) {
    now_ = now;
    path_peer_ = {};
    if (now - ticked_at_ >= us_per_ms) {
        ticked_at_ = now;
        if (tables_.half_open.size() != 0)
            tables_.half_open.poll(context(), std::max<size_t>(tables_.half_open.capacity() / 100, 64), 64,
                                   [&](wire::OutboundSegment& segment) { ip_.send_or_drop(segment, now_); });
        const uint64_t now_ms = now / us_per_ms;
        const uint64_t behind = std::min(now_ms - tables_.wheel.current_ms(), timer_lag_max);
        tables_.wheel.advance(now_ms, timer_budget * static_cast<uint32_t>(behind + 1),
                              [&](uint32_t value, uint32_t generation) { on_timer({value}, generation); });
        sweep();
    }
    unpark();
    tables_.ready_most = std::max(tables_.ready_most, tables_.ready.size());
    const uint32_t count = std::min(tables_.ready.size(), flush_burst);
    for (uint32_t i = 0; i < count; ++i) {
        if (tables_.ready.size() > prefetch_ahead) {
            const Ref ahead{tables_.ready.peek(prefetch_ahead)};
            pool(ahead.role()).prefetch(ahead.index());
        }
        flush({tables_.ready.pop()});
    }
    ip_.poll(now);
    return count != 0;
}

void Engine::mark_ready(Ref ref) {
    Connection& connection = at(ref);
    if (connection.has(flag_ready)) return;
    connection.set(flag_ready);
    tables_.ready.push(ref.value);
}

/// The way to a peer is looked up once for all its connections of a round: there are few peers.
net::PathState Engine::path_to(const IpAddress& peer) {
    if (path_peer_ == peer) return net::PathState::ready;
    const net::PathState state = ip_.path(peer, now_, path_);
    path_peer_ = state == net::PathState::ready ? peer : IpAddress{};
    return state;
}

void Engine::flush(Ref ref) {
    Connection& connection = at(ref);
    connection.clear(flag_ready);
    if (connection.hot.state == tcp::State::closed) return finish(ref);
    if (path_to(connection.hot.peer) != net::PathState::ready) {
        if (!connection.has(flag_parked)) {
            connection.set(flag_parked);
            tables_.parked.push(ref.value);
        }
        return;
    }
    const tcp::Context ctx = context();
    const uint32_t credit = std::min(ip_.credit(path_), segments_per_flush);
    if (connection.has(flag_reset) && credit != 0) {
        if (auto reset = tcp::abort(ctx, connection.endpoint())) ip_.send(path_, *reset);
        return finish(ref);
    }
    const tcp::FlushResult result = tcp::flush(ctx, connection.endpoint(), receive_space, credit,
                                               [&](wire::OutboundSegment& segment) { ip_.send(path_, segment); });
    if (result.wants_credit || connection.has(flag_reset)) {
        mark_ready(ref);
    } else if (connection.hot.state == tcp::State::time_wait) {
        tables_.time_wait.insert(ctx, connection.endpoint(),
                                 config_.local_addresses()[connection.hot.local_id].address);
        return finish(ref);
    }
    schedule(ref, connection);
}

/// Keeps at most one entry that counts in the wheel; it is looked at again when it fires.
void Engine::schedule(Ref ref, Connection& connection) {
    const std::optional<TimeUs> deadline = tcp::next_deadline(context(), connection.endpoint());
    if (!deadline) return;
    const TimeUs at_us = std::clamp(*deadline, now_, now_ + timer_ahead_max_us);
    const uint64_t deadline_ms = at_us / us_per_ms + 1;
    auto low = static_cast<uint16_t>(deadline_ms);
    if (low == 0) low = 1;  // 0 says that no entry is pending
    if (connection.scheduled_ms != 0 && static_cast<int16_t>(low - connection.scheduled_ms) >= 0) return;
    if (tables_.wheel.schedule(ref.value, connection.generation, deadline_ms)) connection.scheduled_ms = low;
}

void Engine::on_timer(Ref ref, uint32_t generation) {
    Connection* connection = pool(ref.role()).get({ref.index(), generation});
    if (connection == nullptr) return;
    // An entry that a nearer deadline overtook fires in vain; the nearer one has its own.
    const auto now_ms = static_cast<uint16_t>(now_ / us_per_ms);
    if (connection->scheduled_ms == 0 || static_cast<int16_t>(now_ms - connection->scheduled_ms) < 0) return;
    connection->scheduled_ms = 0;
    on_events(ref, tcp::on_deadline(context(), connection->endpoint()));
    mark_ready(ref);
}

void Engine::on_events(Ref ref, const tcp::Events& events) {
    if (events.acked != 0) observer_.on_acknowledged(ref);
    if (events.has(tcp::event_peer_fin)) {
        tell_end(ref, End::peer_closed);
        finish_sending(ref);
    }
    if (events.has(tcp::event_refused)) tell_end(ref, End::refused);
    if (events.has(tcp::event_reset)) tell_end(ref, End::reset);
    if (events.has(tcp::event_timed_out)) tell_end(ref, End::timed_out);
}

/// Frees what time has made useless, so that an idle connection holds no chunk for long.
void Engine::sweep() {
    for (const Role role : {Role::client, Role::server}) {
        store::RecordPool<Connection>& records = pool(role);
        uint32_t& at = sweep_at_[static_cast<size_t>(role)];
        for (uint32_t left = records.high_water() / sweep_ticks + 1; left > 0; --left) {
            if (at >= records.high_water()) at = 0;
            if (records.is_live(at)) tcp::on_sweep(context(), records.at(at).endpoint());
            ++at;
        }
    }
}

void Engine::unpark() {
    if (tables_.parked.empty()) return;
    const bool changed = ip_.neighbours().changes() != seen_neighbour_changes_;
    if (!changed && now_ - unparked_at_ < unpark_interval_us) return;
    seen_neighbour_changes_ = ip_.neighbours().changes();
    unparked_at_ = now_;
    for (uint32_t left = changed ? tables_.parked.size() : std::min(tables_.parked.size(), unpark_batch); left > 0;
         --left) {
        const Ref ref{tables_.parked.pop()};
        at(ref).clear(flag_parked);
        mark_ready(ref);
    }
}

void Engine::close(Ref ref, bool by_reset) {
    Connection& connection = at(ref);
    if (connection.phase == Phase::closing || connection.phase == Phase::none) return;
    connection.phase = Phase::closing;
    if (by_reset) return abort(ref);
    finish_sending(ref);
    mark_ready(ref);
}

/// A FIN behind everything that was sent, and with TLS a close_notify before it.
void Engine::finish_sending(Ref ref) {
    if (has_tls(ref) && tls_end(ref).established() && (tls_end(ref).slot.flags & tls::close_notify_sent) == 0)
        send_alert(ref, tls::Alert::close_notify);
    tcp::shutdown_send(context(), at(ref).endpoint());
}

void Engine::abort(Ref ref) {
    at(ref).set(flag_reset);
    mark_ready(ref);
}

/// Once for each connection: what comes later of its end is no news.
void Engine::tell_end(Ref ref, End end) {
    Connection& connection = at(ref);
    if (connection.has(flag_told)) return;
    // What close() asked for has come about, whoever was first.
    if (connection.phase == Phase::closing && end != End::closed) {
        if (end == End::peer_closed) return;
        end = End::closed;
    }
    connection.set(flag_told);
    observer_.on_end(ref, end);
    connection.phase = Phase::closing;
}

void Engine::finish(Ref ref) {
    Connection& connection = at(ref);
    if (connection.has(flag_parked)) return;  // it is freed when it leaves that queue
    tell_end(ref, End::closed);
    const tcp::EndpointHot& hot = connection.hot;
    const uint32_t hash =
        tables_.flow_hash(hot.peer, config_.local_addresses()[hot.local_id].address, hot.peer_port, hot.local_port);
    tables_.flows.erase(hash, ref.value);
    tcp::release(context(), connection.endpoint());
    if (connection.partial != store::no_chunk) tables_.chunks.free(connection.partial);
    if (has_tls(ref)) end_tls(ref);
    pool(ref.role()).free(ref.index());
}

}  // namespace millrace::load
