#include "dataplane/tcp/receiver.h"

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/ack.h"
#include "dataplane/tcp/challenge.h"
#include "dataplane/tcp/delayed_ack.h"
#include "dataplane/tcp/ecn.h"
#include "dataplane/tcp/extension.h"
#include "dataplane/tcp/handshake.h"
#include "dataplane/tcp/reassembly.h"
#include "dataplane/tcp/receive_window.h"
#include "dataplane/tcp/sack_blocks.h"

namespace millrace::tcp {
namespace {

/// RFC 7323 §5.5: a ts_recent older than 24 days says nothing.
constexpr uint32_t ts_recent_age_max_ms = 24u * 24 * 3600 * 1000;

/// Segments as large are those of a sender with more to send than fits into one.
constexpr size_t bulk_segment_min = 500;

void challenge(const Context& ctx, Endpoint ep) {
    if (challenge_allowed(ctx, ep)) ep.hot.set(flag_ack_pending);
}

/// RFC 7323 §3.2 and PAWS (§5.3 R1). Data is always answered; two ends that each take the other's ACKs for old ones
/// must not answer each other for ever.
bool timestamp_acceptable(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment) {
    if (!ep.hot.has(flag_timestamps)) return true;
    if (!segment.options.has_timestamps) {
        ++ctx.counters.missing_timestamp;
        return false;
    }
    const bool older = static_cast<int32_t>(segment.options.ts_value - ep.hot.ts_recent) < 0;
    if (!older || fault(Fault::tcp_no_paws)) return true;
    const bool stale = arrival_clock_ms(ctx) - ep.warm.ts_recent_age > ts_recent_age_max_ms;
    if (stale && !fault(Fault::tcp_paws_for_ever)) return true;
    ++ctx.counters.paws_rejected;
    if (segment.length() > 0)
        ep.hot.set(flag_ack_pending);
    else
        challenge(ctx, ep);
    return false;
}

/// RFC 9293 §3.10.7.4, first step, read generously: a segment is also acceptable at the right edge itself, so that the
/// ACK of a peer who has filled our window counts, and its payload is then cut to nothing.
bool sequence_acceptable(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment) {
    const Seq seq{segment.seq};
    const uint32_t length = segment.length();
    const bool old = length == 0 ? seq < ep.hot.rcv_nxt : seq + length <= ep.hot.rcv_nxt;
    if (!old && seq <= ep.hot.rcv_adv) return true;
    if (old && !segment.payload.empty()) {
        ++ctx.counters.duplicate_data_in;
        note_duplicate(ctx, ep, seq, seq + static_cast<uint32_t>(segment.payload.size()));
    } else {
        ++ctx.counters.out_of_window_in;
    }
    // Data and probes of a live peer are always answered; anything else could be one half of an endless ACK exchange.
    if (length > 0 || seq == ep.hot.rcv_nxt - 1)
        ep.hot.set(flag_ack_pending);
    else
        challenge(ctx, ep);
    return false;
}

/// RFC 7323 §4.3: only a segment that reaches back to the last ACK sent, so that the echo covers a delayed ACK: that of
/// the first segment which waits for it stays.
void note_arrival(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment) {
    if (Seq{segment.seq} > ep.hot.rcv_nxt && !fault(Fault::tcp_timestamp_of_any_segment)) return;
    if (ep.hot.ack_delayed != 0) return;
    ep.warm.ts_recent_age = arrival_clock_ms(ctx);
    if (ep.hot.has(flag_timestamps)) ep.hot.ts_recent = segment.options.ts_value;
}

/// RFC 5961 §3.2.
Events on_reset(const Context& ctx, Endpoint ep, Seq seq) {
    Events events;
    if (seq == ep.hot.rcv_nxt || fault(Fault::tcp_reset_in_window_accepted)) {
        ++ctx.counters.resets_in;
        // An endpoint is in syn_received only after a simultaneous open; that was refused then (RFC 9293 §3.10.7.4).
        const bool opening = ep.hot.state == State::syn_received;
        if (opening) ++ctx.counters.open_refused;
        events.bits = opening ? event_refused : event_reset;
        ep.hot.state = State::closed;
    } else {
        challenge(ctx, ep);
    }
    return events;
}

void accept_fin(Endpoint ep, Events& events) {
    if (!fault(Fault::tcp_fin_not_counted)) ep.hot.rcv_nxt += 1;
    ep.hot.rcv_adv = max(ep.hot.rcv_adv, ep.hot.rcv_nxt);
    ep.hot.set(flag_fin_received);
    ep.hot.set(flag_ack_pending);
    events.bits |= event_peer_fin;
    switch (ep.hot.state) {
        case State::established:
            ep.hot.state = State::close_wait;
            break;
        case State::fin_wait_1:
            ep.hot.state = State::closing;
            if (!fault(Fault::tcp_simultaneous_close_cut_short)) break;
            ep.hot.state = State::time_wait;
            events.bits |= event_time_wait;
            break;
        default:
            ep.hot.state = State::time_wait;
            events.bits |= event_time_wait;
            break;
    }
}

/// Payload, and perhaps a FIN behind it, cut to the window.
struct Text {
    Seq seq;
    std::span<const uint8_t> payload;
    bool fin;
    bool ack_now;  ///< the ACK must not wait

