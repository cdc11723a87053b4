// SYN cookies (RFC 4987 §3.6): the terms of a handshake inside our initial sequence number, so that a SYN which finds
// no room in the half-open table is answered without remembering it. Pure functions of a segment, the time and a key of
// the region; when cookies are sent and believed is decided in half_open.h. Internal to tcp/.
//
//   initial sequence number                          low bits of TSval, echoed by the client (RFC 7323 §3.2)
//   31      30    28 27                     0          5        4      3        0
//   ┌──────┬────────┬────────────────────────┐        ┌─────┬──────┬─────────────┐
//   │ tick │  MSS   │ keyed hash, 28 bits    │        │ ECN │ SACK │ window scale│  15: none
//   └──────┴────────┴────────────────────────┘        └─────┴──────┴─────────────┘
//
// The hash (SipHash-2-4: a peer sees its output) covers the four-tuple, the client's sequence number, the tick's whole
// number and every bit of terms above, so neither a forged nor a changed nor an old cookie passes but by a chance of
// 2^-28. A tick is 64 s long, and a cookie is good in its own and the next one. Without timestamps a cookie carries the
// MSS alone, and the SYN-ACK offers nothing else.
#pragma once

#include <optional>

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/handshake_terms.h"
#include "dataplane/tcp/secrets.h"

namespace millrace::tcp {

inline constexpr TimeUs cookie_tick_us = 64 * us_per_s;

/// What of `terms` a cookie can carry: the MSS rounded down to one of eight, and the options only with timestamps.
HandshakeTerms cookie_terms(const HandshakeTerms& terms);

/// The initial sequence number that answers a SYN with `terms` (as cookie_terms() gave them) and sequence number `irs`.
Seq syn_cookie(const Context& ctx, const Tuple& tuple, Seq irs, const HandshakeTerms& terms);

/// The TSval of that SYN-ACK: the latest one not after `ts_value` whose low bits carry the options.
uint32_t cookie_timestamp(uint32_t ts_value, const HandshakeTerms& terms);

/// The terms of the cookie that `ack` acknowledges, when it is ours, unchanged and young enough.
std::optional<HandshakeTerms> check_syn_cookie(const Context& ctx, const wire::TcpSegment& ack);

}  // namespace millrace::tcp
