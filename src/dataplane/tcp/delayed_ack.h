// When an ACK is due (RFC 9293 §3.8.6.3, RFC 5681 §4.2). In-order payload is acknowledged by the next data that goes
// the other way, by a pure ACK for every second segment, or when Options::ack_delay_ms has passed. At once is
// acknowledged what the peer's loss recovery or flow control waits for (receiver.cpp), and the first segment after a
// silence as long as the delay: then no second one is in sight, and a peer under Nagle's rule waits for just this ACK.
// So a lone push costs no timer, and a stream of pushes one ACK for two. Internal to tcp/, as is all of its state:
//
//   flag_ack_pending    the next flush sends an ACK
//   ack_delayed         rcv_nxt has moved since the last ACK; without flag_ack_pending the timer runs
//   ts_recent_age       when the first segment that is not acknowledged arrived (and else the latest)
#pragma once

#include <optional>

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// The clock of ts_recent_age.
inline uint32_t arrival_clock_ms(const Context& ctx) {
    return static_cast<uint32_t>(ctx.now / us_per_ms);
}

/// No segment has arrived for as long as an ACK may wait. Ask before the arrival of this one is noted.
inline bool after_silence(const Context& ctx, Endpoint ep) {
    return arrival_clock_ms(ctx) - ep.warm.ts_recent_age >= ctx.options.ack_delay_ms;
}

/// In-order payload was taken: acknowledges at once when `now`, or when it is the second segment, or the window that is
/// left could hold the peer up; later otherwise.
void delay_ack(const Context& ctx, Endpoint ep, bool now);

/// A segment with the current acknowledgement is sent.
inline void note_ack_sent(EndpointHot& hot) {
    hot.clear(flag_ack_pending);
    hot.ack_delayed = 0;
}

/// When a delayed ACK must be sent; empty when none waits.
std::optional<TimeUs> delayed_ack_deadline(const Context& ctx, Endpoint ep);

}  // namespace millrace::tcp
