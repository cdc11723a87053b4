#include "dataplane/tcp/recovery.h"

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/extension.h"
#include "dataplane/tcp/send_queue.h"

namespace millrace::tcp {
namespace {

void enter_fast_recovery(const Context& ctx, Endpoint ep) {
    const uint32_t mss = ep.hot.mss;
    ++ctx.counters.fast_retransmits;
    if (!fault(Fault::tcp_fast_retransmit_forgotten)) ep.hot.set(flag_retransmit_wanted);
    ep.warm.ssthresh = congestion_reduced_window(ep, in_flight(ep.hot));
    ep.warm.cwnd = ep.warm.ssthresh;
    Extension* state = ensure_extension(ctx, ep);
    if (state == nullptr) {
        ++ctx.counters.recovery_without_state;
        return;
    }
    state->recover = ep.hot.snd_nxt;
    state->partial_acks = 0;
    ep.warm.cwnd += duplicate_ack_threshold * mss;  // the segments that left the network
    ep.hot.set(flag_fast_recovery);
}

/// RFC 6582 §3.2 step 3.
void on_ack_in_fast_recovery(const Context& ctx, Endpoint ep, Extension& state, uint32_t acked) {
    const uint32_t mss = ep.hot.mss;
    uint32_t& cwnd = ep.warm.cwnd;
    if (ep.hot.snd_una >= state.recover) {
        cwnd = std::min(ep.warm.ssthresh, std::max(in_flight(ep.hot), mss) + mss);
        ep.hot.clear(flag_fast_recovery);
        ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
        trim_extension(ctx, ep);
        return;
    }
    ep.hot.set(flag_retransmit_wanted);
    cwnd = cwnd > acked ? cwnd - acked : 0;
    if (acked >= mss) cwnd += mss;
    cwnd = std::max(cwnd, mss);
    // Only the first partial ACK restarts the timer: with many losses a timeout is the faster way out.
    if (state.partial_acks == 0) ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
    state.partial_acks = 1;
}

void on_ack_in_rto_recovery(const Context& ctx, Endpoint ep, Extension& state) {
    if (state.rtx_nxt <= ep.hot.snd_una) {
        state.rtx_nxt = ep.hot.snd_una;
        state.rtx_cursor = send_queue_head(ctx, ep);
    }
    // At `recover` itself duplicate ACKs may still come from what was sent twice; they mean no loss of what follows
    // (RFC 6582 §3.2 step 1). With nothing left to send that can do no harm.
    if (ep.hot.snd_una < state.recover || (ep.hot.snd_una == state.recover && ep.warm.queued > 0)) return;
    ep.hot.clear(flag_rto_recovery);
    trim_extension(ctx, ep);
}

}  // namespace

void recovery_on_duplicate_ack(const Context& ctx, Endpoint ep) {
    ++ctx.counters.duplicate_acks_in;
    if (ep.warm.duplicate_acks < 255) ++ep.warm.duplicate_acks;
    if (ep.hot.has(flag_fast_recovery)) {
        ep.warm.cwnd += ep.hot.mss;
    } else if (!ep.hot.has(flag_rto_recovery) && ep.warm.duplicate_acks == duplicate_ack_threshold) {
        enter_fast_recovery(ctx, ep);
    }
}

void recovery_on_ack(const Context& ctx, Endpoint ep, uint32_t acked, uint32_t flight_before) {
    ep.warm.duplicate_acks = 0;
    ep.warm.backoff = 0;
    Extension* state = extension(ctx, ep);
    if (ep.hot.has(flag_fast_recovery)) {
        on_ack_in_fast_recovery(ctx, ep, *state, acked);
        return;
    }
    ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
    ep.hot.clear(flag_retransmit_wanted);
    if (ep.hot.has(flag_rto_recovery)) {
        on_ack_in_rto_recovery(ctx, ep, *state);
        flight_before = ep.warm.cwnd;  // what is in flight is unknown; the window limits us
    }
    congestion_grow(ep, acked, flight_before);
}

void recovery_on_timeout(const Context& ctx, Endpoint ep) {
    ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
    ep.warm.duplicate_acks = 0;
    if (ep.warm.backoff <= 1) ep.warm.ssthresh = congestion_reduced_window(ep, in_flight(ep.hot));
    ep.warm.cwnd = ep.hot.mss;
    ep.hot.clear(flag_fast_recovery);
    ep.hot.clear(flag_retransmit_wanted);
    Extension* state = ensure_extension(ctx, ep);
    if (state == nullptr) {
        ++ctx.counters.recovery_without_state;
        ep.hot.clear(flag_rto_recovery);
        ep.hot.set(flag_retransmit_wanted);
        return;
    }
    ep.hot.set(flag_rto_recovery);
    state->recover = ep.hot.snd_nxt;
    state->rtx_nxt = ep.hot.snd_una;
    state->rtx_cursor = send_queue_head(ctx, ep);
}

uint32_t recovery_send_window(Endpoint ep) {
    const bool open = !ep.hot.has(flag_fast_recovery) && !ep.hot.has(flag_rto_recovery);
    if (open && ep.warm.duplicate_acks > 0 && ep.warm.duplicate_acks < duplicate_ack_threshold)
        return ep.warm.cwnd + ep.warm.duplicate_acks * uint32_t{ep.hot.mss};
    return ep.warm.cwnd;
}

}  // namespace millrace::tcp
