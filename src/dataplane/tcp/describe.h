// One connection's state for people (<millrace/tcp_info.h>). Reads, changes nothing; not for the way of a packet, since
// it walks the queues. Called by the worker that owns the connection.
#pragma once

#include <millrace/tcp_info.h>

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// Looks at no more than a few thousand chunks; `retransmitted` counts those alone.
TcpInfo describe(const Context& ctx, Endpoint ep);

}  // namespace millrace::tcp
