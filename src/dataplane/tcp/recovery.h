// Loss recovery without SACK: fast retransmit and NewReno fast recovery (RFC 5681 §3.2, RFC 6582), limited transmit
// (RFC 3042), and after a timeout slow start over everything that was in flight (RFC 5681 §3.1, RFC 6298 §5.4).
// Internal to tcp/. The sender asks what to send again; this file decides it.
//
//                 3 duplicate ACKs                       timeout
//        open ────────────────────► fast recovery ──────────────────┐
//         │ ◄── ACK of `recover` ─────────┘                         ▼
//         │ ◄── ACK beyond `recover`, or nothing to send ────── RTO recovery
//         └──────────────────────── timeout ───────────────────────►┘
//
// Without a chunk for the extension (exhaustion, counted) one segment is sent per loss signal and nothing is
// remembered.
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

inline constexpr uint8_t duplicate_ack_threshold = 3;  // RFC 5681 §3.2

/// A duplicate ACK in the sense of RFC 5681 §2 arrived.
void recovery_on_duplicate_ack(const Context& ctx, Endpoint ep);

/// snd_una has moved up by `acked`; `flight_before` was in flight until then. Restarts the timer where it should be
/// (RFC 6298 §5.3) and lets the congestion window grow.
void recovery_on_ack(const Context& ctx, Endpoint ep, uint32_t acked, uint32_t flight_before);

/// The retransmission timer expired; the caller has counted the backoff.
void recovery_on_timeout(const Context& ctx, Endpoint ep);

/// The congestion window for new data now, limited transmit included.
uint32_t recovery_send_window(Endpoint ep);

}  // namespace millrace::tcp
