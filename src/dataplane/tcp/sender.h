// The way out: the send queue and the one function that makes segments (RFC 9293 §3.8, §3.10.2; RFC 5681 §3.1).
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// Appends to the send queue and returns how many bytes were taken: all of them, unless chunks are exhausted or
/// shutdown_send() was called or the connection is closed (0). Nothing is sent before flush(). How much to queue at
/// most is the owner's decision (send_queue_bytes).
size_t send(const Context& ctx, Endpoint ep, std::span<const uint8_t> bytes);

struct FlushResult {
    uint32_t segments = 0;      ///< emitted, at most the credit
    bool wants_credit = false;  ///< more is due, but the credit ended: call again when there is more
};

/// Sends whatever is due: SYN, retransmissions, new data that both windows allow, FIN, probes, ACKs. `receive_space` is
/// how many bytes the owner can take now; it may shrink, the advertised edge will not. Every segment carries the
/// current acknowledgement. Fields are updated before each emit(); without credit nothing changes.
FlushResult flush(const Context& ctx, Endpoint ep, uint32_t receive_space, uint32_t segment_credit, Emit emit);

}  // namespace millrace::tcp
