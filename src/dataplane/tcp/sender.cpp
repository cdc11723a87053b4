#include "dataplane/tcp/sender.h"

#include <algorithm>

#include <millrace/assert.h>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/delayed_ack.h"
#include "dataplane/tcp/ecn.h"
#include "dataplane/tcp/extension.h"
#include "dataplane/tcp/keepalive.h"
#include "dataplane/tcp/rack.h"
#include "dataplane/tcp/receive_window.h"
#include "dataplane/tcp/recovery.h"
#include "dataplane/tcp/sack_blocks.h"
#include "dataplane/tcp/segment.h"
#include "dataplane/tcp/send_queue.h"
#include "dataplane/tcp/send_window.h"

namespace millrace::tcp {
namespace {

using wire::OutboundSegment;

/// One call of flush(): its steps, in the order in which they use up the credit.
class Flush {
  public:
    Flush(const Context& ctx, Endpoint ep, uint32_t receive_space, uint32_t credit, Emit emit)
        : ctx_(ctx),
          ep_(ep),
          hot_(ep.hot),
          edge_(receive_window_edge(ctx, ep, receive_space)),
          credit_(credit),
          emit_(emit) {}

    FlushResult run();

  private:
    void handshake();
    void send_lost();
    bool resend_next_lost(RecoveryState& state);
    void send_tail_probe(RecoveryState& state);
    void send_new();
    void send_fin();
    void send_probe();
    void send_acks();
    void start_persist_timer();

    bool take_credit();
    void begin(OutboundSegment& out, uint8_t flags, Seq seq, Seq edge);
    void finish(OutboundSegment& out);
    uint32_t resend(Seq seq, store::ChunkId& cursor, Seq limit);
    void send_payload(uint32_t length, Seq queue_end);
    void note_fin_sent();
    void start_timer_if_idle();
    void restart_after_idle();

