// Challenge ACKs: the answer to a segment that a blind attacker could have sent (RFC 5961 §3–§5), within the worker's
// budget (§7) and at most so often for one connection. Internal to tcp/.
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// Takes one challenge ACK from the worker's budget; false (and counted) when it is used up. Without it the segment is
/// dropped in silence.
bool challenge_allowed(const Context& ctx);

/// Likewise, and false too when this connection had one within Options::challenge_interval_ms.
bool challenge_allowed(const Context& ctx, Endpoint ep);

}  // namespace millrace::tcp
