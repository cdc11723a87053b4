// Challenge ACKs: the answer to a segment that a blind attacker could have sent (RFC 5961 §3–§5), within the worker's
// budget (§7). Internal to tcp/.
#pragma once

#include "dataplane/tcp/context.h"

namespace millrace::tcp {

/// Takes one challenge ACK from the budget; false (and counted) when it is used up. Without it the segment is dropped
/// in silence.
bool challenge_allowed(const Context& ctx);

}  // namespace millrace::tcp
