// Ways to end a connection (RFC 9293 §3.6, §3.10.4, §3.10.5) and the answer to segments of none (§3.10.7.1).
#pragma once

#include <optional>

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// Sends a FIN after what is queued; the peer may go on sending (half close). Without effect when already called. In
/// syn_sent the FIN follows the handshake.
void shutdown_send(const Context& ctx, Endpoint ep);

/// Ends the connection now: returns the RST to send, empty where the peer has nothing to reset. The state is `closed`
/// afterwards and every chunk is freed.
std::optional<wire::OutboundSegment> abort(const Context& ctx, Endpoint ep);

/// Frees every chunk of the endpoint, in any state. The record may be zeroed and reused afterwards.
void release(const Context& ctx, Endpoint ep);

/// Calls `visit` with every chunk that the endpoint holds, each before anything in it is read; how a store learns its
/// live chunks after a restart (ChunkStore::mark_live). Returns false as soon as `visit` does: the record is damaged.
bool for_each_chunk(const store::ChunkStore& chunks, const EndpointHot& hot, const EndpointWarm& warm,
                    FunctionRef<bool(store::ChunkId)> visit);

/// The RST that answers a segment of no connection; empty when the segment is itself a RST.
std::optional<wire::OutboundSegment> reset_for_unknown(const wire::TcpSegment& segment, uint16_t local_id);

}  // namespace millrace::tcp
