#include "dataplane/tcp/send_queue.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/fault.h"

namespace millrace::tcp {
namespace {

using store::ChunkHeader;
using store::ChunkId;
using store::no_chunk;

/// Up to here a request is rounded up to one chunk; beyond, whole chunks are filled first, which wastes less.
constexpr size_t round_up_max = 1536 - sizeof(ChunkHeader);

/// Payload to ask a chunk for, with `wanted` bytes still to store.
uint32_t chunk_payload_for(size_t wanted) {
    if (wanted <= round_up_max) return static_cast<uint32_t>(wanted);
    uint32_t best = round_up_max;
    for (uint32_t bytes : store::chunk_class_bytes)
        if (bytes - sizeof(ChunkHeader) <= wanted) best = static_cast<uint32_t>(bytes - sizeof(ChunkHeader));
    return best;
}

size_t fill(const Context& ctx, ChunkId id, std::span<const uint8_t> bytes) {
    ChunkHeader& header = ctx.chunks.header(id);
    const std::span<uint8_t> room = ctx.chunks.capacity(id).subspan(header.length);
    const size_t taken = std::min(room.size(), bytes.size());
    if (taken == 0) return 0;
    std::memcpy(room.data(), bytes.data(), taken);
    header.length = static_cast<uint16_t>(header.length + taken);
    return taken;
}

void link_at_tail(const Context& ctx, Endpoint ep, ChunkId id) {
    ChunkHeader& header = ctx.chunks.header(id);
    if (ep.hot.send_tail == no_chunk) {
        header.next = id;
    } else {
        ChunkHeader& tail = ctx.chunks.header(ep.hot.send_tail);
        header.next = tail.next;
        tail.next = id;
    }
    ep.hot.send_tail = id;
}

Seq chunk_end(const ChunkHeader& header) {
    return Seq{header.seq} + header.length;
}

}  // namespace

size_t send_queue_append(const Context& ctx, Endpoint ep, std::span<const uint8_t> bytes) {
    const bool cursor_needed = syn_unacknowledged(ep.hot) ? ep.warm.queued == 0 : send_queue_end(ep) == ep.hot.snd_nxt;
    ChunkId first = no_chunk;
    size_t taken = 0;
    if (ep.hot.send_tail != no_chunk) {
        taken = fill(ctx, ep.hot.send_tail, bytes);
        if (taken > 0) first = ep.hot.send_tail;
        ep.warm.queued += static_cast<uint32_t>(taken);
    }
    while (taken < bytes.size()) {
        const ChunkId id = ctx.chunks.allocate(chunk_payload_for(bytes.size() - taken));
        if (id == no_chunk) {
            ++ctx.counters.send_chunks_exhausted;
            break;
        }
        ctx.chunks.header(id).seq = send_queue_end(ep).value;
        const size_t stored = fill(ctx, id, bytes.subspan(taken));
        link_at_tail(ctx, ep, id);
        ep.warm.queued += static_cast<uint32_t>(stored);
        taken += stored;
        if (first == no_chunk) first = id;
    }
    if (cursor_needed && first != no_chunk) ep.hot.send_cursor = first;
    return taken;
}

uint32_t send_queue_release(const Context& ctx, Endpoint ep) {
    uint32_t rtt_us = 0;
    bool ambiguous = false;
    while (ep.hot.send_tail != no_chunk) {
        ChunkHeader& tail = ctx.chunks.header(ep.hot.send_tail);
        const ChunkId head_id = tail.next;
        const ChunkHeader& head = ctx.chunks.header(head_id);
        if (chunk_end(head) > ep.hot.snd_una) break;
        rtt_us = std::max(1u, static_cast<uint32_t>(ctx.now) - head.sent_at);
        ambiguous |= (head.flags & chunk_retransmitted) != 0 && !fault(Fault::tcp_karn_ignored);
        if (head_id == ep.hot.send_tail) {
            ep.hot.send_tail = no_chunk;
            ep.hot.send_cursor = no_chunk;
        } else {
            tail.next = head.next;
        }
        ctx.chunks.free(head_id);
    }
    return ambiguous ? 0 : rtt_us;
}

uint32_t send_queue_gather(const Context& ctx, Endpoint ep, ChunkId& cursor, Seq seq, uint32_t length,
                           bool retransmission, wire::OutboundSegment& out) {
    uint32_t gathered = 0;
    while (gathered < length) {
        ChunkHeader& header = ctx.chunks.header(cursor);
        const uint32_t offset = seq + gathered - Seq{header.seq};
        const uint32_t available = header.length - offset;
        if (available > 0) {
            if (out.piece_count == wire::OutboundSegment::piece_count_max) break;
            const uint32_t piece = std::min(available, length - gathered);
            out.pieces[out.piece_count++] = ctx.chunks.payload(cursor).subspan(offset, piece);
            header.sent_at = static_cast<uint32_t>(ctx.now);
            if (retransmission) header.flags |= chunk_retransmitted;
            gathered += piece;
            if (piece < available) break;
        }
        if (cursor == ep.hot.send_tail) break;
        cursor = header.next;
    }
    out.payload_length = static_cast<uint16_t>(gathered);
    return gathered;
}

}  // namespace millrace::tcp
