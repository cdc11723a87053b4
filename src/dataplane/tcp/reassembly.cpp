#include "dataplane/tcp/reassembly.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/extension.h"

namespace millrace::tcp {
namespace {

using store::ChunkHeader;
using store::ChunkId;
using store::no_chunk;

Seq chunk_end(const ChunkHeader& header) {
    return Seq{header.seq} + header.length;
}

/// Appends to `previous` what fits there; the bytes follow its last one directly.
size_t extend(const Context& ctx, ChunkId previous, std::span<const uint8_t> bytes) {
    ChunkHeader& header = ctx.chunks.header(previous);
    const std::span<uint8_t> room = ctx.chunks.capacity(previous).subspan(header.length);
    const size_t taken = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), taken);
    header.length = static_cast<uint16_t>(header.length + taken);
    return taken;
}

/// Stores `bytes`, which overlap no chunk, between `previous` (or the start of the list) and its successor. Returns the
/// last chunk written, or no_chunk when memory or budget ended.
ChunkId store_run(const Context& ctx, Extension& state, ChunkId previous, Seq seq, std::span<const uint8_t> bytes) {
    if (previous != no_chunk && chunk_end(ctx.chunks.header(previous)) == seq) {
        const size_t taken = extend(ctx, previous, bytes);
        bytes = bytes.subspan(taken);
        seq += static_cast<uint32_t>(taken);
    }
    while (!bytes.empty()) {
        if (state.reassembly_chunks >= ctx.options.reassembly_chunks_max) return no_chunk;
        const size_t length = std::min<size_t>(bytes.size(), store::chunk_payload_max);
        const ChunkId id = ctx.chunks.allocate(static_cast<uint32_t>(length));
        if (id == no_chunk) return no_chunk;
        ChunkHeader& header = ctx.chunks.header(id);
        header.seq = seq.value;
        extend(ctx, id, bytes.first(length));
        ChunkId& link = previous == no_chunk ? state.reassembly : ctx.chunks.header(previous).next;
        header.next = link;
        link = id;
        ++state.reassembly_chunks;
        previous = id;
        bytes = bytes.subspan(length);
        seq += static_cast<uint32_t>(length);
    }
    return previous;
}

}  // namespace

void reassembly_insert(const Context& ctx, Endpoint ep, Seq seq, std::span<const uint8_t> payload) {
    Extension* state = ensure_extension(ctx, ep);
    if (state == nullptr) {
        ++ctx.counters.reassembly_dropped;
        return;
    }
    ChunkId previous = no_chunk;
    ChunkId next = state->reassembly;
    while (!payload.empty()) {
        // Step over chunks that begin at or before seq, cutting away what they already hold.
        while (next != no_chunk && Seq{ctx.chunks.header(next).seq} <= seq) {
            const Seq end = chunk_end(ctx.chunks.header(next));
            if (end > seq) {
                const size_t known = std::min<size_t>(end - seq, payload.size());
                payload = payload.subspan(known);
                seq += static_cast<uint32_t>(known);
            }
            previous = next;
            next = ctx.chunks.header(next).next;
        }
        size_t run = payload.size();
        if (next != no_chunk) run = std::min<size_t>(run, Seq{ctx.chunks.header(next).seq} - seq);
        if (run == 0) continue;
        previous = store_run(ctx, *state, previous, seq, payload.first(run));
        if (previous == no_chunk) {
            ++ctx.counters.reassembly_dropped;
            break;
        }
        payload = payload.subspan(run);
        seq += static_cast<uint32_t>(run);
    }
    trim_extension(ctx, ep);  // nothing may have been stored
}

uint32_t reassembly_deliver(const Context& ctx, Endpoint ep, Consumer consume) {
    Extension* state = extension(ctx, ep);
    uint32_t total = 0;
    while (state->reassembly != no_chunk) {
        const ChunkId id = state->reassembly;
        const ChunkHeader& header = ctx.chunks.header(id);
        const bool hole = Seq{header.seq} > ep.hot.rcv_nxt;
        if (hole && !fault(Fault::tcp_reassembly_ignores_hole)) break;
        if (chunk_end(header) > ep.hot.rcv_nxt) {
            std::span<const uint8_t> bytes = ctx.chunks.payload(id);
            const bool whole = hole || fault(Fault::tcp_duplicate_delivered);
            if (!whole) bytes = bytes.subspan(ep.hot.rcv_nxt - Seq{header.seq});
            const size_t taken = consume(bytes);
            ep.hot.rcv_nxt += static_cast<uint32_t>(taken);
            total += static_cast<uint32_t>(taken);
            if (taken < bytes.size()) {
                ++ctx.counters.payload_refused;
                break;
            }
        }
        state->reassembly = header.next;
        --state->reassembly_chunks;
        ctx.chunks.free(id);
    }
    return total;
}

bool reassembly_discard(const Context& ctx, Endpoint ep) {
    Extension* state = extension(ctx, ep);
    if (state == nullptr || state->reassembly == no_chunk) return false;
    while (state->reassembly != no_chunk) {
        const ChunkId id = state->reassembly;
        state->reassembly = ctx.chunks.header(id).next;
        --state->reassembly_chunks;
        ++ctx.counters.reassembly_dropped;
        ctx.chunks.free(id);
    }
    return true;
}

}  // namespace millrace::tcp
