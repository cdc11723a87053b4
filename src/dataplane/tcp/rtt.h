// Round-trip times and the retransmission timeout (RFC 6298 §2, RFC 7323 §4). Internal to tcp/.
//
// A sample comes from a chunk's send time, in microseconds, when the chunk was never sent twice (Karn's rule), else
// from the echoed timestamp, in milliseconds, which is never ambiguous.
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// Where the backoff stays while a peer with a closed window answers: far enough apart, and with retries_max more
/// timeouts to go before the connection is given up.
inline constexpr uint8_t backoff_while_answered = 8;

/// Takes one measurement (RFC 6298 §2.2, §2.3).
void rtt_sample(Endpoint ep, uint32_t rtt_us);

/// The measurement that an echoed timestamp gives, or 0 when it makes no sense.
uint32_t rtt_from_echo(const Context& ctx, Endpoint ep, uint32_t ts_echo);

/// After a handshake whose SYN was repeated there is no sample; data starts with 3 s (RFC 6298 §5.7).
void rtt_after_lost_syn(Endpoint ep);

/// Something new is acknowledged: timeouts in a row are counted anew. The timeout stays doubled until something is
/// measured (Karn; RFC 6298 §5.5 and the note under §5.7), which with timestamps every ACK is.
void rto_on_progress(Endpoint ep, bool measured);

/// The current timeout with its backoff (RFC 6298 §2, §5.5).
uint32_t rto_us(const Options& options, Endpoint ep);

}  // namespace millrace::tcp
