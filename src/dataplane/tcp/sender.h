// The way out: the send queue and the one function that makes segments (RFC 9293 §3.8, §3.10.2; RFC 5681 §3.1).
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// Appends to the send queue and returns how many bytes were taken: all of them, unless chunks are exhausted or
/// shutdown_send() was called or the connection is closed (0). Nothing is sent before flush(). How much to queue at
/// most is the owner's decision (send_queue_bytes).
size_t send(const Context& ctx, Endpoint ep, std::span<const uint8_t> bytes);

/// Makes the bytes that there is room for; valid until it is called again.
using Make = FunctionRef<std::span<const uint8_t>()>;

/// Appends the `length` bytes that `make` returns, which is called only when all of them can be taken. False, with
/// nothing changed, where send() would take fewer.
bool send_whole(const Context& ctx, Endpoint ep, size_t length, Make make);

struct FlushResult {
    uint32_t segments = 0;      ///< emitted, at most the credit
    bool wants_credit = false;  ///< more is due, but the credit ended: call again when there is more
};

/// Sends whatever is due: SYN, retransmissions, new data that both windows allow, FIN, probes, ACKs. `receive_space` is
/// how many bytes the owner can take now; it may shrink, the advertised edge will not. Every segment carries the
/// current acknowledgement. Fields are updated before each emit(); without credit nothing changes.
FlushResult flush(const Context& ctx, Endpoint ep, uint32_t receive_space, uint32_t segment_credit, Emit emit);

}  // namespace millrace::tcp
