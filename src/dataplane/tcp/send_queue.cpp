#include "dataplane/tcp/send_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "dataplane/base/fault.h"
#include "dataplane/base/stage_clock.h"

namespace millrace::tcp {
namespace {

using store::ChunkHeader;
using store::ChunkId;
using store::no_chunk;

/// Up to here a request is rounded up to one chunk; beyond, whole chunks are filled first, which wastes less.
constexpr size_t round_up_max = 1536 - sizeof(ChunkHeader);

/// The most that a chunk should hold: one segment. Before the handshake ends that is not known.
uint32_t chunk_payload_limit(const EndpointHot& hot) {
    return syn_unacknowledged(hot) ? uint32_t{round_up_max} : hot.mss;
}

/// Payload to ask a chunk for, with `wanted` bytes still to store.
uint32_t chunk_payload_for(size_t wanted) {
    if (wanted <= round_up_max) return static_cast<uint32_t>(wanted);
    uint32_t best = round_up_max;
    for (uint32_t bytes : store::chunk_class_bytes)
        if (bytes - sizeof(ChunkHeader) <= wanted) best = static_cast<uint32_t>(bytes - sizeof(ChunkHeader));
    return best;
}

size_t room(const Context& ctx, ChunkId id, uint32_t limit) {
    const ChunkHeader& header = ctx.chunks.header(id);
    const size_t full = std::min<size_t>(ctx.chunks.capacity(id).size(), limit);
    // Marks are for what was sent of the chunk: nothing joins it behind them.
    if (header.length >= full || (header.flags & (chunk_sacked | chunk_lost)) != 0) return 0;
    return full - header.length;
}

size_t fill(const Context& ctx, ChunkId id, uint32_t limit, std::span<const uint8_t> bytes) {
    ChunkHeader& header = ctx.chunks.header(id);
    const size_t taken = std::min(room(ctx, id, limit), bytes.size());
    const StageTime<Stage::copies> time;
    std::memcpy(ctx.chunks.capacity(id).data() + header.length, bytes.data(), taken);
    header.length = static_cast<uint16_t>(header.length + taken);
    return taken;
}

/// While bytes queue up, more will come: begin a chunk that a whole segment fits into.
bool has_backlog(Endpoint ep) {
    return !syn_unacknowledged(ep.hot) && send_queue_end(ep) != ep.hot.snd_nxt;
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

/// Counts what an ACK took of a chunk, by its marks.
void count_marked(Released& released, const ChunkHeader& header, Seq from, Seq to) {
    const uint32_t bytes = min(chunk_end(header), to) - max(Seq{header.seq}, from);
    if ((header.flags & chunk_sacked) != 0) released.sacked_bytes += bytes;
    if ((header.flags & chunk_lost) != 0) released.lost_bytes += bytes;
}

}  // namespace

bool send_queue_reserve(const Context& ctx, Endpoint ep, size_t length, ChunkId& spares) {
    const uint32_t limit = chunk_payload_limit(ep.hot);
    const bool backlog = has_backlog(ep);
    size_t left = length;
    if (ep.hot.send_tail != no_chunk) left -= std::min(left, room(ctx, ep.hot.send_tail, limit));
    spares = no_chunk;
    ChunkId* link = &spares;
    while (left > 0) {
        const ChunkId id = ctx.chunks.allocate(chunk_payload_for(backlog ? limit : std::min<size_t>(left, limit)));
        if (id == no_chunk) {
            ++ctx.counters.send_chunks_exhausted;
            while (spares != no_chunk) ctx.chunks.free(std::exchange(spares, ctx.chunks.header(spares).next));
            return false;
        }
        *link = id;
        link = &ctx.chunks.header(id).next;
        left -= std::min(left, room(ctx, id, limit));
    }
    return true;
}

size_t send_queue_append(const Context& ctx, Endpoint ep, std::span<const uint8_t> bytes, ChunkId spares) {
    const bool cursor_needed = syn_unacknowledged(ep.hot) ? ep.warm.queued == 0 : send_queue_end(ep) == ep.hot.snd_nxt;
    const uint32_t limit = chunk_payload_limit(ep.hot);
    const bool backlog = has_backlog(ep);
    ChunkId first = no_chunk;
    size_t taken = 0;
    if (ep.hot.send_tail != no_chunk) {
        taken = fill(ctx, ep.hot.send_tail, limit, bytes);
        if (taken > 0) first = ep.hot.send_tail;
        ep.warm.queued += static_cast<uint32_t>(taken);
    }
    while (taken < bytes.size()) {
        const size_t wanted = backlog ? limit : std::min<size_t>(bytes.size() - taken, limit);
        const ChunkId id = spares != no_chunk ? spares : ctx.chunks.allocate(chunk_payload_for(wanted));
        if (id == no_chunk) {
            ++ctx.counters.send_chunks_exhausted;
            break;
        }
        spares = ctx.chunks.header(id).next;
        ctx.chunks.header(id).seq = send_queue_end(ep).value;
        if (ep.hot.send_tail != no_chunk) ctx.chunks.header(id).sent_at = ctx.chunks.header(ep.hot.send_tail).sent_at;
        const size_t stored = fill(ctx, id, limit, bytes.subspan(taken));
        link_at_tail(ctx, ep, id);
        ep.warm.queued += static_cast<uint32_t>(stored);
        taken += stored;
        if (first == no_chunk) first = id;
    }
    if (cursor_needed && first != no_chunk) ep.hot.send_cursor = first;
    return taken;
}

Released send_queue_release(const Context& ctx, Endpoint ep, Seq una_before, Seq fack) {
    Released released;
    bool ambiguous = false;
    while (ep.hot.send_tail != no_chunk) {
        ChunkHeader& tail = ctx.chunks.header(ep.hot.send_tail);
        const ChunkId head_id = tail.next;
        const ChunkHeader& head = ctx.chunks.header(head_id);
        if (Seq{head.seq} < ep.hot.snd_una) count_marked(released, head, una_before, ep.hot.snd_una);
        if (chunk_end(head) > ep.hot.snd_una) break;
        if ((head.flags & chunk_sacked) == 0) {  // else it was delivered before
            ambiguous |= (head.flags & chunk_retransmitted) != 0 && !fault(Fault::tcp_karn_ignored);
            released.rtt_us = std::max(1u, static_cast<uint32_t>(ctx.now) - head.sent_at);
            if ((head.flags & chunk_retransmitted) == 0 && chunk_end(head) < fack) released.in_first_order = false;
            released.retransmitted |= (head.flags & chunk_retransmitted) != 0;
            if (!released.any || static_cast<int32_t>(head.sent_at - released.sent_at) >= 0) {
                released.sent_at = head.sent_at;
                released.end = chunk_end(head);
                released.flags = head.flags;
            }
            released.any = true;
        }
        if (head_id == ep.hot.send_tail) {
            ep.hot.send_tail = no_chunk;
            ep.hot.send_cursor = no_chunk;
        } else {
            tail.next = head.next;
        }
        ctx.chunks.free(head_id);
    }
    if (ambiguous) released.rtt_us = 0;
    return released;
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
            if (gathered > 0 && available > length - gathered && !retransmission) break;
            const uint32_t piece = std::min(available, length - gathered);
            out.pieces[out.piece_count++] = ctx.chunks.payload(cursor).subspan(offset, piece);
            header.sent_at = static_cast<uint32_t>(ctx.now);
            gathered += piece;
            if (retransmission) {
                header.flags |= chunk_retransmitted;
                if (seq + gathered >= min(chunk_end(header), ep.hot.snd_nxt))
                    header.flags &= static_cast<uint8_t>(~chunk_lost);
            }
            if (piece < available) break;
        }
        if (cursor == ep.hot.send_tail) break;
        cursor = header.next;
    }
    out.payload_length = static_cast<uint16_t>(gathered);
    return gathered;
}

}  // namespace millrace::tcp
