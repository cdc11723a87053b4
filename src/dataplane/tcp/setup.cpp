#include "dataplane/tcp/setup.h"

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/ecn.h"
#include "dataplane/tcp/handshake.h"
#include "dataplane/tcp/rtt.h"
#include "dataplane/tcp/segment.h"
#include "dataplane/tcp/send_window.h"

namespace millrace::tcp {
namespace {

/// Against peers that would make us send a packet for every few bytes.
constexpr uint16_t mss_min = 88;

uint16_t default_mss(const IpAddress& peer) {
    return peer.is_v4() ? 536 : 1220;  // RFC 9293 §3.7.1
}

/// Takes over what the peer's SYN said. The congestion window waits for the end of the handshake.
void apply_terms(const Context& ctx, Endpoint ep, const HandshakeTerms& terms, Seq irs, uint16_t window,
                 uint32_t ts_value) {
    EndpointHot& hot = ep.hot;
    hot.clear(flag_timestamps);
    hot.clear(flag_wscale);
    hot.clear(flag_sack);
    hot.clear(flag_ecn);
    if (terms.has_timestamps) hot.set(flag_timestamps);
    if (terms.has_sack) hot.set(flag_sack);
    if (terms.has_ecn) hot.set(flag_ecn);
    if (terms.has_window_scale) {
        hot.set(flag_wscale);
        hot.scales = static_cast<uint8_t>(terms.send_scale | ctx.options.window_scale << 4);
    }
    const uint16_t mss = std::clamp(terms.peer_mss, mss_min, local_mss(ctx.options, hot.peer));
    hot.mss = static_cast<uint16_t>(mss - (terms.has_timestamps ? 12 : 0));
    hot.rcv_nxt = irs + 1;
    hot.rcv_adv = hot.rcv_nxt + syn_window(ctx.options);
    hot.snd_wnd = fault(Fault::tcp_syn_window_scaled) ? uint32_t{window} << hot.send_scale() : window;
    hot.ts_recent = ts_value;
    ep.warm.wl1 = irs;
    ep.warm.ts_recent_age = static_cast<uint32_t>(ctx.now / us_per_ms);
    if (!terms.has_timestamps) ep.warm.rto_doublings = 0;
    note_send_window(ep);
}

/// Our SYN is acknowledged: the endpoint can send. `repeated` counts how often the SYN had to be sent again.
void enter_established(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, uint32_t repeated,
                       Events& events) {
    const uint32_t echo_rtt = ep.hot.has(flag_timestamps) ? rtt_from_echo(ctx, ep, segment.options.ts_echo) : 0;
    if (repeated == backoff_unknown)
        repeated = 0;  // and no sample: a cookie's timestamp lies up to 64 ms in the past
    else if (repeated == 0)
        rtt_sample(ep, static_cast<uint32_t>(ctx.now) - ep.warm.timer_base);
    else if (echo_rtt != 0)
        rtt_sample(ep, echo_rtt);
    else
        rtt_after_lost_syn(ep);
    // RFC 6928 §2: one lost SYN may be an accident, more of them are congestion.
    congestion_start(ep, repeated > 1 ? 1 : ctx.options.initial_window_segments);
    ep.hot.snd_una += 1;
    ep.hot.state = State::established;
    ep.warm.backoff = 0;
    ep.hot.clear(flag_retransmit_wanted);
    ++ctx.counters.established;
    events.bits |= event_established;
}

}  // namespace

HandshakeTerms negotiate(const Options& options, const wire::TcpSegment& syn) {
    HandshakeTerms terms{};
    terms.peer_mss = syn.options.has_mss ? syn.options.mss : default_mss(syn.source);
    terms.has_window_scale = syn.options.has_window_scale;
    terms.send_scale = syn.options.has_window_scale ? std::min<uint8_t>(syn.options.window_scale, 14) : uint8_t{0};
    terms.has_timestamps = options.timestamps && syn.options.has_timestamps;
    terms.has_ecn = options.ecn && ecn_setup(syn);
    terms.has_sack = options.sack && syn.options.sack_permitted;
    return terms;
}

void open_active(const Context& ctx, Endpoint ep, const Tuple& tuple, uint16_t local_id, std::optional<Seq> iss_min) {
    ep.hot = {};
    ep.warm = {};
    ep.hot.peer = tuple.peer;
    ep.hot.peer_port = tuple.peer_port;
    ep.hot.local_port = tuple.local_port;
    ep.hot.local_id = local_id;
    ep.hot.mss = default_mss(tuple.peer);
    Seq iss = initial_sequence_number(ctx.secrets, tuple, ctx.now);
    if (iss_min) iss = max(iss, *iss_min);
    ep.hot.snd_una = iss;
    ep.hot.snd_nxt = iss;
    ep.hot.state = State::syn_sent;
    ep.hot.set(flag_retransmit_wanted);
    ep.hot.set(flag_wscale);
    if (ctx.options.timestamps) ep.hot.set(flag_timestamps);
    if (ctx.options.sack) ep.hot.set(flag_sack);
    if (ctx.options.ecn) ep.hot.set(flag_ecn);
    if (ctx.options.timestamps) ep.warm.ts_offset = timestamp_offset(ctx.secrets, tuple);
    ++ctx.counters.active_opens;
}

void establish_passive(const Context& ctx, const HalfOpen& entry, Endpoint ep) {
    ep.hot = {};
    ep.warm = {};
    ep.hot.peer = entry.peer;
    ep.hot.peer_port = entry.peer_port;
    ep.hot.local_port = entry.local_port;
    ep.hot.local_id = entry.local_id;
    ep.hot.snd_una = entry.iss;
    ep.hot.snd_nxt = entry.iss + 1;
    ep.hot.state = State::syn_received;
    ep.warm.ts_offset = timestamp_offset(ctx.secrets, {entry.local, entry.peer, entry.local_port, entry.peer_port});
    ep.warm.timer_base = entry.sent_at;
    const uint8_t repeated = std::min(entry.retransmissions, backoff_max);
    ep.warm.backoff = (entry.from_cookie != 0 ? backoff_unknown : repeated) & 31;
    apply_terms(ctx, ep, entry.terms, entry.irs, entry.window, entry.ts_recent);
}

void handshake_receive_syn_sent(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, Events& events) {
    const Seq ack{segment.ack};
    const bool has_ack = segment.has(wire::tcp_ack);
    if (has_ack && (ack <= ep.hot.snd_una || ack > ep.hot.snd_nxt)) {
        // A peer that still holds an old connection of this tuple: only a RST lets our SYN through (§3.5.1).
        ++ctx.counters.bad_handshake_acks;
        if (segment.has(wire::tcp_rst)) return;
        ep.hot.snd_wnd = segment.ack;
        ep.hot.set(flag_reset_wanted);
        return;
    }
    if (segment.has(wire::tcp_rst)) {
        if (!has_ack) return;
        ep.hot.state = State::closed;
        ++ctx.counters.open_refused;
        events.bits |= event_refused;
        return;
    }
    if (!segment.has(wire::tcp_syn)) return;
    HandshakeTerms terms = negotiate(ctx.options, segment);
    if (!ep.hot.has(flag_ecn)) terms.has_ecn = 0;  // the last SYN no longer asked for it
    apply_terms(ctx, ep, terms, Seq{segment.seq}, segment.window, segment.options.ts_value);
    ep.hot.clear(flag_reset_wanted);
    if (has_ack) {
        enter_established(ctx, ep, segment, ep.warm.backoff, events);
        ep.hot.set(flag_ack_pending);
    } else {
        ep.hot.state = State::syn_received;
        ep.hot.set(flag_retransmit_wanted);
    }
}

bool handshake_acknowledged(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, Events& events) {
    if (Seq{segment.ack} != ep.hot.snd_una + 1) {
        ++ctx.counters.bad_handshake_acks;
        return false;
    }
    enter_established(ctx, ep, segment, ep.warm.backoff, events);
    return true;
}

}  // namespace millrace::tcp
