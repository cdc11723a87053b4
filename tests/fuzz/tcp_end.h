// One end of a connection under watch, for fuzz targets: every call into the stack goes through here, every segment
// that it emits and its whole record after each call are checked against what RFC 9293 (and 2018, 3168, 7323) allow.
//
//   what the peer sent   is taken in order, once, never beyond the window that was advertised to it
//   what we send         is what the other side of the relay wrote, at its place, within what the peer ever offered
//   the record           numbers move forward only, the queue and the scoreboard are whole, a timer runs when one must
#pragma once

#include "dataplane/tcp/connection.h"
#include "dataplane/tcp/delayed_ack.h"
#include "dataplane/tcp/ecn.h"
#include "dataplane/tcp/path_mtu.h"
#include "dataplane/tcp/reassembly.h"
#include "dataplane/tcp/recovery.h"
#include "tcp_segments.h"

namespace millrace::fuzz {

using namespace millrace::tcp;

inline void require(bool holds) {
    if (!holds) __builtin_trap();
}

class End {
  public:
    static constexpr uint32_t credit_ample = 100'000;

    /// The last two name the streams of stream_byte() that come in and go out here.
    End(Stack& stack, uint8_t stream_in, uint8_t stream_out) : in(stream_in), out(stream_out), stack_(stack) {}

    const uint8_t in, out;
    Endpoint ep() { return {hot, warm}; }
    EndpointHot hot{};
    EndpointWarm warm{};
    bool live() const { return hot.state != State::closed; }
    Seq peer_nxt() const { return peer_nxt_; }
    Seq first_in() const { return first_in_; }
    const Extension* state() { return extension(stack_.context(), ep()); }

    void open(const Tuple& tuple, std::optional<Seq> iss_min) {
        open_active(stack_.context(), ep(), tuple, 0, iss_min);
        begin();
    }

    void establish(const HalfOpen& entry) {
        establish_passive(stack_.context(), entry, ep());
        begin();
        place_ = first_in_ = hot.rcv_nxt;
        offered_ = max(offered_, hot.snd_una + 1 + entry.window);
        told_ = hot.rcv_adv;
        sent_ = hot.snd_nxt;
    }

    Events receive(const wire::TcpSegment& segment, FunctionRef<size_t(std::span<const uint8_t>)> take) {
        const bool opening = hot.state == State::syn_sent;
        if (opening && segment.has(wire::tcp_syn)) place_ = first_in_ = Seq{segment.seq} + 1;
        note_offer(segment);
        const Seq edge = hot.rcv_adv;
        const EndpointHot before = hot;
        const bool ignored = must_be_ignored(segment);
        const Events events =
            tcp::receive(stack_.context(), ep(), segment, [&](std::span<const uint8_t> bytes) -> size_t {
                for (uint32_t i = 0; i < bytes.size(); ++i)
                    require(bytes[i] == stream_byte(in, place_ - first_in_ + i));
                const size_t taken = take(bytes);
                require(taken <= bytes.size());
                place_ += static_cast<uint32_t>(taken);
                return taken;
            });
        require(opening || place_ <= edge);
        if (ignored)
            require(hot.state == before.state && hot.rcv_nxt == before.rcv_nxt && hot.snd_una == before.snd_una &&
                    hot.snd_wnd == before.snd_wnd && hot.ts_recent == before.ts_recent);
        if (opening && hot.state != State::syn_sent && live()) told_ = hot.rcv_nxt;
        check();
        return events;
    }

    /// Bytes of the outgoing stream from its end on.
    size_t write(size_t length) {
        std::vector<uint8_t> bytes(length);
        const uint32_t place = send_queue_end(ep()) - first_out();
        for (uint32_t i = 0; i < length; ++i) bytes[i] = stream_byte(out, place + i);
        return write(bytes);
    }
    size_t write(std::span<const uint8_t> bytes) {
        const size_t taken = send(stack_.context(), ep(), bytes);
        require(taken <= bytes.size());
        return taken;
    }

    void flush(uint32_t space, uint32_t credit) {
        uint32_t emitted = 0;
        const FlushResult result =
            tcp::flush(stack_.context(), ep(), space, credit, [&](const wire::OutboundSegment& segment) {
                ++emitted;
                check_emitted(segment);
            });
        require(result.segments == emitted && emitted <= credit);
        require(result.wants_credit ? emitted == credit : true);
        check();
        if (!result.wants_credit) check_timer();
    }

    Events on_deadline() {
        const Events events = tcp::on_deadline(stack_.context(), ep());
        check();
        return events;
    }
    /// RFC 5927 §4, §5.2: only what quotes something in flight counts, and nothing ends an established connection.
    Events on_icmp_error(const IcmpReport& report) {
        const EndpointHot before = hot;
        const bool forged = report.seq < hot.snd_una || report.seq >= hot.snd_nxt;
        const Events events = tcp::on_icmp_error(stack_.context(), ep(), report);
        if (forged || before.state != State::syn_sent) require(hot.state == before.state);
        const uint32_t floor = (hot.peer.is_v4() ? 552u - 40 : 1280u - 60) - (hot.has(flag_timestamps) ? 12 : 0);
        require(hot.mss <= before.mss && (hot.mss == before.mss || (!forged && hot.mss >= floor)));
        check();
        return events;
    }
    std::optional<TimeUs> deadline() { return next_deadline(stack_.context(), ep()); }