    const Context& ctx_;
    Endpoint ep_;
    EndpointHot& hot_;
    Seq edge_;
    uint32_t credit_;
    Emit emit_;
    FlushResult result_;
};

FlushResult Flush::run() {
    if (hot_.state == State::closed) return result_;
    if (syn_unacknowledged(hot_)) {
        handshake();
        return result_;
    }
    if (hot_.has(flag_retransmit_wanted) || ep_.warm.extension != store::no_chunk) send_lost();
    send_new();
    send_fin();
    send_probe();
    send_acks();
    start_persist_timer();
    return result_;
}

bool Flush::take_credit() {
    if (result_.segments == credit_) {
        result_.wants_credit = true;
        return false;
    }
    return true;
}

/// Everything that established segments have in common. The acknowledgement is considered sent from here on.
void Flush::begin(OutboundSegment& out, uint8_t flags, Seq seq, Seq edge) {
    out.local_id = hot_.local_id;
    wire::TcpSegment& header = out.header;
    header.destination = hot_.peer;
    header.source_port = hot_.local_port;
    header.destination_port = hot_.peer_port;
    header.seq = seq.value;
    header.ack = hot_.rcv_nxt.value;
    header.flags = flags;
    const uint32_t window = std::min((edge - hot_.rcv_nxt) >> hot_.receive_scale(), 65535u);
    header.window = static_cast<uint16_t>(window);
    if (hot_.has(flag_timestamps)) {
        header.options.has_timestamps = true;
        header.options.ts_value = timestamp_value(ep_.warm.ts_offset, ctx_.now);
        header.options.ts_echo = hot_.ts_recent;
    }
    if (hot_.has(flag_ece)) header.flags |= wire::tcp_ece;
    hot_.rcv_adv = max(hot_.rcv_adv, hot_.rcv_nxt + (window << hot_.receive_scale()));
    note_ack_sent(hot_);
}

void Flush::finish(OutboundSegment& out) {
    ++result_.segments;
    ++ctx_.counters.segments_out;
    emit_(out);
}

void Flush::handshake() {
    if (hot_.has(flag_reset_wanted) && take_credit()) {
        OutboundSegment out;
        begin(out, wire::tcp_rst, Seq{hot_.snd_wnd}, hot_.rcv_adv);
        out.header.ack = 0;
        out.header.window = 0;
        out.header.options = {};
        hot_.clear(flag_reset_wanted);
        ++ctx_.counters.resets_out;
        finish(out);
    }
    const bool passive = hot_.state == State::syn_received;
    if (hot_.has(flag_retransmit_wanted) && take_credit()) {
        OutboundSegment out;
        begin(out, passive ? wire::tcp_syn | wire::tcp_ack : wire::tcp_syn, hot_.snd_una, hot_.rcv_adv);
        if (!passive) out.header.ack = 0;
        fill_syn_options(ctx_, out.header, hot_.peer,
                         {.window_scale = hot_.has(flag_wscale),
                          .timestamps = hot_.has(flag_timestamps),
                          .sack = hot_.has(flag_sack)},
                         timestamp_value(ep_.warm.ts_offset, ctx_.now), hot_.ts_recent);
        if (ep_.warm.backoff > 0) {
            ++ctx_.counters.syn_retransmissions;
            // RFC 3168 §6.1.1.1: perhaps something on the way drops SYNs that ask for ECN.
            if (!passive) hot_.clear(flag_ecn);
        }
        if (hot_.has(flag_ecn)) out.header.flags |= ecn_setup_flags(passive);
        hot_.clear(flag_retransmit_wanted);
        hot_.snd_nxt = hot_.snd_una + 1;
        ep_.warm.timer_base = static_cast<uint32_t>(ctx_.now);
        finish(out);
    } else if (hot_.has(flag_ack_pending) && passive && take_credit()) {
        OutboundSegment out;
        begin(out, wire::tcp_ack, hot_.snd_nxt, hot_.rcv_adv);
        finish(out);
    }
}

/// Sends up to one segment of [seq, limit) again and returns how much sequence space it took.
uint32_t Flush::resend(Seq seq, store::ChunkId& cursor, Seq limit) {
    const Seq queue_end = send_queue_end(ep_);
    const Seq data_end = min(limit, queue_end);
    OutboundSegment out;
    begin(out, wire::tcp_ack, seq, edge_);
    uint32_t sent = 0;
    if (seq < data_end) {
        const uint32_t wanted = std::min<uint32_t>(hot_.mss, data_end - seq);
        sent = send_queue_gather(ctx_, ep_, cursor, seq, wanted, true, out);
    }
    if (seq + sent == queue_end) {
        if (sent > 0) out.header.flags |= wire::tcp_psh;
        if (limit > queue_end) {
            out.header.flags |= wire::tcp_fin;
            ++sent;
        }
    }
    if (fault(Fault::tcp_ect_on_retransmission)) ecn_on_new_data(hot_, out.header);
    ++ctx_.counters.retransmitted_segments;
    recovery_on_resent(ctx_, ep_, seq, sent);
    finish(out);
    return sent;
}

void Flush::send_lost() {
    if (hot_.has(flag_retransmit_wanted) && take_credit()) {
        hot_.clear(flag_retransmit_wanted);
        store::ChunkId cursor = send_queue_head(ctx_, ep_);
        if (in_flight(hot_) > 0) resend(hot_.snd_una, cursor, hot_.snd_nxt);
    }
    if (Extension* extended = extension(ctx_, ep_)) {
        RecoveryState& state = extended->recovery;
        while (state.lost > 0 && resend_next_lost(state)) continue;
        if (state.probe == Probe::wanted) send_tail_probe(state);
    }
}

/// Sends the first lost chunk again, together with lost ones behind it that fit into the segment. False when the window
/// or the credit does not allow it, or none is left.
bool Flush::resend_next_lost(RecoveryState& state) {
    if (state.rtx_cursor == store::no_chunk) state.rtx_cursor = send_queue_head(ctx_, ep_);
    const store::ChunkHeader* header = &ctx_.chunks.header(state.rtx_cursor);
    uint32_t seen = 0;
    while ((header->flags & chunk_lost) == 0) {
        ++seen;
        if (state.rtx_cursor == hot_.send_tail || chunk_end(*header) >= hot_.snd_nxt) {
            state.lost = 0;
            return false;
        }
        state.rtx_cursor = header->next;
        header = &ctx_.chunks.header(state.rtx_cursor);
    }
    charge_search(ctx_, seen);
    Seq seq = max(Seq{header->seq}, hot_.snd_una);
    Seq end = min(chunk_end(*header), hot_.snd_nxt);
    if (state.rtx_nxt > seq && state.rtx_nxt < end) seq = state.rtx_nxt;
    for (store::ChunkId id = state.rtx_cursor; id != hot_.send_tail;) {
        id = header->next;
        header = &ctx_.chunks.header(id);
        const Seq next = min(chunk_end(*header), hot_.snd_nxt);
        if ((header->flags & chunk_lost) == 0 || next - seq > hot_.mss) break;
        end = next;
    }
    const uint32_t length = std::min<uint32_t>(end - seq, hot_.mss);
    // The first segment goes whatever the window is: it also probes a window that closed over it.
    if (seq != hot_.snd_una && seq + length > hot_.snd_una + hot_.snd_wnd) return false;
    const uint32_t pipe = recovery_pipe(ctx_, ep_);
    if (pipe > 0 && pipe + length > ep_.warm.cwnd) return false;
    if (!take_credit()) return false;
    const bool with_fin = hot_.has(flag_fin_sent) && seq + length == send_queue_end(ep_);
    const uint32_t sent = resend(seq, state.rtx_cursor, seq + length + (with_fin ? 1 : 0));
    state.rtx_nxt = seq + sent;
    state.lost -= std::min(state.lost, sent);
    return true;
}

/// RFC 8985 §7.3: one segment of new data whatever the congestion window says, or else the last one again.
void Flush::send_tail_probe(RecoveryState& state) {
    const Seq queue_end = send_queue_end(ep_);
    const uint32_t length = std::min<uint32_t>(queue_end - min(hot_.snd_nxt, queue_end), hot_.mss);
    const bool fresh = !hot_.has(flag_fin_sent) && length > 0 && hot_.snd_nxt + length <= hot_.snd_una + hot_.snd_wnd;
    if (in_flight(hot_) == 0) {
        state.probe = Probe::none;
        return;
    }
    if (!take_credit()) return;
    ++ctx_.counters.tail_loss_probes;
    state.probe = fresh ? Probe::new_data : Probe::repeated;
    if (fresh) {
        send_payload(length, queue_end);
    } else {
        store::ChunkId last = store::no_chunk;
        Seq seq = hot_.snd_una;
        for (store::ChunkId id = send_queue_head(ctx_, ep_); id != store::no_chunk;) {
            const store::ChunkHeader& header = ctx_.chunks.header(id);
            if (Seq{header.seq} >= hot_.snd_nxt) break;
            last = id;
            seq = max(Seq{header.seq}, hot_.snd_una);
            id = id == hot_.send_tail ? store::no_chunk : header.next;
        }
        const Seq data_end = min(queue_end, hot_.snd_nxt);
        if (data_end - seq > hot_.mss) seq = data_end - hot_.mss;
        resend(seq, last, hot_.snd_nxt);
    }
    state.probe_end = hot_.snd_nxt;
    ep_.warm.timer_base = static_cast<uint32_t>(ctx_.now);
}

void Flush::start_timer_if_idle() {
    if (in_flight(hot_) != 0) return;
    hot_.clear(flag_persist);
    hot_.clear(flag_probe_wanted);
    keepalive_end(ctx_, ep_);
}

void Flush::note_fin_sent() {
    hot_.set(flag_fin_sent);
    hot_.snd_nxt += 1;
    hot_.state = hot_.state == State::close_wait ? State::last_ack : State::fin_wait_1;
}

void Flush::send_payload(uint32_t length, Seq queue_end) {
    start_timer_if_idle();
    OutboundSegment out;
    begin(out, wire::tcp_ack, hot_.snd_nxt, edge_);
    const uint32_t sent = send_queue_gather(ctx_, ep_, hot_.send_cursor, hot_.snd_nxt, length, false, out);
    ecn_on_new_data(hot_, out.header);
    hot_.snd_nxt += sent;
    if (hot_.snd_nxt == queue_end) {
        out.header.flags |= wire::tcp_psh;
        if (hot_.has(flag_fin_queued) && in_flight(hot_) < hot_.snd_wnd) {
            out.header.flags |= wire::tcp_fin;
            note_fin_sent();
        }
    } else {
        ctx_.chunks.header(hot_.send_cursor).sent_at = static_cast<uint32_t>(ctx_.now);  // send_queue_newest()
    }
    ctx_.counters.data_bytes_out += sent;
    if (hot_.has(flag_fast_recovery)) recovery_on_sent(ctx_, ep_, sent);
    finish(out);
}

/// The first data after a pause: what the window was is no longer known to fit (RFC 5681 §4.1).
void Flush::restart_after_idle() {
    const bool large = ep_.warm.cwnd > uint32_t{ctx_.options.initial_window_segments} * hot_.mss;
    if (large && in_flight(hot_) == 0 && credit_ > 0 && hot_.snd_wnd > 0 && ctx_.options.restart_after_idle)
        congestion_after_idle(ctx_, ep_, static_cast<uint32_t>(ctx_.now) - ep_.warm.timer_base);
}

/// New data, as far as both windows allow. A segment that is neither full nor the end of the queue waits while
/// anything is in flight (RFC 9293 §3.8.6.2.1 without Nagle's rule: what is queued is pushed), or while the window is
/// silly (send_window.h).
void Flush::send_new() {
    if (hot_.has(flag_fin_sent) || hot_.snd_nxt == send_queue_end(ep_)) return;
    const Extension* extended = extension(ctx_, ep_);
    if (extended != nullptr && extended->recovery.lost > 0) return;
    restart_after_idle();
    const uint32_t left = extended == nullptr ? 0 : extended->recovery.sacked;  // the network
    const Seq queue_end = send_queue_end(ep_);
    const uint32_t cwnd = recovery_send_window(ep_);
    while (hot_.snd_nxt < queue_end) {
        const uint32_t flight = in_flight(hot_);
        const uint32_t pipe = flight - std::min(left, flight);
        const uint32_t usable =
            std::min(hot_.snd_wnd > flight ? hot_.snd_wnd - flight : 0, cwnd > pipe ? cwnd - pipe : 0);
        uint32_t length = std::min<uint32_t>(queue_end - hot_.snd_nxt, hot_.mss);
        if (length > usable) {
            const bool overridden = hot_.has(flag_persist) && hot_.has(flag_probe_wanted);
            if (flight > 0 || usable == 0 || (send_window_silly(ep_, queue_end - hot_.snd_nxt) && !overridden)) return;
            length = usable;
        }
        if (!take_credit()) return;
        send_payload(length, queue_end);
    }
}

/// A FIN that no data carried.
void Flush::send_fin() {
    if (!hot_.has(flag_fin_queued) || hot_.has(flag_fin_sent) || hot_.snd_nxt != send_queue_end(ep_)) return;
    if (in_flight(hot_) >= hot_.snd_wnd || !take_credit()) return;
    start_timer_if_idle();
    OutboundSegment out;
    begin(out, wire::tcp_fin | wire::tcp_ack, hot_.snd_nxt, edge_);
    note_fin_sent();
    finish(out);
}

/// RFC 9293 §3.8.6.1, in the form of a segment before the window: the peer must answer it and can't be tempted to store
/// anything. It may not read the window in it either, so rcv_adv stays.
void Flush::send_probe() {
    if (!hot_.has(flag_probe_wanted) || !take_credit()) return;
    const bool ack_pending = hot_.has(flag_ack_pending);
    const bool ack_delayed = hot_.ack_delayed != 0;
    OutboundSegment out;
    begin(out, wire::tcp_ack, hot_.snd_una - 1, hot_.rcv_adv);
    if (ack_pending) hot_.set(flag_ack_pending);
    hot_.ack_delayed = ack_delayed;
    hot_.clear(flag_probe_wanted);
    ep_.warm.timer_base = static_cast<uint32_t>(ctx_.now);
    if (hot_.has(flag_persist)) ++ctx_.counters.window_probes;
    finish(out);
}

/// Pure ACKs: one for each out-of-order segment, else one when nothing sent above carried it, or a window update.
void Flush::send_acks() {
    const bool update =
        result_.segments == 0 && can_receive(hot_) && receive_window_update_due(ctx_.options, hot_, edge_);
    if (hot_.duplicate_acks_owed == 0 && !hot_.has(flag_ack_pending) && !update) return;
    do {
        if (!take_credit()) return;
        if (hot_.duplicate_acks_owed > 0) --hot_.duplicate_acks_owed;
        OutboundSegment out;
        begin(out, wire::tcp_ack, hot_.snd_nxt, edge_);
        fill_sack(ctx_, ep_, hot_.duplicate_acks_owed, out.header.options);
        finish(out);
    } while (hot_.duplicate_acks_owed > 0);
}

void Flush::start_persist_timer() {
    if (hot_.has(flag_fin_sent) || in_flight(hot_) != 0 || hot_.has(flag_persist)) return;
    const uint32_t unsent = send_queue_end(ep_) - hot_.snd_nxt;
    const bool closed = hot_.snd_wnd == 0 && (unsent > 0 || hot_.has(flag_fin_queued));
    if (!closed && !send_window_silly(ep_, unsent)) return;
    if (fault(Fault::tcp_persist_timer_forgotten)) return;
    hot_.set(flag_persist);
    ep_.warm.backoff = 0;
    ep_.warm.timer_base = static_cast<uint32_t>(ctx_.now);
}

bool can_send(const EndpointHot& hot) {
    const bool open = syn_unacknowledged(hot) || hot.state == State::established || hot.state == State::close_wait;
    return open && !hot.has(flag_fin_queued);
}

}  // namespace

size_t send(const Context& ctx, Endpoint ep, std::span<const uint8_t> bytes) {
    if (!can_send(ep.hot) || bytes.empty()) return 0;
    return send_queue_append(ctx, ep, bytes);
}

bool send_whole(const Context& ctx, Endpoint ep, size_t length, Make make) {
    store::ChunkId spares = store::no_chunk;
    if (!can_send(ep.hot) || !send_queue_reserve(ctx, ep, length, spares)) return false;
    const std::span<const uint8_t> bytes = make();
    MILLRACE_ASSERT(bytes.size() == length);
    const size_t taken = send_queue_append(ctx, ep, bytes, spares);
    MILLRACE_ASSERT(taken == length);
    return true;
}

FlushResult flush(const Context& ctx, Endpoint ep, uint32_t receive_space, uint32_t segment_credit, Emit emit) {
    return Flush(ctx, ep, receive_space, segment_credit, emit).run();
}

}  // namespace millrace::tcp
