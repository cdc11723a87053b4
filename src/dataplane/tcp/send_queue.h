// The send queue: chunks in a circular list, from the byte at snd_una to the last byte queued (endpoint.h has the
// drawing). Segments are cut by sequence number, not by chunk: a chunk may carry several segments and a segment several
// chunks, which bounds what tiny writes cost. Fully acknowledged chunks are freed at once. Internal to tcp/, but for
// send() in sender.h.
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// ChunkHeader::flags in the send queue.
inline constexpr uint8_t chunk_retransmitted = 0x01;  ///< no round trip is measured on it (Karn)

/// The chunk of the first byte that is not acknowledged, or no_chunk.
inline store::ChunkId send_queue_head(const Context& ctx, Endpoint ep) {
    if (ep.hot.send_tail == store::no_chunk) return store::no_chunk;
    return ctx.chunks.header(ep.hot.send_tail).next;
}

/// Appends bytes at the sequence numbers from send_queue_end(); returns how many fitted into memory.
size_t send_queue_append(const Context& ctx, Endpoint ep, std::span<const uint8_t> bytes);

/// Frees every chunk that ends at or before snd_una. Returns the microseconds since the newest of them was sent, or 0
/// when none was freed or one of them was sent twice.
uint32_t send_queue_release(const Context& ctx, Endpoint ep);

/// Puts up to `length` bytes from `seq` on into `out` and stamps their chunks as sent now. `cursor` is the chunk of
/// `seq`; it moves to the chunk of the byte behind the last one. Returns the bytes put: fewer when `out` has no piece
/// left.
uint32_t send_queue_gather(const Context& ctx, Endpoint ep, store::ChunkId& cursor, Seq seq, uint32_t length,
                           bool retransmission, wire::OutboundSegment& out);

}  // namespace millrace::tcp
