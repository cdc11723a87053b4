#include "dataplane/tcp/reassembly.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/fault.h"
#include "dataplane/base/stage_clock.h"
#include "dataplane/tcp/extension.h"
#include "dataplane/tcp/receive_window.h"
#include "dataplane/tcp/sack_blocks.h"

namespace millrace::tcp {
namespace {

/// The largest chunk that a run grows by.
constexpr uint32_t run_chunk_payload = 8192 - sizeof(store::ChunkHeader);

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
    const StageTime<Stage::copies> time;
    std::memcpy(room.data(), bytes.data(), taken);
    header.length = static_cast<uint16_t>(header.length + taken);
    return taken;
}

/// What a chunk takes from the budget.
uint32_t units_of(const ChunkHeader& header) {
    return store::chunk_class_bytes[header.size_class] / 128;
}

/// A chunk for the next `wanted` bytes behind `previous`, or no_chunk. Bytes that continue a run get twice the room of
/// the chunk before them, so that a long run is a short list: every look at the list walks it.
ChunkId allocate(const Context& ctx, Endpoint ep, size_t wanted, uint32_t previous_room) {
    if (!ctx.out_of_order_held) return no_chunk;
    Extension& state = *extension(ctx, ep);
    // What was promised may come, though less would be promised now.
    const uint32_t window = std::max(receive_limit(ctx, ep), receive_window(ep.hot));
    const uint32_t more = (window - ctx.options.receive_window_bytes) / run_chunk_payload;
    if (state.reassembly_chunks >= ctx.options.reassembly_chunks_max + more) return no_chunk;
    wanted = std::max<size_t>(wanted, std::min(2 * previous_room, run_chunk_payload));
    const ChunkId id = ctx.chunks.allocate(static_cast<uint32_t>(std::min<size_t>(wanted, store::chunk_payload_max)));
    if (id == no_chunk) return no_chunk;
    const uint32_t units = state.reassembly_units + units_of(ctx.chunks.header(id));
    if (units > (window + more * run_chunk_payload / 4) / 128 + run_chunk_payload / 128) {
        ctx.chunks.free(id);
        return no_chunk;
    }
    state.reassembly_units = units;
    ++state.reassembly_chunks;
    return id;
}

/// Takes the first chunk off the list and frees it.
void drop_first(const Context& ctx, Extension& state) {
    const ChunkId id = state.reassembly;
    const ChunkHeader& header = ctx.chunks.header(id);
    state.reassembly = header.next;
    --state.reassembly_chunks;
    state.reassembly_units -= units_of(header);
    ctx.chunks.free(id);
}

/// Stores `bytes`, which overlap no chunk, between `previous` (or the start of the list) and its successor. Returns the
/// last chunk written, or no_chunk when memory or budget ended.
ChunkId store_run(const Context& ctx, Endpoint ep, ChunkId previous, Seq seq, std::span<const uint8_t> bytes) {
    uint32_t previous_room = 0;
    if (previous != no_chunk && chunk_end(ctx.chunks.header(previous)) == seq) {
        previous_room = static_cast<uint32_t>(ctx.chunks.capacity(previous).size());
        const size_t taken = extend(ctx, previous, bytes);
        bytes = bytes.subspan(taken);
        seq += static_cast<uint32_t>(taken);
    }
    while (!bytes.empty()) {
        const ChunkId id = allocate(ctx, ep, bytes.size(), previous_room);
        if (id == no_chunk) return no_chunk;
        ChunkHeader& header = ctx.chunks.header(id);
        header.seq = seq.value;
        const size_t length = extend(ctx, id, bytes);
        ChunkId& link = previous == no_chunk ? extension(ctx, ep)->reassembly : ctx.chunks.header(previous).next;
        header.next = link;
        link = id;
        previous = id;
        previous_room = static_cast<uint32_t>(ctx.chunks.capacity(id).size());
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
    const Seq begin = seq;
    ChunkId previous = no_chunk;
    ChunkId next = state->reassembly;
    Seq duplicate_left = seq, duplicate_right = seq;  // the first range that was here already
    while (!payload.empty()) {
        // Step over chunks that begin at or before seq, cutting away what they already hold.
        while (next != no_chunk && Seq{ctx.chunks.header(next).seq} <= seq) {
            const Seq end = chunk_end(ctx.chunks.header(next));
            if (end > seq) {
                const size_t known = std::min<size_t>(end - seq, payload.size());
                payload = payload.subspan(known);
                if (duplicate_left == duplicate_right) duplicate_left = duplicate_right = seq;
                if (duplicate_right == seq) duplicate_right += static_cast<uint32_t>(known);
                seq += static_cast<uint32_t>(known);
            }
            previous = next;
            next = ctx.chunks.header(next).next;
        }
        size_t run = payload.size();
        if (next != no_chunk) run = std::min<size_t>(run, Seq{ctx.chunks.header(next).seq} - seq);
        if (run == 0) continue;
        previous = store_run(ctx, ep, previous, seq, payload.first(run));
        if (previous == no_chunk) {
            ++ctx.counters.reassembly_dropped;
            break;
        }
        payload = payload.subspan(run);
        seq += static_cast<uint32_t>(run);
    }
    note_block(ctx, ep, *state, begin);
    note_duplicate(ctx, ep, duplicate_left, duplicate_right);
    trim_extension(ctx, ep);  // nothing may have been stored
}

bool reassembly_waits(const Context& ctx, Endpoint ep) {
    const Extension* state = extension(ctx, ep);
    return state != nullptr && state->reassembly != no_chunk;
}

Seq reassembly_end(const Context& ctx, Endpoint ep) {
    Seq end = ep.hot.rcv_nxt;
    const Extension* state = extension(ctx, ep);
    ChunkId id = state == nullptr ? no_chunk : state->reassembly;
    for (; id != no_chunk; id = ctx.chunks.header(id).next) end = chunk_end(ctx.chunks.header(id));
    return end;
}

void reassembly_note_overlap(const Context& ctx, Endpoint ep, Seq end) {
    if (!reassembly_waits(ctx, ep)) return;
    const ChunkHeader* header = &ctx.chunks.header(extension(ctx, ep)->reassembly);
    const Seq left{header->seq};
    if (left <= ep.hot.rcv_nxt) return;  // bytes that were refused: this is their first arrival, to the peer
    Seq right = left;
    while (right < end && Seq{header->seq} == right) {
        right = chunk_end(*header);
        if (header->next == no_chunk) break;
        header = &ctx.chunks.header(header->next);
    }
    if (left < end) note_duplicate(ctx, ep, left, min(right, end));
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
        drop_first(ctx, *state);
    }
    return total;
}

bool reassembly_discard(const Context& ctx, Endpoint ep) {
    Extension* state = extension(ctx, ep);
    if (state == nullptr || state->reassembly == no_chunk) return false;
    while (state->reassembly != no_chunk) {
        ++ctx.counters.reassembly_dropped;
        drop_first(ctx, *state);
    }
    return true;
}

}  // namespace millrace::tcp