    void end() {
        release(stack_.context(), ep());
        hot = {};
        warm = {};
    }

    /// What is in flight was lost on its way.
    void forget_flight() { peer_nxt_ = hot.snd_una; }

  private:
    Seq first_out() const { return iss_ + 1; }

    void begin() {
        iss_ = una_ = hot.snd_una;
        nxt_ = hot.snd_nxt;
        sent_ = hot.snd_nxt;
        offered_ = peer_nxt_ = iss_ + 1;
        nxt_known_ = false;
        mss_min_ = UINT16_MAX;
    }

    /// The right edges that the peer ever offered: no byte may go beyond the largest.
    void note_offer(const wire::TcpSegment& segment) {
        if (segment.has(wire::tcp_syn)) {
            if (syn_unacknowledged(hot)) offered_ = max(offered_, iss_ + 1 + segment.window);
        } else if (segment.has(wire::tcp_ack) && Seq{segment.ack} <= hot.snd_nxt && Seq{segment.ack} >= una_) {
            offered_ = max(offered_, Seq{segment.ack} + (uint32_t{segment.window} << hot.send_scale()));
        }
    }

    /// RFC 5961 §3.2 and §4.2, RFC 7323 §3.2 and §5.3: what anyone could have sent changes nothing.
    bool must_be_ignored(const wire::TcpSegment& segment) const {
        if (!live() || syn_unacknowledged(hot)) return false;
        if (segment.has(wire::tcp_rst)) return Seq{segment.seq} != hot.rcv_nxt;
        if (segment.has(wire::tcp_syn)) return true;
        if (!hot.has(flag_timestamps)) return false;
        if (!segment.options.has_timestamps) return true;
        const bool older = static_cast<int32_t>(segment.options.ts_value - hot.ts_recent) < 0;
        const auto age_ms = static_cast<uint32_t>(stack_.now / us_per_ms) - warm.ts_recent_age;
        return older && age_ms < 24u * 24 * 3600 * 1000;
    }

    void check_emitted(const wire::OutboundSegment& segment) {
        const wire::TcpSegment& header = segment.header;
        Seq at{header.seq};
        if (header.has(wire::tcp_rst)) return require(hot.state == State::syn_sent && segment.payload_length == 0);
        if (header.has(wire::tcp_syn)) {
            sent_ = max(sent_, iss_ + 1);
            return require(at == iss_ && segment.payload_length == 0 && syn_unacknowledged(hot));
        }
        require(header.has(wire::tcp_ack) && Seq{header.ack} == hot.rcv_nxt);
        require(header.options.has_timestamps == hot.has(flag_timestamps));
        require(at >= una_ - 1 && segment.payload_length <= hot.mss);
        for (uint8_t i = 0; i < segment.piece_count; ++i)
            for (const uint8_t byte : segment.pieces[i]) {
                require(byte == stream_byte(out, at - first_out()));
                at += 1;
            }
        require(at - Seq{header.seq} == segment.payload_length);
        if (header.has(wire::tcp_fin)) {
            require(at == send_queue_end(ep()) && hot.has(flag_fin_queued));
            at += 1;
        }
        require(at <= hot.snd_nxt);
        const bool fresh = at > sent_;
        if (fresh) {
            require(Seq{header.seq} == sent_ && at <= offered_);
            sent_ = at;
        }
        if (header.ip_ecn != 0) require(hot.has(flag_ecn) && fresh && segment.payload_length > 0);
        if (Seq{header.seq} <= peer_nxt_ && at > peer_nxt_) peer_nxt_ = at;
        check_window(header);
        check_sack(header);
    }

    /// RFC 9293 §3.8.6 and RFC 7323 §2.4: the edge stays, but for what the scale rounds off.
    void check_window(const wire::TcpSegment& header) {
        const Seq edge = hot.rcv_nxt + (uint32_t{header.window} << hot.receive_scale());
        require(edge <= hot.rcv_adv && edge + (1u << hot.receive_scale()) > told_);
        told_ = max(told_, edge);
    }

    /// RFC 2018 §3, §4: blocks lie between the ACK and the window's edge and are disjoint, but for a D-SACK in front.
    void check_sack(const wire::TcpSegment& header) {
        const wire::TcpOptions& options = header.options;
        require(options.sack_count <= (options.has_timestamps ? 3 : 4));
        require(options.sack_count == 0 || hot.has(flag_sack));
        for (uint8_t i = 0; i < options.sack_count; ++i) {
            const Seq left{options.sack[i].left}, right{options.sack[i].right};
            require(left < right && right <= hot.rcv_adv);
            for (uint8_t j = 1; j < i; ++j)
                require(right < Seq{options.sack[j].left} || Seq{options.sack[j].right} < left);
            if (i > 0) require(left > Seq{header.ack});
        }
    }

