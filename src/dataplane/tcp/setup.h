// Active opens and the handshake of endpoints (RFC 9293 §3.5, §3.10.1; RFC 7323 §2.2, §3.2). Passive opens begin in
// half_open.h and reach an endpoint only when the handshake completes.
#pragma once

#include <optional>

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/half_open.h"

namespace millrace::tcp {

/// Starts an active open on a zeroed (or released) endpoint. Nothing is sent before the next flush(), which sends the
/// SYN. The owner has chosen a local port that is free for this peer; `iss_min` is what TimeWaitTable::take() gave when
/// the tuple was still in TIME_WAIT (RFC 6191). The outcome arrives as event_established, event_refused or
/// event_timed_out; send() may already queue data.
void open_active(const Context& ctx, Endpoint ep, const Tuple& tuple, uint16_t local_id,
                 std::optional<Seq> iss_min = std::nullopt);

/// Fills a zeroed endpoint from a half-open entry for which HalfOpenTable::on_segment said `complete`. The owner then
/// removes the entry and gives the same segment to receive(), which reports event_established and takes its data.
void establish_passive(const Context& ctx, const HalfOpen& entry, Endpoint ep);

}  // namespace millrace::tcp
