// What a SACK says about the send queue (RFC 2018 §5, RFC 2883 §4), and which chunks count as lost because something
// sent later has arrived (RACK, RFC 8985 §6). Marks chunks and keeps the sums in RecoveryState; what follows from a
// loss is decided in recovery.h. Internal to tcp/.
//
//   snd_una                        rack_end             fack      snd_nxt
//   ───┼──── lost ──── sacked ──── in doubt ──── sacked ──┼─── in flight ──┼──
//
// Work is bounded against hostile peers. A search looks at search_chunks_max chunks at most. What is more than
// search_chunks_free comes out of an allowance of the worker; while that is used up, searches end there. What lies
// behind keeps the marks that it has.
#pragma once

#include "dataplane/tcp/extension.h"
#include "dataplane/tcp/send_queue.h"

namespace millrace::tcp {

inline constexpr uint32_t search_chunks_max = 4096;
inline constexpr uint32_t search_chunks_free = 256;
inline constexpr int64_t search_chunks_per_us = 8;  ///< the allowance: about a tenth of a core's time
inline constexpr int64_t search_chunks_saved_max = 16 * search_chunks_max;

/// Takes what a walk over so many chunks costs out of the worker's allowance.
void charge_search(const Context& ctx, uint32_t chunks);

/// Takes out of the sums what an ACK has freed.
void rack_released(RecoveryState& state, const Released& released);

/// A chunk was delivered: that ends at `end` and was last sent at `sent_at` (RFC 8985 §6.2, steps 1 and 2).
void rack_delivered(const Context& ctx, Endpoint ep, RecoveryState& state, uint32_t sent_at, Seq end,
                    bool retransmitted, const wire::TcpSegment& segment);

/// A chunk that was sent once was delivered behind one that was sent after it (step 3).
void rack_note_reordering(Endpoint ep);

/// Marks what the blocks report. False when they tell nothing new.
bool rack_mark_sacked(const Context& ctx, Endpoint ep, RecoveryState& state, const wire::TcpSegment& segment);

/// Step 5. Counts `sacked` and `lost` anew when it sees the whole flight. Returns the bytes newly marked lost, and arms
/// reo_deadline when others may follow.
uint32_t rack_detect_loss(const Context& ctx, Endpoint ep, RecoveryState& state);

/// After a timeout (§6.3): the head, and what has been out for so long that it must be lost. Without SACK, everything.
void rack_mark_lost_on_timeout(const Context& ctx, Endpoint ep, RecoveryState& state);

/// Takes back every mark of loss.
void rack_unmark_lost(const Context& ctx, Endpoint ep, RecoveryState& state);

/// The bytes that the first block of `segment` reports as received twice (RFC 2883 §4); 0: it is no D-SACK.
uint32_t duplicate_sack_bytes(const EndpointHot& hot, const wire::TcpSegment& segment);

/// A D-SACK arrived (step 4). `state` may be null.
void rack_on_duplicate_sack(Endpoint ep, RecoveryState* state);

/// A recovery has ended: after sixteen of them the widened reordering window is given up (step 4).
void rack_on_recovery_end(Endpoint ep);

}  // namespace millrace::tcp
