// Loss recovery: when the window is reduced, what is sent again and how much of it at a time. With SACK: RACK says what
// is lost (rack.h), tail loss probes find losses at the end of a flight (RFC 8985 §7), proportional rate reduction
// paces the way down (RFC 9937). Without: NewReno (RFC 6582) with limited transmit (RFC 3042). After a timeout slow
// start over what is lost (RFC 5681 §3.1, RFC 6298 §5.4). A recovery that proves to be for nothing is undone: by
// timestamps (RFC 3522, RFC 4015), by D-SACK (RFC 3708), or, without timestamps, by what the two ACKs after a timeout
// acknowledge (F-RTO, RFC 5682 §2.1). ECN (RFC 3168 §6.1.2) reduces the window without a recovery.
// Internal to tcp/. The sender asks what to send again; this file decides it.
//
//            a loss by RACK, or 3 duplicate ACKs            timeout
//        open ─────────────────────────► fast recovery ─────────────┐
//         │ ◄── ACK of `recover`, or undone ───┘                    ▼
//         │ ◄── ACK of `recover`, or undone ─────────────────── RTO recovery
//         └──────────────────────── timeout ───────────────────────►┘
//
// Without a chunk for the extension (exhaustion, counted) SACKs are ignored, one segment is sent per loss signal and
// nothing is remembered.
#pragma once

#include "dataplane/tcp/extension.h"
#include "dataplane/tcp/send_queue.h"

namespace millrace::tcp {

inline constexpr uint8_t duplicate_ack_threshold = 3;  // RFC 5681 §3.2

/// What an ACK did before loss recovery sees it.
struct AckedNow {
    uint32_t bytes = 0;  ///< by which snd_una moved up
    uint32_t flight_before = 0;
    Released released;
};

/// A duplicate ACK in the sense of RFC 5681 §2 arrived on a connection without SACK.
void recovery_on_duplicate_ack(const Context& ctx, Endpoint ep);

/// snd_una has moved up, or the segment carries SACK blocks. Restarts the timer where it should be (RFC 6298 §5.3) and
/// lets the congestion window grow or shrink.
void recovery_on_ack(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, const AckedNow& acked);

/// ECE arrived on a connection with ECN.
void recovery_on_congestion_echo(const Context& ctx, Endpoint ep);

/// When recovery_on_deadline() wants to be called; TimeUs max: never.
TimeUs recovery_deadline(const Context& ctx, Endpoint ep);

/// Looks for losses, or asks for a tail loss probe, when its deadline has passed. True when it did something.
bool recovery_on_deadline(const Context& ctx, Endpoint ep);

/// The retransmission timer expired; the caller has counted the backoff.
void recovery_on_timeout(const Context& ctx, Endpoint ep);

/// The congestion window for new data now, limited transmit included.
uint32_t recovery_send_window(Endpoint ep);

/// Bytes believed to be in the network (RFC 6675 §4, "pipe"); a FIN takes no room.
inline uint32_t recovery_pipe(const Context& ctx, Endpoint ep) {
    const Extension* state = extension(ctx, ep);
    const uint32_t out = in_flight(ep.hot);
    if (state == nullptr) return out;
    const uint32_t gone = state->recovery.sacked + state->recovery.lost + (ep.hot.has(flag_fin_sent) ? 1 : 0);
    return out - std::min(out, gone);
}

/// `bytes` of new data were sent.
void recovery_on_sent(const Context& ctx, Endpoint ep, uint32_t bytes);

/// `bytes` from `seq` on were sent again.
void recovery_on_resent(const Context& ctx, Endpoint ep, Seq seq, uint32_t bytes);

/// Where fast recovery's highest delivered byte stands; snd_una when nothing is reported out of order.
inline Seq recovery_fack(const Context& ctx, Endpoint ep) {
    const Extension* state = extension(ctx, ep);
    return state == nullptr || state->recovery.rack_rtt_us == 0 ? ep.hot.snd_una : state->recovery.fack;
}

}  // namespace millrace::tcp
