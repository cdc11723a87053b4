// The window that we advertise (RFC 9293 §3.8.6, RFC 7323 §2). Internal to tcp/, but for receive_limit().
//
//          rcv_nxt            rcv_adv          rcv_nxt + receive_space
//   ──────────┼──────────────────┼──────────────────────┼──
//    consumed │ promised: kept   │ could be promised    │
//
// rcv_adv never goes back, whatever happens to the owner's space. It moves forward only by steps worth a segment (silly
// window avoidance, §3.8.6.2.2). The window field is rounded down to the scale, so a peer may see the edge up to
// 2^scale - 1 bytes short of rcv_adv (RFC 7323 §2.4); bytes up to rcv_adv are accepted all the same.
//
// How large it gets follows the path. It begins at Options::receive_window_bytes; while bulk arrives, the rate at which
// the owner takes it is measured, and twice what that makes in a round trip (four times while it rises as in slow
// start) is allowed, up to Options::receive_window_max_bytes: a sender whom the window holds up so doubles its rate
// with each round trip, slow start is not held up, and a sender whose bytes are not taken away gets nothing. The round
// trip is the shortest known, so queues on the way don't count; and the rate is that of 10 ms at least, so bursts on a
// short path don't. What is measured lies in the extension, which an endpoint without bulk does not have.
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/extension.h"

namespace millrace::tcp {

/// Bytes that the peer may still send.
inline uint32_t receive_window(const EndpointHot& hot) {
    return hot.rcv_adv - hot.rcv_nxt;
}

/// The largest window to advertise, bytes.
inline uint32_t receive_limit(const Context& ctx, Endpoint ep) {
    const Extension* state = extension(ctx, ep);
    return state == nullptr ? ctx.options.receive_window_bytes
                            : std::max(state->receive_limit, ctx.options.receive_window_bytes);
}

/// In-order payload was consumed; `bulk`: it was a large segment right behind another one. Measures, and may raise or
/// lower receive_limit().
void receive_window_measure(const Context& ctx, Endpoint ep, bool bulk);

/// Forgets what was measured on a connection that has long received nothing.
void receive_window_rest(const Context& ctx, Endpoint ep);

/// The right edge for a segment sent now with `receive_space` bytes free: rcv_adv, or further.
Seq receive_window_edge(const Context& ctx, Endpoint ep, uint32_t receive_space);

/// Whether `edge` is so much more than the peer knows that it deserves a segment of its own.
bool receive_window_update_due(const Options& options, const EndpointHot& hot, Seq edge);

}  // namespace millrace::tcp