    void check() {
        if (!live()) return;
        require(una_ <= hot.snd_una && hot.snd_una <= hot.snd_nxt && nxt_ <= hot.snd_nxt);
        una_ = hot.snd_una;
        nxt_ = hot.snd_nxt;
        check_queue();
        if (hot.state == State::syn_sent) return;
        require(place_ + (hot.has(flag_fin_received) ? 1 : 0) == hot.rcv_nxt);
        require(hot.rcv_nxt <= hot.rcv_adv);
        if (nxt_known_) require(rcv_nxt_ <= hot.rcv_nxt && rcv_adv_ <= hot.rcv_adv);
        nxt_known_ = true;
        rcv_nxt_ = hot.rcv_nxt;
        rcv_adv_ = hot.rcv_adv;
        mss_min_ = std::min(mss_min_, hot.mss);
        if (hot.state != State::syn_received) require(warm.cwnd >= mss_min_);
        if (const Extension* known = state()) check_extension(*known);
    }

    /// The queue holds what is not acknowledged, without gap or overlap, and only what was sent bears marks.
    void check_queue() {
        const Context ctx = stack_.context();
        const Seq first = syn_unacknowledged(hot) ? hot.snd_una + 1 : hot.snd_una;
        const Seq next = max(first, hot.snd_nxt);
        const Seq queue_end = send_queue_end(ep());
        require(hot.snd_nxt <= queue_end + (hot.has(flag_fin_sent) ? 1 : 0));
        if (hot.send_tail == store::no_chunk) return require(warm.queued == 0);
        store::ChunkId id = send_queue_head(ctx, ep());
        require(Seq{ctx.chunks.header(id).seq} <= first && chunk_end(ctx.chunks.header(id)) > first);
        Seq at{ctx.chunks.header(id).seq};
        bool cursor_seen = false;
        while (true) {
            const store::ChunkHeader& header = ctx.chunks.header(id);
            require(Seq{header.seq} == at && header.length > 0);
            at = chunk_end(header);
            require(Seq{header.seq} < next || header.flags == 0);
            require((header.flags & chunk_sacked) == 0 || (header.flags & chunk_lost) == 0);
            if (id == hot.send_cursor) cursor_seen = Seq{header.seq} <= next && next <= at;
            if (id == hot.send_tail) break;
            id = header.next;
        }
        require(at == queue_end);
        require(next >= queue_end || cursor_seen);
    }

    void check_extension(const Extension& known) {
        const RecoveryState& recovery = known.recovery;
        require(recovery.sacked <= in_flight(hot) && recovery.lost <= in_flight(hot) - recovery.sacked);
        const Context ctx = stack_.context();
        uint32_t count = 0;
        Seq at = hot.rcv_nxt;
        for (store::ChunkId id = known.reassembly; id != store::no_chunk; id = ctx.chunks.header(id).next) {
            const store::ChunkHeader& header = ctx.chunks.header(id);
            require((count == 0 || Seq{header.seq} >= at) && header.length > 0);
            at = chunk_end(header);
            require(at > hot.rcv_nxt && at <= hot.rcv_adv);
            ++count;
        }
        require(count == known.reassembly_chunks && count <= ctx.options.reassembly_chunks_max);
        if (known.fin_waiting) require(known.fin_seq >= max(at, hot.rcv_nxt) && known.fin_seq <= hot.rcv_adv);
    }

    /// Whatever waits for the peer, or for time, has a timer: else the connection would stand still for ever.
    void check_timer() {
        if (!live() || hot.state == State::time_wait) return;
        const bool unsent = hot.snd_nxt < send_queue_end(ep()) || (hot.has(flag_fin_queued) && !hot.has(flag_fin_sent));
        const std::optional<TimeUs> at = deadline();
        if (in_flight(hot) > 0 || unsent) require(at.has_value());
        if (at) require(*at <= stack_.now + stack_.options.rto_max_us);
        require(!hot.has(flag_ack_pending) || syn_unacknowledged(hot));
        if (hot.ack_delayed) require(at && *at <= stack_.now + stack_.options.ack_delay_ms * us_per_ms);
    }

    Stack& stack_;
    Seq iss_, una_, nxt_;
    Seq sent_;      // behind the last byte that was ever sent
    Seq offered_;   // the largest right edge that the peer ever offered
    Seq peer_nxt_;  // behind what a peer has that got everything so far
    Seq first_in_, place_;
    Seq rcv_nxt_, rcv_adv_, told_;
    bool nxt_known_ = false;
    uint16_t mss_min_ = UINT16_MAX;  // a path that was found to take more does not widen the congestion window
};

}  // namespace millrace::fuzz
