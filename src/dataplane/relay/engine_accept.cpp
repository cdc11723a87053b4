// Segments of no relay: handshakes, TIME_WAIT, and the RST that a stranger gets; and the birth of a relay when a
// handshake completes.

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/relay/engine.h"
#include "dataplane/tcp/close.h"
#include "dataplane/tcp/setup.h"

namespace millrace::relay {

void Engine::segment_for_no_relay(Shard& shard, const wire::TcpSegment& segment, uint16_t local_id) {
    const tcp::Context ctx = context(shard);
    if (tcp::HalfOpen* entry = shard.half_open.find(ctx, segment)) return on_half_open(shard, *entry, segment);

    wire::OutboundSegment reply;
    const tcp::TimeWaitTable::Answer waiting = shard.time_wait.on_segment(ctx, segment, local_id, reply);
    using Verdict = tcp::TimeWaitTable::Verdict;
    if (waiting.verdict == Verdict::dropped) return;
    if (waiting.verdict == Verdict::reply) return ip_.send_or_drop(reply, now_);

    if (config_->find_listener(segment.destination, segment.destination_port) == nullptr)
        return reset_stranger(segment, local_id);
    if (segment.has(wire::tcp_syn) && !segment.has(wire::tcp_ack) && !segment.has(wire::tcp_rst)) {
        const std::optional<tcp::Seq> iss =
            waiting.verdict == Verdict::reuse ? std::optional(waiting.iss) : std::nullopt;
        if (auto syn_ack = shard.half_open.on_syn(ctx, segment, local_id, iss)) ip_.send_or_drop(*syn_ack, now_);
        return;
    }
    tcp::HalfOpen agreed;
    switch (shard.half_open.on_cookie_ack(ctx, segment, local_id, agreed)) {
        case tcp::HalfOpenTable::Verdict::complete:
            return accept(shard, agreed, segment);
        case tcp::HalfOpenTable::Verdict::dropped:
            return;
        default:
            return reset_stranger(segment, local_id);
    }
}

void Engine::reset_stranger(const wire::TcpSegment& segment, uint16_t local_id) {
    if (auto reset = tcp::reset_for_unknown(segment, local_id)) {
        ++stats_.worker.unknown_flow_resets;
        ip_.send_or_drop(*reset, now_);
    }
}

void Engine::on_half_open(Shard& shard, tcp::HalfOpen& entry, const wire::TcpSegment& segment) {
    wire::OutboundSegment reply;
    switch (shard.half_open.on_segment(context(shard), entry, segment, reply)) {
        case tcp::HalfOpenTable::Verdict::unknown:
        case tcp::HalfOpenTable::Verdict::dropped:
            return;
        case tcp::HalfOpenTable::Verdict::reply:
            return ip_.send_or_drop(reply, now_);
        case tcp::HalfOpenTable::Verdict::complete: {
            const tcp::HalfOpen agreed = entry;
            shard.half_open.remove(entry);
            return accept(shard, agreed, segment);
        }
    }
}

void Engine::accept(Shard& shard, const tcp::HalfOpen& entry, const wire::TcpSegment& segment) {
    const config::Listener* listener = config_->find_listener(entry.local, entry.local_port);
    const bool scarce = listener != nullptr && shard.shortage() >= Shortage::scarce;
    const bool tls = listener != nullptr && listener->record->tls != 0;
    if (scarce) ++stats_.worker.refused_for_memory;
    const bool unable = listener == nullptr || scarce || (tls && handshakes_ == nullptr);
    const std::optional<Ref> made = unable ? std::nullopt : make_relay(shard);
    if (!made) {
        // The listener is gone, or a limit is reached: tell the client at once instead of letting it wait.
        return reset_stranger(segment, entry.local_id);
    }
    const Ref r = *made;
    const tcp::Context ctx = context(shard);
    const uint32_t hash = shard.flow_hash(entry.peer, entry.local, entry.peer_port, entry.local_port);
    if (!shard.flows.insert(hash, FlowValue::pack(r.index, Side::client))) {
        ++stats_.worker.relays_exhausted;
        free_setup(r);
        shard.relays.free(r.index);
        return reset_stranger(segment, entry.local_id);
    }
    ip_.trust_sender(now_);
    tcp::establish_passive(ctx, entry, r.relay.endpoint(Side::client));

    r.relay.set(flag_client_open);
    r.relay.listener_slot = listener->record->slot;
    count_relay(r, 1);
    ++listener_stats(r.relay).accepted;
    Setup& setup = setup_of(r);
    setup.balance_hash =
        client_hash(fault(Fault::relay_balances_by_shard) ? shard.flow_key : balance_key, r.relay.client_hot.peer);
    if (tls)
        begin_client_handshake(r, *listener);
    else
        await_request(r, *listener);
    segment_for_relay(shard, FlowValue::pack(r.index, Side::client), segment);
}

/// The client may speak now, in its own words.
void Engine::await_request(Ref r, const config::Listener& listener) {
    set_phase(r, Phase::reading_head, now_ + listener.record->head_timeout_ms * us_per_ms);
    if (listener.record->mode == ListenerMode::tcp) connect_first(r, config_->backends()[listener.routes[0].backend]);
}

std::optional<Engine::Ref> Engine::make_relay(Shard& shard) {
    const uint32_t index = shard.relays.allocate();
    if (index == store::no_index) {
        ++stats_.worker.relays_exhausted;
        return std::nullopt;
    }
    const Ref r = ref(shard, index);
    r.relay.setup = shard.chunks.allocate(sizeof(Setup));
    if (r.relay.setup == store::no_chunk) {
        ++stats_.worker.chunks_exhausted;
        shard.relays.free(index);
        return std::nullopt;
    }
    setup_of(r) = Setup{};
    const auto now_ms = static_cast<uint32_t>(now_ / us_per_ms);
    r.relay.listener_slot = no_slot;
    r.relay.server_slot = no_slot;
    r.relay.client_active_ms = now_ms;
    r.relay.server_active_ms = now_ms;
    r.relay.opened_ms = now_ms;
    r.relay.connection_id = connection_id_base_ + ++shard.connections * shard_max + shard.number;
    return r;
}

void Engine::poll_half_open(Shard& shard) {
    if (shard.half_open.size() == 0) return;
    // The whole table in 100 ms, in steps of a millisecond.
    const size_t step = std::max<size_t>(shard.half_open.capacity() / 100, 64);
    shard.half_open.poll(context(shard), step, 64,
                         [&](wire::OutboundSegment& segment) { ip_.send_or_drop(segment, now_); });
}

}  // namespace millrace::relay
