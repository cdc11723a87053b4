// Congestion control: how much may be in flight. This is the whole interface; loss recovery (recovery.h) and the sender
// know nothing else of it. Two algorithms behind it, chosen by options.congestion_control: CUBIC (RFC 9438) and NewReno
// (RFC 5681); both start slowly (RFC 6928, RFC 3465) and grow only while the window is in use (RFC 7661 §4.2). cwnd and
// ssthresh are bytes. Internal to tcp/.
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// What a loss changes, kept for the case that it was none (RFC 4015 §3.2).
struct CongestionState {
    uint32_t cwnd;
    uint32_t ssthresh;
    uint32_t cubic[3];
};

/// A new connection; `segments` is its initial window (RFC 6928 §2).
void congestion_start(Endpoint ep, uint32_t segments);

/// `acked` bytes left the network outside fast recovery, `flight_before` were in it before: slow start or congestion
/// avoidance.
void congestion_grow(const Context& ctx, Endpoint ep, uint32_t acked, uint32_t flight_before);

/// A loss or an ECN mark with `flight` bytes outstanding: lowers ssthresh (RFC 5681 eq. 4, RFC 9438 §4.6). cwnd is the
/// caller's.
void congestion_on_loss(const Context& ctx, Endpoint ep, uint32_t flight);

/// The first data after `idle_us` of silence: the window decays to its restart value by half for each timeout
/// (RFC 5681 §4.1, RFC 2861 §3.2).
void congestion_after_idle(const Context& ctx, Endpoint ep, uint32_t idle_us);

CongestionState congestion_save(const EndpointWarm& warm);
void congestion_restore(EndpointWarm& warm, const CongestionState& before);

}  // namespace millrace::tcp
