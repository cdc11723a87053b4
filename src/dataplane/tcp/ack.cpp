#include "dataplane/tcp/ack.h"

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/challenge.h"
#include "dataplane/tcp/keepalive.h"
#include "dataplane/tcp/recovery.h"
#include "dataplane/tcp/rtt.h"
#include "dataplane/tcp/send_queue.h"
#include "dataplane/tcp/send_window.h"

namespace millrace::tcp {
namespace {

/// RFC 5961 §5: what a peer that has seen our segments can acknowledge.
bool acknowledgement_plausible(const EndpointHot& hot, Seq ack) {
    const uint32_t window_max = 65535u << hot.send_scale();
    if (ack > hot.snd_nxt && !fault(Fault::tcp_ack_beyond_snd_nxt_accepted)) return false;
    return ack >= hot.snd_una - window_max || fault(Fault::tcp_ancient_ack_accepted);
}

void on_fin_acknowledged(Endpoint ep, Events& events) {
    switch (ep.hot.state) {
        case State::fin_wait_1:
            ep.hot.state = State::fin_wait_2;
            break;
        case State::closing:
            ep.hot.state = State::time_wait;
            events.bits |= event_time_wait;
            break;
        case State::last_ack:
            ep.hot.state = State::closed;
            events.bits |= event_closed;
            break;
        default:
            break;
    }
}

void on_new_ack(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, Events& events) {
    const Seq ack{segment.ack}, una_before = ep.hot.snd_una;
    const uint32_t flight_before = in_flight(ep.hot);
    const uint32_t bytes = ack - ep.hot.snd_una;
    const bool fin_acked = ep.hot.has(flag_fin_sent) && ack == ep.hot.snd_nxt;
    const uint32_t payload = bytes - (fin_acked ? 1 : 0);
    const Seq fack = recovery_fack(ctx, ep);

    ep.hot.snd_una = ack;
    ep.warm.queued -= payload;
    if (fin_acked) on_fin_acknowledged(ep, events);
    if (payload > 0) {
        events.bits |= event_acked;
        events.acked += payload;
    }
    const AckedNow acked{bytes, flight_before, send_queue_release(ctx, ep, una_before, fack)};
    uint32_t rtt_us = acked.released.rtt_us;
    if (rtt_us == 0 && ep.hot.has(flag_timestamps)) rtt_us = rtt_from_echo(ctx, ep, segment.options.ts_echo);
    if (rtt_us != 0) rtt_sample(ep, rtt_us);
    recovery_on_ack(ctx, ep, segment, acked);
}

/// An ACK that moves nothing: with SACK its blocks count, without it that it is a duplicate (RFC 5681 §2).
void on_repeated_ack(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, uint32_t window) {
    const bool duplicate = segment.length() == 0 && window == ep.hot.snd_wnd;
    if (duplicate) ++ctx.counters.duplicate_acks_in;
    if (ep.hot.has(flag_sack)) {
        recovery_on_ack(ctx, ep, segment, {});
    } else if (duplicate) {
        recovery_on_duplicate_ack(ctx, ep);
    }
}

/// RFC 9293 §3.10.7.4 keeps SND.WL1 and SND.WL2 to tell old segments from new ones. SND.WL2 never is above SND.UNA,
/// which is the least that gets here, so it is not needed.
void update_send_window(Endpoint ep, const wire::TcpSegment& segment, uint32_t window, bool advanced) {
    const Seq seq{segment.seq};
    if (!advanced && seq < ep.warm.wl1) return;
    const bool opens = ep.hot.snd_wnd == 0 && window > 0;
    ep.hot.snd_wnd = window;
    ep.warm.wl1 = seq;
    note_send_window(ep);
    if (opens && ep.hot.has(flag_persist)) {
        ep.hot.clear(flag_persist);
        ep.hot.clear(flag_probe_wanted);
        ep.warm.backoff = 0;
    }
}

}  // namespace

bool process_ack(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, Events& events) {
    const Seq ack{segment.ack};
    if (!acknowledgement_plausible(ep.hot, ack)) {
        ++ctx.counters.bad_acks;
        if (challenge_allowed(ctx, ep)) ep.hot.set(flag_ack_pending);
        return false;
    }
    if (keepalive_probing(ep) && !fault(Fault::tcp_keepalive_kills_live_peer)) keepalive_end(ctx, ep);
    if (ack < ep.hot.snd_una) return true;  // an old duplicate; its payload may still be of use

    const uint32_t window = uint32_t{segment.window} << ep.hot.send_scale();
    const bool advanced = ack > ep.hot.snd_una;
    if (advanced) {
        on_new_ack(ctx, ep, segment, events);
    } else if (in_flight(ep.hot) > 0) {
        on_repeated_ack(ctx, ep, segment, window);
    }
    if (ep.hot.has(flag_ecn) && segment.has(wire::tcp_ece)) recovery_on_congestion_echo(ctx, ep);
    update_send_window(ep, segment, window, advanced);
    // The peer answers, so this never ends (RFC 9293 §3.8.6.1), though probes have become rare.
    if (ep.hot.snd_wnd == 0 && ep.warm.backoff > backoff_while_answered && !fault(Fault::tcp_window_probe_gives_up))
        ep.warm.backoff = backoff_while_answered;
    return true;
}

}  // namespace millrace::tcp
