#include "dataplane/tcp/recovery.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/rack.h"
#include "dataplane/tcp/rtt.h"

namespace millrace::tcp {
namespace {

// The tail loss probe's timeout (RFC 8985 §7.2): WCDelAckT, and a floor for paths shorter than a peer's scheduling.
constexpr uint32_t delayed_ack_max_us = 200'000;
constexpr uint32_t probe_timeout_min_us = 5'000;

bool in_recovery(const EndpointHot& hot) {
    return hot.has(flag_fast_recovery) || hot.has(flag_rto_recovery);
}

/// Gives back what no longer waits for anything.
void settle(const Context& ctx, Endpoint ep) {
    Extension* state = extension(ctx, ep);
    if (state == nullptr || in_recovery(ep.hot)) return;
    RecoveryState& recovery = state->recovery;
    if (recovery.undo_armed && (ep.hot.snd_una >= recovery.undo_end || in_flight(ep.hot) == 0)) recovery.undo_armed = 0;
    if (recovery.ecn_reduced && ep.hot.snd_una >= recovery.ecn_end) recovery.ecn_reduced = 0;
    if (ep.hot.snd_una >= recovery.duplicate_round) recovery.duplicate_round_known = 0;
    if (recovery.in_use()) return;
    recovery = {};
    trim_extension(ctx, ep);
}

/// Reduces for a loss, and remembers what was before.
void reduce(const Context& ctx, Endpoint ep, RecoveryState& state) {
    if (!state.undo_armed || !in_recovery(ep.hot)) {
        state.before = congestion_save(ep.warm);
        state.undo_bytes = 0;
        state.undo_armed = 1;
        state.rtx_ts_known = 0;
    }
    congestion_on_loss(ctx, ep, in_flight(ep.hot));
    state.recover = ep.hot.snd_nxt;
    if (state.ecn_reduced) state.ecn_end = ep.hot.snd_nxt;
}

void leave_recovery(const Context& ctx, Endpoint ep, RecoveryState& state) {
    ep.hot.clear(flag_fast_recovery);
    ep.hot.clear(flag_rto_recovery);
    state.undo_end = ep.hot.snd_nxt;
    if (ep.hot.has(flag_sack)) rack_on_recovery_end(ep);
    if (!ep.hot.has(flag_sack)) state.undo_armed = 0;  // only a D-SACK can tell later
    ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
}

/// RFC 9937 §6, for each ACK of fast recovery. `delivered` counts what was acknowledged, either way.
void prr_on_ack(const Context& ctx, Endpoint ep, RecoveryState& state, uint32_t delivered, bool safe) {
    const uint32_t pipe = recovery_pipe(ctx, ep);
    const uint32_t ssthresh = ep.warm.ssthresh;
    state.prr_delivered += delivered;
    uint32_t allowed = 0;
    if (pipe > ssthresh) {
        const uint64_t share = (uint64_t{state.prr_delivered} * ssthresh + state.recover_fs - 1) / state.recover_fs;
        allowed = share > state.prr_out ? static_cast<uint32_t>(share) - state.prr_out : 0;
    } else {
        const uint32_t owed = state.prr_delivered > state.prr_out ? state.prr_delivered - state.prr_out : 0;
        allowed = std::max(owed, delivered) + (safe ? ep.hot.mss : 0);
        allowed = std::min(allowed, ssthresh - pipe);
    }
    if (state.prr_out == 0) allowed = std::max<uint32_t>(allowed, ep.hot.mss);  // the fast retransmit itself
    // Never less than a segment (RFC 5681 §3.1's loss window): a few bytes acknowledged with hardly any in flight leave
    // no more, and a sender that may not send a segment waits for its timeout.
    const uint32_t window = std::max<uint32_t>(pipe + allowed, ep.hot.mss);
    ep.warm.cwnd = fault(Fault::tcp_prr_ignored) ? state.before.cwnd : window;
}

/// RFC 8985 §6.2 found a loss outside of recovery.
void enter_sack_recovery(const Context& ctx, Endpoint ep, RecoveryState& state, uint32_t delivered) {
    ++ctx.counters.fast_retransmits;
    reduce(ctx, ep, state);
    ep.hot.set(flag_fast_recovery);
    state.probe = Probe::none;
    state.prr_delivered = state.prr_out = 0;
    state.recover_fs = std::max(1u, in_flight(ep.hot) + delivered - std::min(state.sacked, in_flight(ep.hot)));
    state.rtx_nxt = ep.hot.snd_una;
}

/// RFC 4015 §3.2: as if the recovery had never been.
void undo(const Context& ctx, Endpoint ep, RecoveryState& state) {
    ++ctx.counters.spurious_recoveries;
    congestion_restore(ep.warm, state.before);
    rack_unmark_lost(ctx, ep, state);
    leave_recovery(ctx, ep, state);
    ep.hot.clear(flag_retransmit_wanted);
    ep.warm.backoff = 0;
    state.undo_armed = 0;
}

/// RFC 3522 §3: what was sent again is acknowledged by an ACK that echoes an older timestamp, so the first transmission
/// had arrived.
bool spurious_by_timestamp(Endpoint ep, const RecoveryState& state, const wire::TcpSegment& segment,
                           const AckedNow& acked) {
    return state.undo_armed && state.rtx_ts_known && acked.released.retransmitted && ep.hot.has(flag_timestamps) &&
           static_cast<int32_t>(segment.options.ts_echo - state.first_rtx_ts) < 0;
}

/// RFC 3708 §3: all that was sent again is reported as received twice.
bool spurious_by_duplicates(RecoveryState& state, uint32_t duplicate_bytes) {
    if (!state.undo_armed || duplicate_bytes == 0 || state.undo_bytes == 0) return false;
    state.undo_bytes -= std::min(state.undo_bytes, duplicate_bytes);
    return state.undo_bytes == 0;
}

/// RFC 8985 §7.4.
void probe_on_ack(const Context& ctx, Endpoint ep, RecoveryState& state, const wire::TcpSegment& segment,
                  const AckedNow& acked, uint32_t duplicate_bytes) {
    if (state.probe == Probe::none || state.probe == Probe::wanted || ep.hot.snd_una < state.probe_end) {
        if (state.probe == Probe::wanted && acked.bytes > 0) state.probe = Probe::none;
        return;
    }
    if (state.probe == Probe::new_data || duplicate_bytes > 0 ||
        (ep.hot.snd_una == state.probe_end && acked.bytes == 0 && segment.options.sack_count == 0)) {
        state.probe = Probe::none;  // nothing was lost, or the recovery will say what was
    } else if (ep.hot.snd_una > state.probe_end) {
        state.probe = Probe::none;  // the probe itself repaired a loss, which still was congestion
        if (in_recovery(ep.hot)) return;
        congestion_on_loss(ctx, ep, acked.flight_before);
        ep.warm.cwnd = std::min(ep.warm.cwnd, ep.warm.ssthresh);
    }
}

/// RFC 6582 §3.2 step 3.
void on_ack_in_newreno_recovery(const Context& ctx, Endpoint ep, RecoveryState& state, uint32_t acked) {
    const uint32_t mss = ep.hot.mss;
    uint32_t& cwnd = ep.warm.cwnd;
    if (ep.hot.snd_una >= state.recover || fault(Fault::tcp_partial_ack_ends_recovery)) {
        cwnd = std::min(ep.warm.ssthresh, std::max(in_flight(ep.hot), mss) + mss);
        leave_recovery(ctx, ep, state);
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

/// At `recover` itself duplicate ACKs may still come from what was sent twice; without SACK they must mean no loss of
/// what follows (RFC 6582 §3.2 step 1). With nothing left to send that can do no harm.
bool timeout_repaired(Endpoint ep, const RecoveryState& state) {
    if (ep.hot.snd_una > state.recover) return true;
    return ep.hot.snd_una == state.recover && (ep.hot.has(flag_sack) || ep.warm.queued == 0);
}

/// The general case: something is lost, reported, probed for, or may be undone. `delivered` as in RFC 9937 §6.
void on_ack_with_state(const Context& ctx, Endpoint ep, RecoveryState& state, const AckedNow& acked, uint32_t delivered,
                       uint32_t newly_lost) {
    if (ep.hot.has(flag_rto_recovery)) {
        if (timeout_repaired(ep, state)) leave_recovery(ctx, ep, state);
        // What is in flight is unknown; the window limits us.
        if (acked.bytes > 0) congestion_grow(ctx, ep, acked.bytes, ep.warm.cwnd);
    } else if (ep.hot.has(flag_fast_recovery) && !ep.hot.has(flag_sack)) {
        on_ack_in_newreno_recovery(ctx, ep, state, acked.bytes);
    } else if (ep.hot.has(flag_fast_recovery)) {
        if (ep.hot.snd_una >= state.recover) {
            ep.warm.cwnd = ep.warm.ssthresh;
            leave_recovery(ctx, ep, state);
        } else if (delivered > 0) {
            prr_on_ack(ctx, ep, state, delivered, acked.bytes > 0 && newly_lost == 0);
        }
    } else if (acked.bytes > 0 && state.lost == 0) {
        congestion_grow(ctx, ep, acked.bytes, acked.flight_before);
    }
    const bool open = !in_recovery(ep.hot) && ep.hot.has(flag_sack);
    if (open && state.lost > 0 && !fault(Fault::tcp_fast_retransmit_forgotten)) {
        enter_sack_recovery(ctx, ep, state, delivered);
        prr_on_ack(ctx, ep, state, delivered, false);
    }
}

/// The head was sent again after a timeout and is acknowledged now. True: new data goes out instead of what seems lost
/// (RFC 5682 §2.1, step 2b).
bool frto_try_new_data(const Context& ctx, Endpoint ep, RecoveryState& state) {
    const bool more = !ep.hot.has(flag_fin_sent) && ep.hot.snd_nxt < send_queue_end(ep);
    const bool fits = in_flight(ep.hot) + ep.hot.mss <= ep.hot.snd_wnd;
    if (ep.hot.snd_una >= state.recover || state.rtx_nxt > ep.hot.snd_una || !more || !fits) return false;
    rack_unmark_lost(ctx, ep, state);
    ep.warm.cwnd = in_flight(ep.hot) + 2u * ep.hot.mss;
    state.frto = Frto::new_data;
    return true;
}

/// An ACK that moves snd_una after a timeout. True: it needs nothing more.
bool frto_on_ack(const Context& ctx, Endpoint ep, RecoveryState& state) {
    switch (std::exchange(state.frto, Frto::none)) {
        case Frto::none:
            return false;
        case Frto::head_again:
            return frto_try_new_data(ctx, ep, state);
        case Frto::new_data:  // step 3b: this is of something that was sent once
            ep.warm.cwnd = ep.hot.mss;
            undo(ctx, ep, state);
            return true;
    }
    return false;
}

/// A duplicate ACK, or one with SACK blocks, after a timeout: something is lost indeed (steps 2a and 3a).
void frto_on_loss(const Context& ctx, Endpoint ep, RecoveryState& state) {
    if (std::exchange(state.frto, Frto::none) != Frto::new_data) return;
    rack_mark_lost_on_timeout(ctx, ep, state);
    ep.warm.cwnd = std::min(ep.warm.cwnd, 3u * ep.hot.mss);
}

/// Takes the blocks and the released chunks into the scoreboard; returns the bytes newly lost.
uint32_t update_scoreboard(const Context& ctx, Endpoint ep, RecoveryState& state, const wire::TcpSegment& segment,
                           const AckedNow& acked) {
    const Released& released = acked.released;
    if (ep.hot.has(flag_sack)) {
        if (released.any)
            rack_delivered(ctx, ep, state, released.sent_at, released.end, (released.flags & chunk_retransmitted) != 0,
                           segment);
        if (!released.in_first_order) rack_note_reordering(ep);
    }
    rack_released(state, released);
    const bool reported = segment.options.sack_count > 0 && rack_mark_sacked(ctx, ep, state, segment);
    return reported || acked.bytes > 0 ? rack_detect_loss(ctx, ep, state) : 0;
}

}  // namespace

void recovery_on_duplicate_ack(const Context& ctx, Endpoint ep) {
    if (ep.warm.duplicate_acks < 255) ++ep.warm.duplicate_acks;
    if (ep.hot.has(flag_fast_recovery)) {
        ep.warm.cwnd += ep.hot.mss;
        return;
    }
    if (ep.hot.has(flag_rto_recovery)) {
        if (Extension* extended = extension(ctx, ep)) frto_on_loss(ctx, ep, extended->recovery);
        return;
    }
    if (ep.warm.duplicate_acks != duplicate_ack_threshold) return;
    ++ctx.counters.fast_retransmits;
    if (!fault(Fault::tcp_fast_retransmit_forgotten)) ep.hot.set(flag_retransmit_wanted);
    Extension* state = ensure_extension(ctx, ep);
    if (state == nullptr) {
        ++ctx.counters.recovery_without_state;
        congestion_on_loss(ctx, ep, in_flight(ep.hot));
        ep.warm.cwnd = ep.warm.ssthresh;
        return;
    }
    reduce(ctx, ep, state->recovery);
    state->recovery.partial_acks = 0;
    ep.warm.cwnd = ep.warm.ssthresh + duplicate_ack_threshold * ep.hot.mss;  // the segments that left the network
    ep.hot.set(flag_fast_recovery);
}

void recovery_on_ack(const Context& ctx, Endpoint ep, const wire::TcpSegment& segment, const AckedNow& acked) {
    const bool sack = ep.hot.has(flag_sack);
    if (acked.bytes > 0) {
        if (!sack) ep.warm.duplicate_acks = 0;
        rto_on_progress(ep, acked.released.rtt_us != 0);
        const bool newreno = ep.hot.has(flag_fast_recovery) && !sack;
        if (!newreno) {  // which has its own rule
            ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
            ep.hot.clear(flag_retransmit_wanted);
        }
    }
    const bool reports = sack && segment.options.sack_count > 0;
    Extension* extended = reports ? ensure_extension(ctx, ep) : extension(ctx, ep);
    if (extended == nullptr || (!reports && !in_recovery(ep.hot) && !extended->recovery.in_use())) {
        if (reports) ++ctx.counters.recovery_without_state;
        if (acked.bytes > 0) congestion_grow(ctx, ep, acked.bytes, acked.flight_before);
        return;
    }
    RecoveryState& state = extended->recovery;
    if (reports) frto_on_loss(ctx, ep, state);
    if (acked.bytes > 0 && frto_on_ack(ctx, ep, state)) return settle(ctx, ep);
    const uint32_t sacked_before = state.sacked;
    const uint32_t duplicate_bytes = reports ? duplicate_sack_bytes(ep.hot, segment) : 0;
    if (duplicate_bytes > 0) {
        ++ctx.counters.duplicate_sacks_in;
        rack_on_duplicate_sack(ep, &state);
    }
    const uint32_t newly_lost = update_scoreboard(ctx, ep, state, segment, acked);
    const uint32_t delivered = acked.bytes + state.sacked - std::min(sacked_before, acked.bytes + state.sacked);
    probe_on_ack(ctx, ep, state, segment, acked, duplicate_bytes);
    const bool spurious =
        spurious_by_timestamp(ep, state, segment, acked) || spurious_by_duplicates(state, duplicate_bytes);
    if (spurious && !fault(Fault::tcp_undo_missing)) undo(ctx, ep, state);
    on_ack_with_state(ctx, ep, state, acked, delivered, newly_lost);
    settle(ctx, ep);
}

void recovery_on_congestion_echo(const Context& ctx, Endpoint ep) {
    if (in_recovery(ep.hot)) return;
    Extension* extended = ensure_extension(ctx, ep);
    if (extended == nullptr) {
        ++ctx.counters.recovery_without_state;
        return;
    }
    RecoveryState& state = extended->recovery;
    if (state.ecn_reduced && ep.hot.snd_una < state.ecn_end && !fault(Fault::tcp_ecn_reduces_each_time)) return;
    state.ecn_reduced = 1;
    state.ecn_end = ep.hot.snd_nxt;
    congestion_on_loss(ctx, ep, in_flight(ep.hot));
    ep.warm.cwnd = std::min(ep.warm.cwnd, ep.warm.ssthresh);
    ep.hot.set(flag_cwr);
    ++ctx.counters.ecn_reductions;
}

TimeUs recovery_deadline(const Context& ctx, Endpoint ep) {
    constexpr TimeUs never = std::numeric_limits<TimeUs>::max();
    if (!ep.hot.has(flag_sack) || in_flight(ep.hot) == 0 || syn_unacknowledged(ep.hot)) return never;
    const Extension* extended = extension(ctx, ep);
    const RecoveryState* state = extended == nullptr ? nullptr : &extended->recovery;
    if (state != nullptr && state->reo_armed) {
        const auto wait_us = static_cast<int32_t>(state->reo_deadline - static_cast<uint32_t>(ctx.now));
        return ctx.now + static_cast<TimeUs>(std::max(wait_us, 0));
    }
    // RFC 8985 §7.2: not in recovery, nothing reported by SACK, one probe in a row.
    if (in_recovery(ep.hot) || ep.warm.backoff != 0 || ep.hot.srtt_us == 0) return never;
    if (fault(Fault::tcp_tail_loss_probe_never)) return never;
    if (state != nullptr && (state->sacked > 0 || state->probe != Probe::none)) return never;
    const bool single = in_flight(ep.hot) <= ep.hot.mss;
    const uint32_t timeout_us = std::max(2 * ep.hot.srtt_us + (single ? delayed_ack_max_us : 0), probe_timeout_min_us);
    if (timeout_us >= rto_us(ctx.options, ep)) return never;
    uint32_t elapsed_us = static_cast<uint32_t>(ctx.now) - ep.warm.timer_base;
    // New data starts it anew, unlike the retransmission timer.
    const store::ChunkId newest = send_queue_newest(ep);
    if (newest != store::no_chunk)
        elapsed_us = std::min(elapsed_us, static_cast<uint32_t>(ctx.now) - ctx.chunks.header(newest).sent_at);
    return ctx.now - elapsed_us + timeout_us;
}

bool recovery_on_deadline(const Context& ctx, Endpoint ep) {
    if (recovery_deadline(ctx, ep) > ctx.now) return false;
    Extension* extended = ensure_extension(ctx, ep);
    if (extended == nullptr) {
        ++ctx.counters.recovery_without_state;
        return false;
    }
    RecoveryState& state = extended->recovery;
    if (!state.reo_armed) {
        state.probe = Probe::wanted;
        return true;
    }
    rack_detect_loss(ctx, ep, state);
    if (!in_recovery(ep.hot) && state.lost > 0) {
        enter_sack_recovery(ctx, ep, state, 0);
        prr_on_ack(ctx, ep, state, 0, false);
    }
    return true;
}

void recovery_on_timeout(const Context& ctx, Endpoint ep) {
    ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
    if (!ep.hot.has(flag_sack)) ep.warm.duplicate_acks = 0;
    ep.hot.clear(flag_retransmit_wanted);
    Extension* extended = ensure_extension(ctx, ep);
    if (extended == nullptr) {
        ++ctx.counters.recovery_without_state;
        if (ep.warm.backoff <= 1) congestion_on_loss(ctx, ep, in_flight(ep.hot));
        ep.warm.cwnd = ep.hot.mss;
        ep.hot.clear(flag_fast_recovery);
        ep.hot.clear(flag_rto_recovery);
        ep.hot.set(flag_retransmit_wanted);
        return;
    }
    RecoveryState& state = extended->recovery;
    const bool by_acks = !in_recovery(ep.hot) && state.sacked == 0 && !ep.hot.has(flag_timestamps);
    state.frto = by_acks && !fault(Fault::tcp_frto_missing) ? Frto::head_again : Frto::none;
    if (ep.warm.backoff <= 1) reduce(ctx, ep, state);
    ep.hot.clear(flag_fast_recovery);
    state.recover = ep.hot.snd_nxt;
    ep.warm.cwnd = ep.hot.mss;
    ep.hot.set(flag_rto_recovery);
    state.probe = Probe::none;
    rack_mark_lost_on_timeout(ctx, ep, state);
    if (state.lost == 0) ep.hot.set(flag_retransmit_wanted);  // only the FIN is out
}

void recovery_on_sent(const Context& ctx, Endpoint ep, uint32_t bytes) {
    if (Extension* extended = extension(ctx, ep)) extended->recovery.prr_out += bytes;
}

uint32_t recovery_send_window(Endpoint ep) {
    const bool open = !in_recovery(ep.hot) && !ep.hot.has(flag_sack);
    if (fault(Fault::tcp_limited_transmit_missing)) return ep.warm.cwnd;
    if (open && ep.warm.duplicate_acks > 0 && ep.warm.duplicate_acks < duplicate_ack_threshold)
        return ep.warm.cwnd + ep.warm.duplicate_acks * uint32_t{ep.hot.mss};
    return ep.warm.cwnd;
}

void recovery_on_resent(const Context& ctx, Endpoint ep, Seq seq, uint32_t bytes) {
    if (seq == ep.hot.snd_una && ep.hot.has(flag_sack)) ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
    Extension* extended = extension(ctx, ep);
    if (extended == nullptr) return;
    RecoveryState& state = extended->recovery;
    state.prr_out += bytes;
    state.undo_bytes += bytes;
    if (!state.rtx_ts_known) {
        state.first_rtx_ts = timestamp_value(ep.warm.ts_offset, ctx.now);
        state.rtx_ts_known = 1;
    }
}

}  // namespace millrace::tcp
