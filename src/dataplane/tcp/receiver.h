// The way in for segments of an existing endpoint (RFC 9293 §3.10.7.3 and .4, RFC 7323 §5, RFC 5961).
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// Processes one segment of this connection; the caller has matched addresses and ports. In-order payload goes to
/// `consume`; what that does not take is not acknowledged. Payload out of order waits in chunks and is consumed when
/// the hole fills. Sends nothing itself: flush() the endpoint once after the burst.
Events receive(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, Consumer consume);

}  // namespace millrace::tcp
