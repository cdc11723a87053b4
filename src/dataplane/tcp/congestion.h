// Congestion control: how much may be in flight. This is the whole interface; loss recovery (recovery.h) and the sender
// know nothing else of it. NewReno here (RFC 5681, RFC 3465, RFC 6928); CUBIC will be a second implementation of the
// same three functions. cwnd and ssthresh are bytes. Internal to tcp/.
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// A new connection; `segments` is its initial window (RFC 6928 §2).
void congestion_start(Endpoint ep, uint32_t segments);

/// `acked` bytes left the network outside fast recovery, `flight_before` were in it before: slow start or congestion
/// avoidance. The window does not grow while the application, not the window, limits the flight (RFC 7661 §4.2).
void congestion_grow(Endpoint ep, uint32_t acked, uint32_t flight_before);

/// The slow start threshold after a loss with `flight` bytes in flight (RFC 5681 eq. 4).
uint32_t congestion_reduced_window(Endpoint ep, uint32_t flight);

}  // namespace millrace::tcp
