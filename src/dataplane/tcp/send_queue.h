// The send queue: chunks in a circular list, from the byte at snd_una to the last byte queued (endpoint.h has the
// drawing). It also is the scoreboard (RFC 6675 §3): a chunk holds at most one segment's payload, a segment is made of
// whole chunks where it can be, and each chunk carries the time of its last transmission and the marks below. What the
// peer reports of a part of a chunk is not noted. Fully acknowledged chunks are freed at once. Internal to tcp/, but
// for send() in sender.h.
#pragma once

#include <algorithm>

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// ChunkHeader::flags in the send queue.
inline constexpr uint8_t chunk_retransmitted = 0x01;  ///< no round trip is measured on it (Karn)
inline constexpr uint8_t chunk_sacked = 0x02;         ///< the peer has it, but may drop it again (RFC 2018 §8)
inline constexpr uint8_t chunk_lost = 0x04;           ///< and not sent again since

/// The chunk of the first byte that is not acknowledged, or no_chunk.
inline store::ChunkId send_queue_head(const Context& ctx, Endpoint ep) {
    if (ep.hot.send_tail == store::no_chunk) return store::no_chunk;
    return ctx.chunks.header(ep.hot.send_tail).next;
}

inline Seq chunk_end(const store::ChunkHeader& header) {
    return Seq{header.seq} + header.length;
}

/// The chunk whose `sent_at` tells when new data was last sent, while some is in flight; no_chunk: nothing but a FIN
/// is. While bytes wait unsent it is the cursor's, even when none of its own was sent: the one before can't be found.
inline store::ChunkId send_queue_newest(Endpoint ep) {
    return unsent_bytes(ep) > 0 ? ep.hot.send_cursor : ep.hot.send_tail;
}

/// Bytes of the chunk that were sent and are not acknowledged.
inline uint32_t chunk_in_flight(const store::ChunkHeader& header, const EndpointHot& hot) {
    return min(chunk_end(header), hot.snd_nxt) - max(Seq{header.seq}, hot.snd_una);
}

/// Calls visit(ChunkHeader&) for the chunks with sent bytes, from the head on, at most `chunks_max` of them, until one
/// call returns false.
template <class Visit>
void for_each_sent_chunk(const Context& ctx, Endpoint ep, uint32_t chunks_max, Visit&& visit) {
    if (ep.hot.send_tail == store::no_chunk) return;
    store::ChunkId id = send_queue_head(ctx, ep);
    for (uint32_t seen = 0; seen < chunks_max; ++seen) {
        store::ChunkHeader& header = ctx.chunks.header(id);
        if (Seq{header.seq} >= ep.hot.snd_nxt || !visit(header) || id == ep.hot.send_tail) return;
        id = header.next;
    }
}

/// Appends bytes at the sequence numbers from send_queue_end(); returns how many fitted into memory. Chunks are taken
/// from the list `spares` first.
size_t send_queue_append(const Context& ctx, Endpoint ep, std::span<const uint8_t> bytes,
                         store::ChunkId spares = store::no_chunk);

/// Sets the chunks aside that send_queue_append() of `length` bytes takes, a list in `spares`. False when there is no
/// memory for all of them; then nothing has changed.
bool send_queue_reserve(const Context& ctx, Endpoint ep, size_t length, store::ChunkId& spares);

/// What send_queue_release() freed.
struct Released {
    bool any = false;
    bool retransmitted = false;  ///< one of them was sent twice
    bool in_first_order = true;  ///< false: one that was neither sent twice nor reported by SACK ends before `fack`
    uint32_t sacked_bytes = 0;   ///< acknowledged ones that were marked so, those of a head that stays included
    uint32_t lost_bytes = 0;     ///< likewise
    uint32_t rtt_us = 0;         ///< since the newest was sent; 0: unknown, since one of them was sent twice (Karn)
    // Of the most recently sent of them:
    uint32_t sent_at = 0;
    Seq end;
    uint8_t flags = 0;
};

/// Frees every chunk that ends at or before snd_una, which was `una_before` before the ACK. `fack` as in
/// recovery_state.h, or snd_una.
Released send_queue_release(const Context& ctx, Endpoint ep, Seq una_before, Seq fack);

/// Puts up to `length` bytes from `seq` on into `out` and stamps their chunks as sent now: whole chunks, unless the
/// first alone is longer. A retransmission that reaches the end of a chunk takes its mark of loss away. `cursor` is the
/// chunk of `seq`; it moves to the chunk of the byte behind the last one. Returns the bytes put: fewer than `length`
/// also when `out` has no piece left.
uint32_t send_queue_gather(const Context& ctx, Endpoint ep, store::ChunkId& cursor, Seq seq, uint32_t length,
                           bool retransmission, wire::OutboundSegment& out);

}  // namespace millrace::tcp
