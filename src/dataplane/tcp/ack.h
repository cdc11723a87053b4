// What the acknowledgement and the window of a segment do to the send side (RFC 9293 §3.10.7.4, fifth step; RFC 5961
// §5; RFC 5681 §2). Internal to tcp/.
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// Processes SEG.ACK and SEG.WND of an acceptable segment in a state behind the handshake. Returns false when the
/// segment must be dropped as a whole because it acknowledges what was never sent or is far too old.
bool process_ack(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, Events& events);

}  // namespace millrace::tcp
