// Keepalive (RFC 9293 §3.8.4): finds peers that went away without a word. It has no timer and no memory of its own: the
// owner, who visits every connection every few seconds anyhow, asks keepalive_step() and acts. While probes are
// unanswered, warm.backoff counts them and warm.timer_base is when the last one went; both are free as long as nothing
// is in flight and no window is closed. How long the peer has been silent is told by warm.ts_recent_age.
//
//   silent for `idle_s` ──► probe ──interval_s──► probe ── ... `count` unanswered ──► dead
//                             └── any segment of the peer: another `idle_s`
#pragma once

#include <millrace/snapshot.h>

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

enum class KeepaliveStep : uint8_t {
    none,
    probe,  ///< flush() sends it
    dead,   ///< nobody answers: abort()
};

KeepaliveStep keepalive_step(const Context& ctx, Endpoint ep, const KeepaliveRecord& settings);

/// Probes are under way: the endpoint is established and nothing else uses the fields.
inline bool keepalive_probing(Endpoint ep) {
    return ep.warm.backoff != 0 && in_flight(ep.hot) == 0 && !ep.hot.has(flag_persist);
}

/// The peer has answered, or there is data to send, which has a timer of its own.
inline void keepalive_end(const Context& ctx, Endpoint ep) {
    ep.warm.backoff = 0;
    ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
}

}  // namespace millrace::tcp
