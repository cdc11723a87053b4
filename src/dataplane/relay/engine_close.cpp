// Ends. A side is done when its connection is closed, reset, or handed to the TIME_WAIT table; a relay is gone when
// both are. Nothing is freed in the middle of a call chain: finish() is called by flush() alone.

#include <time.h>

#include "dataplane/base/fault.h"
#include "dataplane/relay/engine.h"
#include "dataplane/tcp/close.h"

namespace millrace::relay {

/// Resets one side's connection, if it is open.
void Engine::abort_side(Ref r, Side side) {
    if (!r.relay.is_open(side)) return;
    if (auto reset = tcp::abort(context(r.shard), r.relay.endpoint(side))) ip_.send_or_drop(*reset, now_);
    side_done(r, side);
}

void Engine::abort(Ref r, Closer closer, CloseReason reason) {
    r.relay.set_end(closer, reason);
    if (r.relay.phase == Phase::stream) tell_stream_closed(r, StreamEnd::no_memory);
    abort_side(r, Side::client);
    abort_side(r, Side::server);
    mark_ready(r);
}

/// The side's connection is no more: its flow is unknown from now on and its chunks are free.
void Engine::side_done(Ref r, Side side) {
    const RelayFlag open = side == Side::client ? flag_client_open : flag_server_open;
    if (!r.relay.has(open)) return;
    r.relay.clear(open);
    if (r.relay.has_tls(side)) close_seat(r, side);
    const tcp::EndpointHot& hot = r.relay.hot(side);
    const IpAddress& local = config_->local_addresses()[hot.local_id].address;
    const uint32_t hash = r.shard.flow_hash(hot.peer, local, hot.peer_port, hot.local_port);
    const bool erased = r.shard.flows.erase(hash, FlowValue::pack(r.index, side));
    MILLRACE_ASSERT(erased);
    if (!fault(Fault::relay_leaks_chunks)) tcp::release(context(r.shard), r.relay.endpoint(side));
    if (side == Side::server && r.relay.has(flag_server_counted)) {
        if (!fault(Fault::relay_server_stays_counted)) count_server(r, -1);
        r.relay.clear(flag_server_counted);
    }
    mark_ready(r);
}

void Engine::finish(Ref r) {
    if (r.relay.phase != Phase::stream) {
        write_event(r, RelayEventKind::closed);
        count_relay(r, -1);
    }
    set_phase(r, Phase::none, 0);
    for (const Side side : {Side::client, Side::server})
        if (r.relay.has_tls(side)) end_tls(r, side);
    free_setup(r);
    r.shard.relays.free(r.index);
}

void Engine::free_setup(Ref r) {
    if (r.relay.setup == store::no_chunk) return;
    const Setup& setup = setup_of(r);
    if (setup.request != store::no_chunk) r.shard.chunks.free(setup.request);
    if (setup.response != store::no_chunk) r.shard.chunks.free(setup.response);
    if (setup.subject != store::no_chunk) r.shard.chunks.free(setup.subject);
    r.shard.chunks.free(r.relay.setup);
    r.relay.setup = store::no_chunk;
}

void Engine::write_event(Ref r, RelayEventKind kind) {
    const Relay& relay = r.relay;
    RelayEvent event{};
    timespec wall{};
    clock_gettime(CLOCK_REALTIME, &wall);  // answered by the vDSO: no system call
    event.unix_time_us = static_cast<uint64_t>(wall.tv_sec) * us_per_s + static_cast<uint64_t>(wall.tv_nsec) / 1000;
    event.connection_id = relay.connection_id;
    event.duration_us = relay.age_ms(now_) * us_per_ms;
    event.bytes_up = relay.bytes_up;
    event.bytes_down = relay.bytes_down;
    event.client = relay.client_hot.peer;
    event.client_port = relay.client_hot.peer_port;
    event.listener_slot = relay.listener_slot;
    event.server_slot = relay.server_slot;
    if (relay.server_slot != no_slot) {
        event.server = relay.server_hot.peer;
        event.server_port = relay.server_hot.peer_port;
    }
    event.kind = kind;
    if (kind == RelayEventKind::closed) {
        event.closer = relay.closer();
        event.reason = relay.reason();
    }
    if (relay.has(flag_websocket))
        event.http_status = 101;
    else if (relay.setup != store::no_chunk)
        event.http_status = setup_of(r).http_status;
    control_.write(event);
    ++stats_.worker.events_written;
}

void Engine::abort_all(TimeUs now) {
    now_ = now;
    for (Shard* shard : shards_) {
        shard->relays.for_each_live(
            [&](uint32_t index, Relay&) { abort(ref(*shard, index), Closer::balancer, CloseReason::shutdown); });
        unpark(*shard, UINT32_MAX);
        while (flush_ready(*shard)) {
        }
    }
}

}  // namespace millrace::relay
