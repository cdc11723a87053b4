// The handshake as an endpoint sees it: what is agreed, and the segments that complete it (RFC 9293 §3.5, §3.10.7.3;
// RFC 7323 §2.2, §3.2). Internal to tcp/; setup.h has the calls for owners.
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/half_open.h"

namespace millrace::tcp {

/// Stands in warm.backoff until the handshake has completed: a cookie does not tell when, and how often, its SYN-ACK
/// was sent.
inline constexpr uint8_t backoff_unknown = 31;

/// What a peer's SYN or SYN-ACK and our settings agree on.
HandshakeTerms negotiate(const Options& options, const wire::TcpSegment& syn);

/// A segment in syn_sent. Sets event_established or event_refused when it decides; a SYN without ACK leads to
/// syn_received (simultaneous open).
void handshake_receive_syn_sent(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, Events& events);

/// A segment with ACK in syn_received. False when it does not acknowledge our SYN; then it must be dropped.
bool handshake_acknowledged(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, Events& events);

}  // namespace millrace::tcp