    Seq end() const { return seq + static_cast<uint32_t>(payload.size()); }
};

void trim_to_window(const Context& ctx, Endpoint ep, Text& text) {
    if (text.seq < ep.hot.rcv_nxt) {
        const uint32_t known = std::min(ep.hot.rcv_nxt - text.seq, static_cast<uint32_t>(text.payload.size()));
        note_duplicate(ctx, ep, text.seq, text.seq + known);
        if (!fault(Fault::tcp_left_edge_untrimmed)) text.payload = text.payload.subspan(known);
        text.seq += known;
        text.ack_now = true;
    }
    Seq edge = ep.hot.rcv_adv;
    if (fault(Fault::tcp_window_off_by_one)) edge += 1;
    if (fault(Fault::tcp_window_ignored)) edge += 1000;
    if (text.end() > edge) {
        ++ctx.counters.beyond_window_in;
        text.payload = text.payload.first(text.seq < edge ? edge - text.seq : 0);
        text.fin = false;
        text.ack_now = true;
    }
    // Nothing follows a FIN, even one that still waits for what is before it.
    const Extension* state = extension(ctx, ep);
    if (state != nullptr && state->fin_waiting != 0 && text.end() > state->fin_seq)
        text.payload = text.payload.first(text.seq < state->fin_seq ? state->fin_seq - text.seq : 0);
}

/// Consumes in-order payload and what it makes continuous. False when the consumer did not take all of it.
bool accept_in_order(const Context& ctx, Endpoint ep, std::span<const uint8_t> payload, Consumer consume,
                     Events& events) {
    uint32_t taken = 0;
    if (!payload.empty()) {
        reassembly_note_overlap(ctx, ep, ep.hot.rcv_nxt + static_cast<uint32_t>(payload.size()));
        taken = static_cast<uint32_t>(consume(payload));
        // Perhaps memory is short because of what waits out of order, which is of no use without these bytes. It is not
        // acknowledged, so it gives way; else connections that hold such bytes could starve each other for ever.
        if (taken < payload.size() && reassembly_discard(ctx, ep))
            taken += static_cast<uint32_t>(consume(payload.subspan(taken)));
        ep.hot.rcv_nxt += fault(Fault::tcp_ack_without_storing) ? static_cast<uint32_t>(payload.size()) : taken;
    }
    const bool all = taken == payload.size();
    if (!all) ++ctx.counters.payload_refused;
    if (all && ep.warm.extension != store::no_chunk) taken += reassembly_deliver(ctx, ep, consume);
    if (taken > 0) {
        events.bits |= event_data;
        events.consumed += taken;
        ctx.counters.data_bytes_in += taken;
    }
    return all;
}

/// The first one counts, and none that contradicts the data behind it: a peer that says otherwise is broken.
void note_early_fin(const Context& ctx, Endpoint ep, Seq fin_seq) {
    Extension* state = ensure_extension(ctx, ep);
    if (state == nullptr) return;  // the peer will send it again
    if (state->fin_waiting == 0 && reassembly_end(ctx, ep) <= fin_seq) {
        state->fin_waiting = 1;
        state->fin_seq = fin_seq;
    }
    trim_extension(ctx, ep);
}

void owe_duplicate_ack(const Context& ctx, Endpoint ep) {
    ++ctx.counters.out_of_order_in;
    if (fault(Fault::tcp_out_of_order_unanswered)) return;
    ep.hot.set(flag_ack_pending);
    if (ep.hot.duplicate_acks_owed < 7) ++ep.hot.duplicate_acks_owed;
}

/// Bulk after a loss: the sender's window is small now and grows with the ACKs, and the last of its segments must not
/// wait for a second one that it may not send (RFC 5681 §4.2 asks for the ACKs within the gap, and allows these).
bool quick_ack_due(const Context& ctx, Endpoint ep, bool in_gap) {
    constexpr uint8_t segments_after_gap = 16;
    Extension* state = extension(ctx, ep);
    if (state == nullptr || state->measuring == 0) return false;
    if (in_gap) state->quick_acks = segments_after_gap;
    if (state->quick_acks == 0) return false;
    --state->quick_acks;
    return true;
}

/// In-order payload and FIN.
void accept_next(const Context& ctx, Endpoint ep, const Text& text, Seq fin_seq, Consumer consume, Events& events) {
    // A segment before others that wait may fill their hole: the peer's recovery goes on with this ACK (RFC 5681 §4.2).
    const bool held = reassembly_waits(ctx, ep);
    const bool bulk = ep.hot.ack_delayed != 0 && text.payload.size() >= bulk_segment_min;
    const bool all = accept_in_order(ctx, ep, text.payload, consume, events);
    receive_window_measure(ctx, ep, bulk);
    delay_ack(ctx, ep, quick_ack_due(ctx, ep, held) || text.ack_now || held || !all);
    bool fin_now = all && text.fin && ep.hot.rcv_nxt == fin_seq;
    if (Extension* state = extension(ctx, ep)) {
        fin_now |= state->fin_waiting != 0 && state->fin_seq == ep.hot.rcv_nxt;
        if (fin_now) {
            state->fin_waiting = 0;
            reassembly_discard(ctx, ep);
        }
        ep.hot.duplicate_acks_owed = duplicate_noted(*state) ? 1 : 0;
        trim_extension(ctx, ep);
    } else {
        ep.hot.duplicate_acks_owed = 0;
    }
    if (fin_now) accept_fin(ep, events);
}

/// RFC 9293 §3.10.7.4, seventh and eighth step.
void accept_text(const Context& ctx, Endpoint ep, Text text, Consumer consume, Events& events) {
    if (text.payload.empty() && !text.fin) return;
    if (!can_receive(ep.hot)) {
        ep.hot.set(flag_ack_pending);
        return;
    }
    const Seq fin_seq = text.end();
    trim_to_window(ctx, ep, text);
    if (text.seq <= ep.hot.rcv_nxt) return accept_next(ctx, ep, text, fin_seq, consume, events);
    owe_duplicate_ack(ctx, ep);
    if (!text.payload.empty()) reassembly_insert(ctx, ep, text.seq, text.payload);
    if (text.fin) note_early_fin(ctx, ep, fin_seq);
}

/// RFC 9293 §3.5, figure 8: the SYN-ACKs of a simultaneous open cross, and each completes the handshake of the other.
bool completes_simultaneous_open(Endpoint ep, const wire::TcpSegment& segment) {
    return ep.hot.state == State::syn_received && segment.has(wire::tcp_ack) &&
           Seq{segment.seq} + 1 == ep.hot.rcv_nxt && Seq{segment.ack} == ep.hot.snd_una + 1;
}

Events receive_in_syn_sent(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, Consumer consume) {
    Events events;
    handshake_receive_syn_sent(ctx, ep, segment, events);
    if (events.has(event_established))
        accept_text(ctx, ep, {Seq{segment.seq} + 1, segment.payload, segment.has(wire::tcp_fin), true}, consume,
                    events);
    return events;
}

}  // namespace

Events receive(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, Consumer consume) {
    ++ctx.counters.segments_in;
    if (ep.hot.state == State::closed) return {};
    if (ep.hot.state == State::syn_sent) return receive_in_syn_sent(ctx, ep, segment, consume);

    Events events;
    const Seq seq{segment.seq};
    if (segment.has(wire::tcp_rst)) {
        if (seq >= ep.hot.rcv_nxt && seq <= ep.hot.rcv_adv) return on_reset(ctx, ep, seq);
        ++ctx.counters.out_of_window_in;
        return events;
    }
    if (!timestamp_acceptable(ctx, ep, segment)) return events;
    if (segment.has(wire::tcp_syn) && completes_simultaneous_open(ep, segment)) {
        handshake_acknowledged(ctx, ep, segment, events);
        ep.hot.set(flag_ack_pending);
        return events;
    }
    if (segment.has(wire::tcp_syn)) {  // RFC 5961 §4: whatever its sequence number
        if (fault(Fault::tcp_syn_in_window_resets)) return on_reset(ctx, ep, ep.hot.rcv_nxt);
        challenge(ctx, ep);
        return events;
    }
    if (!sequence_acceptable(ctx, ep, segment) || !segment.has(wire::tcp_ack)) return events;
    if (ep.hot.state == State::syn_received && !handshake_acknowledged(ctx, ep, segment, events)) return events;
    if (!process_ack(ctx, ep, segment, events)) return events;
    if (ep.hot.state == State::closed) return events;
    Text text{seq, segment.payload, segment.has(wire::tcp_fin), after_silence(ctx, ep)};
    note_arrival(ctx, ep, segment);
    ecn_on_segment(ep.hot, segment);
    // The urgent pointer is ignored: urgent data is data (RFC 6093 §4).
    if (segment.has(wire::tcp_urg) && fault(Fault::tcp_urgent_swallowed)) text.payload = text.payload.first(0);
    accept_text(ctx, ep, text, consume, events);
    return events;
}

}  // namespace millrace::tcp
