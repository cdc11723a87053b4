#include "dataplane/tcp/close.h"

#include <cstring>

#include "dataplane/tcp/extension.h"
#include "dataplane/tcp/segment.h"

namespace millrace::tcp {
namespace {

using store::ChunkId;
using store::no_chunk;

/// RFC 9293 §3.10.5: the states in which the peer still has something that a RST would end.
bool peer_needs_reset(State state) {
    switch (state) {
        case State::syn_received:
        case State::established:
        case State::fin_wait_1:
        case State::fin_wait_2:
        case State::close_wait:
            return true;
        default:
            return false;
    }
}

}  // namespace

void shutdown_send(const Context& ctx, Endpoint ep) {
    (void)ctx;
    const State state = ep.hot.state;
    if (syn_unacknowledged(ep.hot) || state == State::established || state == State::close_wait)
        ep.hot.set(flag_fin_queued);
}

std::optional<wire::OutboundSegment> abort(const Context& ctx, Endpoint ep) {
    std::optional<wire::OutboundSegment> reset;
    if (peer_needs_reset(ep.hot.state)) {
        reset.emplace();
        reset->local_id = ep.hot.local_id;
        wire::TcpSegment& header = reset->header;
        header.destination = ep.hot.peer;
        header.source_port = ep.hot.local_port;
        header.destination_port = ep.hot.peer_port;
        header.seq = ep.hot.snd_nxt.value;
        header.ack = ep.hot.rcv_nxt.value;
        header.flags = wire::tcp_rst | wire::tcp_ack;
        ++ctx.counters.resets_out;
        ++ctx.counters.segments_out;
    }
    release(ctx, ep);
    return reset;
}

void release(const Context& ctx, Endpoint ep) {
    // The links are read before their chunk is freed; the record forgets them first, so that a crash leaks a chunk
    // (found by the next recovery) rather than frees one twice.
    const ChunkId tail = ep.hot.send_tail;
    ChunkId reassembly = no_chunk;
    if (const Extension* state = extension(ctx, ep)) reassembly = state->reassembly;
    const ChunkId extension_chunk = ep.warm.extension;
    ep.hot.state = State::closed;
    ep.hot.flags = 0;
    ep.hot.send_tail = no_chunk;
    ep.hot.send_cursor = no_chunk;
    ep.warm.extension = no_chunk;
    ep.warm.queued = 0;

    if (tail != no_chunk) {
        ChunkId id = ctx.chunks.header(tail).next;
        while (true) {
            const ChunkId next = ctx.chunks.header(id).next;
            ctx.chunks.free(id);
            if (id == tail) break;
            id = next;
        }
    }
    while (reassembly != no_chunk) {
        const ChunkId next = ctx.chunks.header(reassembly).next;
        ctx.chunks.free(reassembly);
        reassembly = next;
    }
    if (extension_chunk != no_chunk) ctx.chunks.free(extension_chunk);
}

bool for_each_chunk(const store::ChunkStore& chunks, const EndpointHot& hot, const EndpointWarm& warm,
                    FunctionRef<bool(ChunkId)> visit) {
    if (hot.send_tail != no_chunk) {
        ChunkId id = hot.send_tail;
        do {
            if (!visit(id)) return false;
            id = chunks.header(id).next;
        } while (id != hot.send_tail);
    }
    if (warm.extension == no_chunk) return true;
    if (!visit(warm.extension) || chunks.payload(warm.extension).size() != sizeof(Extension)) return false;
    Extension state;
    std::memcpy(&state, chunks.payload(warm.extension).data(), sizeof(state));
    for (ChunkId id = state.reassembly; id != no_chunk; id = chunks.header(id).next)
        if (!visit(id)) return false;
    return true;
}

std::optional<wire::OutboundSegment> reset_for_unknown(const wire::TcpSegment& segment, uint16_t local_id) {
    if (segment.has(wire::tcp_rst)) return std::nullopt;
    wire::OutboundSegment reset = reply_to(segment, local_id);
    if (segment.has(wire::tcp_ack)) {
        reset.header.seq = segment.ack;
        reset.header.flags = wire::tcp_rst;
    } else {
        reset.header.ack = segment.seq + segment.length();
        reset.header.flags = wire::tcp_rst | wire::tcp_ack;
    }
    return reset;
}

}  // namespace millrace::tcp
