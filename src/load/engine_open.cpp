// How connections begin: the clients' out of their pool of addresses and ports, the servers' out of handshakes; and
// segments of no connection.

#include "dataplane/tcp/close.h"
#include "dataplane/tcp/setup.h"
#include "load/engine.h"

namespace millrace::load {
namespace {

constexpr uint16_t client_port_low = 10'000, client_port_high = 65'535;
constexpr uint64_t client_ports = client_port_high - client_port_low + 1;
constexpr int tuple_tries = 64;

}  // namespace

/// Targets first, then addresses, then ports, so that every run of connections is spread as far as it goes.
bool Engine::next_tuple(tcp::Tuple& tuple, uint16_t& local_id, uint32_t& hash) {
    for (int tries = 0; tries < tuple_tries; ++tries) {
        uint64_t number = tuple_at_++;
        const Target& target = targets_[number % targets_.size()];
        number /= targets_.size();
        local_id = client_ids_[number % client_ids_.size()];
        number /= client_ids_.size();
        tuple = {.local = config_.local_addresses()[local_id].address,
                 .peer = target.address,
                 .local_port = static_cast<uint16_t>(client_port_low + number % client_ports),
                 .peer_port = target.port};
        if (tuple.local.is_v4() != tuple.peer.is_v4()) continue;
        hash = tables_.flow_hash(tuple.peer, tuple.local, tuple.peer_port, tuple.local_port);
        wire::TcpSegment inbound;
        inbound.source = tuple.peer;
        inbound.destination = tuple.local;
        inbound.source_port = tuple.peer_port;
        inbound.destination_port = tuple.local_port;
        if (!find(hash, inbound)) return true;
    }
    return false;
}

OpenResult Engine::open(uint32_t id, bool transient) {
    tcp::Tuple tuple;
    uint16_t local_id;
    uint32_t hash;
    if (!next_tuple(tuple, local_id, hash)) return OpenResult::no_tuple;
    const uint32_t index = tables_.clients.allocate();
    if (index == store::no_index) return OpenResult::full;
    const Ref ref = Ref::of(Role::client, index);
    if (!tables_.flows.insert(hash, ref.value)) {
        tables_.clients.free(index);
        return OpenResult::full;
    }
    Connection& connection = at(ref);
    const tcp::Context ctx = context();
    tcp::open_active(ctx, connection.endpoint(), tuple, local_id, tables_.time_wait.take(ctx, tuple));
    connection.id = id;
    connection.phase = Phase::connecting;
    if (transient) connection.set(flag_transient);
    mark_ready(ref);
    return OpenResult::opened;
}

void Engine::segment_for_nobody(const wire::TcpSegment& segment, uint16_t local_id) {
    const tcp::Context ctx = context();
    wire::OutboundSegment reply;
    if (tcp::HalfOpen* entry = tables_.half_open.find(ctx, segment)) {
        const auto verdict = tables_.half_open.on_segment(ctx, *entry, segment, reply);
        if (verdict == tcp::HalfOpenTable::Verdict::reply) ip_.send_or_drop(reply, now_);
        if (verdict != tcp::HalfOpenTable::Verdict::complete) return;
        const tcp::HalfOpen agreed = *entry;
        tables_.half_open.remove(*entry);
        return accept(agreed, segment);
    }
    const tcp::TimeWaitTable::Answer waiting = tables_.time_wait.on_segment(ctx, segment, local_id, reply);
    using Verdict = tcp::TimeWaitTable::Verdict;
    if (waiting.verdict == Verdict::reply) return ip_.send_or_drop(reply, now_);
    if (waiting.verdict == Verdict::dropped) return;
    const uint16_t port = segment.destination_port;
    const bool listening = tables_.servers.capacity() > 1 && port >= server_port_low_ && port <= server_port_high_;
    const bool opens = segment.has(wire::tcp_syn) && !segment.has(wire::tcp_ack) && !segment.has(wire::tcp_rst);
    if (!listening) return reset_stranger(segment, local_id);
    if (opens) {
        const auto iss = waiting.verdict == Verdict::reuse ? std::optional(waiting.iss) : std::nullopt;
        if (auto syn_ack = tables_.half_open.on_syn(ctx, segment, local_id, iss)) ip_.send_or_drop(*syn_ack, now_);
        return;
    }
    tcp::HalfOpen agreed;
    switch (tables_.half_open.on_cookie_ack(ctx, segment, local_id, agreed)) {
        case tcp::HalfOpenTable::Verdict::complete:
            return accept(agreed, segment);
        case tcp::HalfOpenTable::Verdict::dropped:
            return;
        default:
            return reset_stranger(segment, local_id);
    }
}

void Engine::accept(const tcp::HalfOpen& entry, const wire::TcpSegment& segment) {
    const uint32_t index = tables_.servers.allocate();
    if (index == store::no_index) return reset_stranger(segment, entry.local_id);
    const Ref ref = Ref::of(Role::server, index);
    const uint32_t hash = tables_.flow_hash(entry.peer, entry.local, entry.peer_port, entry.local_port);
    if (!tables_.flows.insert(hash, ref.value)) {
        tables_.servers.free(index);
        return reset_stranger(segment, entry.local_id);
    }
    ip_.trust_sender(now_);
    Connection& connection = at(ref);
    connection.phase = Phase::upgrading;
    tcp::establish_passive(context(), entry, connection.endpoint());
    segment_for(ref, segment);
}

void Engine::reset_stranger(const wire::TcpSegment& segment, uint16_t local_id) {
    if (auto reset = tcp::reset_for_unknown(segment, local_id)) ip_.send_or_drop(*reset, now_);
}

}  // namespace millrace::load
