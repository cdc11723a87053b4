// The window that we advertise (RFC 9293 §3.8.6, RFC 7323 §2). Internal to tcp/.
//
//          rcv_nxt            rcv_adv          rcv_nxt + receive_space
//   ──────────┼──────────────────┼──────────────────────┼──
//    consumed │ promised: kept   │ could be promised    │
//
// rcv_adv never goes back, whatever happens to the owner's space. It moves forward only by steps worth a segment (silly
// window avoidance, §3.8.6.2.2). The window field is rounded down to the scale, so a peer may see the edge up to
// 2^scale - 1 bytes short of rcv_adv (RFC 7323 §2.4); bytes up to rcv_adv are accepted all the same.
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

/// Bytes that the peer may still send.
inline uint32_t receive_window(const EndpointHot& hot) {
    return hot.rcv_adv - hot.rcv_nxt;
}

/// The right edge for a segment sent now with `receive_space` bytes free: rcv_adv, or further.
Seq receive_window_edge(const Options& options, const EndpointHot& hot, uint32_t receive_space);

/// Whether `edge` is so much more than the peer knows that it deserves a segment of its own.
bool receive_window_update_due(const Options& options, const EndpointHot& hot, Seq edge);

}  // namespace millrace::tcp
