// The single deadline of an endpoint: the SYN, retransmission or persist timer, of which only one can run (RFC 6298,
// RFC 9293 §3.8.6.1), or the delayed ACK, whichever is nearer. Deadlines are computed from the record, so an ACK never
// touches a timer wheel: the owner keeps one lazy entry and asks again when it fires.
#pragma once

#include <optional>

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// When on_deadline() should be called; empty when no timer runs. May move in either direction with every receive(),
/// send() and flush(); on_deadline() too early is harmless.
std::optional<TimeUs> next_deadline(const Context& ctx, Endpoint ep);

/// Acts when the deadline has passed, else does nothing. Sends nothing itself: flush() afterwards. Reports
/// event_timed_out when the connection is given up.
Events on_deadline(const Context& ctx, Endpoint ep);

/// Frees what the mere passing of time has made useless; for the owner's slow sweep over all records.
void on_sweep(const Context& ctx, Endpoint ep);

}  // namespace millrace::tcp
