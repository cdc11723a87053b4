// Payload that arrived out of order (RFC 9293 §3.10.7.4, "segments with higher beginning sequence numbers SHOULD be
// held"). Chunks in ascending, disjoint order hang off the extension; what is stored first is kept, later copies of the
// same bytes are cut away. Bounded by the advertised window (the caller trims), options.reassembly_chunks_max, and in
// memory by about receive_limit(); what does not fit is dropped (counted) and will be sent again, since
// nothing here has been acknowledged, though a SACK may have told of it (RFC 2018 §8 allows that). Internal to tcp/.
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// Stores what is new of `payload`, which begins at `seq` > rcv_nxt.
void reassembly_insert(const Context& ctx, Endpoint ep, Seq seq, std::span<const uint8_t> payload);

/// Whether anything waits.
bool reassembly_waits(const Context& ctx, Endpoint ep);

/// The sequence number behind the last byte that waits; rcv_nxt when none does.
Seq reassembly_end(const Context& ctx, Endpoint ep);

/// In-order payload up to `end` has arrived and will be delivered: notes what of it waits here already (RFC 2883).
void reassembly_note_overlap(const Context& ctx, Endpoint ep, Seq end);

/// Hands whatever now continues at rcv_nxt to `consume` and moves rcv_nxt over it. Returns the bytes consumed.
uint32_t reassembly_deliver(const Context& ctx, Endpoint ep, Consumer consume);

/// Forgets everything that waits, but for a FIN; false when nothing did.
bool reassembly_discard(const Context& ctx, Endpoint ep);

}  // namespace millrace::tcp
