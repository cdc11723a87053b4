// Fuzzes TCP as the relay uses it: a client that comes in through the listener (half-open table, SYN cookies,
// TIME_WAIT) and a server that is connected to, either joined or each on its own, with hostile peers on both, any time
// between the steps, and memory that runs short. The input is a program of steps (tcp_steps.h). Segments are built
// around the numbers of the connection and travel as bytes through the parser. What must hold after each step is in
// tcp_end.h; at the end both peers turn honest, whatever was done before, and every byte must then arrive and no memory
// be left.
#include <cstdlib>
#include <vector>

#include "dataplane/tcp/keepalive.h"
#include "dataplane/tcp/syn_cookie.h"
#include "dataplane/tcp/time_wait.h"
#include "tcp_end.h"
#include "tcp_names.h"
#include "tcp_steps.h"

namespace {

using namespace millrace;
using namespace millrace::fuzz;

constexpr size_t steps_max = 400;
constexpr int honest_rounds_max = 4000;

/// What the numbers of a peer's segments are relative to.
struct Numbers {
    Seq snd_una, snd_nxt, rcv_nxt, rcv_adv;
};

/// A SYN-ACK of ours, and the SYN that it answered.
struct Answered {
    wire::TcpSegment syn, syn_ack;
    TimeUs at;
};

class World {
  public:
    World(Stack& stack, const Step& settings)
        : stack_(stack),
          relayed_(settings.bit(0, 0)),
          lost_at_end_(settings.bit(0, 1)),
          v6_(settings.bit(0, 2)),
          queue_max_(1000u << (settings.u8(1) & 7)) {
        stack.counters = {};
        stack.budgets = {};
        Options& options = stack.options = {};
        options.timestamps = settings.bit(0, 3);
        options.sack = settings.bit(0, 4);
        options.ecn = settings.bit(0, 5);
        options.congestion_control = settings.bit(0, 6) ? CongestionControl::newreno : CongestionControl::cubic;
        options.restart_after_idle = settings.bit(0, 7);
        options.syn_cookies = static_cast<SynCookies>(settings.u8(2) % 3);
        options.window_scale = settings.u8(3) % 15;
        options.receive_window_bytes = 2000u << (settings.u8(4) % 11);
        options.ack_delay_ms = settings.bit(5, 0) ? 40 : settings.bit(5, 1) ? 500 : 0;
        options.syn_window_bytes = settings.bit(5, 2) ? 65535 : 4000;
        options.challenge_acks_per_second = settings.bit(5, 3) ? 1000 : 2;
        options.mss_v4 = options.mss_v6 = settings.bit(5, 4) ? 1440 : 300;
        options.reassembly_chunks_max = settings.bit(5, 5) ? 128 : 5;
        options.retries_max = settings.bit(5, 6) ? 15 : 3;
        peer_clock_ = settings.bit(6, 0) ? 0 : 0xffff'fc00 - settings.u8(7) * 8u;
        stack.now = start_time(stack.secrets, client_tuple_, server_tuple_, settings.u8(6) >> 1, settings.u16(8));
        open_client(settings);
        open_server(settings);
    }

    void step(const Step& step) {
        const size_t op = step.u8(0) & 15;
        if (op <= 5)
            segment(end(step.bit(1, 0)), step);
        else
            other_step(op, step);
        if (!step.bit(1, 7)) flush_both();
    }

    void finish() {
        stack_.give_chunks_back();
        accept_max_ = SIZE_MAX;
        space_ = 65535;
        flush_both();
        if (lost_at_end_) client_.forget_flight(), server_.forget_flight();
        for (int round = 0; client_.live() || server_.live(); ++round) {
            require(round < honest_rounds_max);
            const auto before = progress();
            for (End* each : {&client_, &server_}) honest_round(*each);
            stack_.now += us_per_ms;
            if (progress() != before) continue;
            const TimeUs next = earliest();
            require(next != never);  // both wait for each other
            run_until(std::max(next, stack_.now));
        }
        require(stack_.chunks.bytes_in_use() == 0);
    }

  private:
    static constexpr TimeUs never = UINT64_MAX;

    End& end(bool server) { return server ? server_ : client_; }
    End& other(End& one) { return &one == &client_ ? server_ : client_; }
    const Tuple& tuple_of(const End& one) { return &one == &client_ ? client_tuple_ : server_tuple_; }
    Numbers& numbers_of(const End& one) { return &one == &client_ ? client_numbers_ : server_numbers_; }

    // ---- the world outside the two ends

    void note_numbers(End& one) {
        if (one.live()) numbers_of(one) = {one.hot.snd_una, one.hot.snd_nxt, one.hot.rcv_nxt, one.hot.rcv_adv};
    }

    void flush(End& one, uint32_t credit) {
        if (!one.live()) return;
        const uint32_t queued = send_queue_bytes(other(one).warm);
        const uint32_t space = !relayed_ ? space_ : queued < queue_max_ ? queue_max_ - queued : 0;
        one.flush(space, credit);
        note_numbers(one);
        if (one.hot.state != State::time_wait || credit == 0) return;
        time_wait_.insert(stack_.context(), one.ep(), tuple_of(one).local);
        one.end();
    }
    void flush_both() {
        flush(server_, End::credit_ample);
        flush(client_, End::credit_ample);
    }

    void on_events(End& one, const Events& events) {
        if (events.has(event_peer_fin) && relayed_ && other(one).live()) shut(other(one));
        if (!events.ended()) return;
        one.end();
        if (relayed_ && !events.has(event_closed) && other(one).live()) abort_end(other(one));
    }
    void abort_end(End& one) {
        note_numbers(one);
        abort(stack_.context(), one.ep());
        one.end();
    }
    void shut(End& one) {
        if (one.live()) shutdown_send(stack_.context(), one.ep());
    }

    size_t take(End& from, std::span<const uint8_t> bytes) {
        if (!relayed_) return std::min(bytes.size(), accept_max_);
        End& to = other(from);
        const uint32_t queued = send_queue_bytes(to.warm);
        const size_t room = queued < queue_max_ ? queue_max_ - queued : 0;
        return to.live() ? to.write(bytes.first(std::min(bytes.size(), room))) : bytes.size();
    }

    /// As the owner does: the endpoint, the half-open table, TIME_WAIT, the listener, a RST.
    void deliver(End& one, const wire::TcpSegment& segment) {
        if (one.live()) {
            on_events(one, one.receive(segment, [&](std::span<const uint8_t> bytes) { return take(one, bytes); }));
            return note_numbers(one);
        }
        const Context ctx = stack_.context();
        wire::OutboundSegment reply;
        if (HalfOpen* entry = half_open_.find(ctx, segment)) {
            const auto verdict = half_open_.on_segment(ctx, *entry, segment, reply);
            if (verdict == HalfOpenTable::Verdict::reply && reply.header.has(wire::tcp_syn))
                note_answer(segment, reply);
            if (verdict != HalfOpenTable::Verdict::complete) return;
            const HalfOpen agreed = *entry;
            half_open_.remove(*entry);
            return accept(one, agreed, segment);
        }
        const TimeWaitTable::Answer waiting = time_wait_.on_segment(ctx, segment, 0, reply);
        if (waiting.verdict == TimeWaitTable::Verdict::dropped || waiting.verdict == TimeWaitTable::Verdict::reply)
            return;
        if (&one == &server_) return;
        if (segment.has(wire::tcp_syn) && !segment.has(wire::tcp_ack) && !segment.has(wire::tcp_rst)) {
            const bool reuse = waiting.verdict == TimeWaitTable::Verdict::reuse;
            const auto answer = half_open_.on_syn(ctx, segment, 0, reuse ? std::optional(waiting.iss) : std::nullopt);
            if (answer) note_answer(segment, *answer);
            return;
        }
        HalfOpen agreed;
        if (half_open_.on_cookie_ack(ctx, segment, 0, agreed) == HalfOpenTable::Verdict::complete)
            accept(one, agreed, segment);
    }

    void note_answer(const wire::TcpSegment& syn, const wire::OutboundSegment& syn_ack) {
        require(Seq{syn_ack.header.ack} == Seq{syn.seq} + 1);
        if (syn.source_port != client_tuple_.peer_port) return;
        answered_.push_back({syn, syn_ack.header, stack_.now});
        const Seq iss{syn_ack.header.seq}, first{syn_ack.header.ack};
        client_numbers_ = {iss + 1, iss + 1, first, first + syn_ack.header.window};
    }

    /// What was said to a SYN, and whether it is what came of it.
    bool agrees(const Answered& asked, const HalfOpen& agreed) const {
        const HandshakeTerms& terms = agreed.terms;
        const wire::TcpOptions &theirs = asked.syn.options, &ours = asked.syn_ack.options;
        const uint16_t mss = std::max<uint16_t>(theirs.has_mss ? theirs.mss : v6_ ? 1220 : 536, 88);
        return Seq{asked.syn_ack.seq} == agreed.iss && Seq{asked.syn.seq} == agreed.irs &&
               terms.has_timestamps == (theirs.has_timestamps && ours.has_timestamps) &&
               terms.has_sack == (theirs.sack_permitted && ours.sack_permitted) &&
               terms.has_window_scale == (theirs.has_window_scale && ours.has_window_scale) &&
               (!terms.has_window_scale || terms.send_scale == std::min<uint8_t>(theirs.window_scale, 14)) &&
               terms.has_ecn == asked.syn_ack.has(wire::tcp_ece) && terms.peer_mss <= mss &&
               (!agreed.from_cookie || stack_.now - asked.at <= 2 * cookie_tick_us);
    }

    /// Only who was answered is let in, on the terms of that answer, and with a cookie not later than two ticks.
    void accept(End& one, const HalfOpen& agreed, const wire::TcpSegment& segment) {
        require(Seq{segment.ack} == agreed.iss + 1);
        require(std::any_of(answered_.begin(), answered_.end(),
                            [&](const Answered& each) { return agrees(each, agreed); }));
        one.establish(agreed);
        if (relayed_) {
            if (server_.live()) abort_end(server_);
            connect();
        }
        wire::TcpSegment taken = segment;
        if (one.first_in() != said_from_) {
            // A cookie lets in a second time whom it has let in before: what this one says belongs to another stream.
            taken.payload = {};
            taken.flags &= static_cast<uint8_t>(~wire::tcp_fin);
        }
        deliver(one, taken);
    }

    // ---- time

    TimeUs earliest() {
        TimeUs at = never;
        for (End* each : {&client_, &server_})
            if (each->live()) at = std::min(at, each->deadline().value_or(never));
        return at;
    }

    /// Each timer when it is due, and what it asks for at once. That may make another one due, as bytes for the far
    /// end that only a probe may carry; but none stays due.
    void run_until(TimeUs until) {
        constexpr int turns_at_once_max = 3;
        int turns_at_once = 0;
        for (int turns = 0; turns < 100 && earliest() <= until; ++turns) {
            if (earliest() > stack_.now) turns_at_once = 0;
            stack_.now = std::max(stack_.now, earliest());
            timers();
            flush_both();
            require(!stack_.hoard.empty() || earliest() > stack_.now || ++turns_at_once < turns_at_once_max);
        }
        stack_.now = std::max(stack_.now, until);
        half_open_.poll(stack_.context(), entries_.size(), 8, [&](const wire::OutboundSegment&) {});
        for (End* each : {&client_, &server_})
            if (each->live()) on_sweep(stack_.context(), each->ep());
    }
    void timers() {
        for (End* each : {&client_, &server_})
            if (each->live()) on_events(*each, each->on_deadline());
    }

    // ---- what peers send

    uint32_t peer_time() const { return static_cast<uint32_t>(stack_.now / us_per_ms) + peer_clock_; }
    uint32_t honest_timestamp(End& one) const {
        const uint32_t now = peer_time(), recent = one.hot.ts_recent;
        return !one.live() || static_cast<int32_t>(now - recent) > 0 ? now : recent;
    }

    wire::TcpSegment segment_of(const Tuple& name, Seq seq, Seq ack, uint8_t flags, uint16_t window) const {
        wire::TcpSegment made;
        made.source = name.peer;
        made.destination = name.local;
        made.source_port = name.peer_port;
        made.destination_port = name.local_port;
        made.seq = seq.value;
        made.ack = ack.value;
        made.flags = flags;
        made.window = window;
        return made;
    }
    void give_timestamps(End& one, wire::TcpSegment& made) const {
        made.options.has_timestamps = true;
        made.options.ts_value = honest_timestamp(one);
        made.options.ts_echo = one.live() ? timestamp_value(one.warm.ts_offset, stack_.now) : 0;
        if (!one.live() && !answered_.empty()) made.options.ts_echo = answered_.back().syn_ack.options.ts_value;
    }
    /// Through bytes and the parser.
    void transmit(End& one, const wire::TcpSegment& made, size_t payload, uint16_t damage = 0) {
        said_from_ = first_in(one, made);
        const uint32_t place = Seq{made.seq} + (made.has(wire::tcp_syn) ? 1 : 0) - said_from_;
        const SegmentBytes bytes(made, one.in, place, payload, damage);
        if (const auto parsed = bytes.parse()) deliver(one, *parsed);
    }
    Seq first_in(End& one, const wire::TcpSegment& made) {
        if (one.live()) return one.hot.state == State::syn_sent ? Seq{made.seq} + 1 : one.first_in();
        return numbers_of(one).rcv_nxt;
    }

    /// A segment of which everything may be wrong. All zero, it is an honest ACK.
    void segment(End& one, const Step& step) {
        const Numbers& known = numbers_of(one);
        const uint8_t near = step.u8(3), back = step.u8(4);
        const Seq seqs[] = {known.rcv_nxt,        known.rcv_nxt + near, known.rcv_nxt - near,
                            known.rcv_adv - near, known.rcv_adv + near, known.rcv_nxt + near * 300u,
                            known.rcv_nxt - 1,    Seq{step.anywhere(3)}};
        const Seq acks[] = {known.snd_nxt,
                            known.snd_una,
                            known.snd_una + back * 40u,
                            known.snd_nxt - back,
                            known.snd_nxt + back,
                            chunk_edge(one, back),
                            known.snd_una - back * 300u,
                            one.live() ? Seq{step.anywhere(4)} : known.snd_nxt};
        uint8_t flags = wire::tcp_ack;
        if (step.u8(5) >= 192)
            flags = step.u8(6);
        else if (step.u8(5) >= 128)
            flags |= step.u8(6) & (wire::tcp_fin | wire::tcp_urg | wire::tcp_ece | wire::tcp_cwr | wire::tcp_psh);
        wire::TcpSegment made = segment_of(tuple_of(one), seqs[step.u8(2) & 7], acks[step.u8(2) >> 3 & 7], flags, 0);
        made.ip_ecn = step.u8(1) >> 3 & 3;
        made.urgent = near;
        const uint8_t kind = step.u8(7);
        uint16_t& window = last_window_[&one == &server_];
        if (kind >= 100) window = kind < 130 ? 0 : kind < 160 ? step.u8(8) : kind < 200 ? 65535 : step.u16(8);
        made.window = window;
        timestamps(one, step, made);
        sack(one, step, made.options);
        const uint8_t length = step.u8(10);
        const size_t payload = length < 80 ? 0 : length < 120 ? length - 79u : length < 200 ? 1400u : step.u8(11) * 60u;
        transmit(one, made, payload, step.bit(1, 6) ? step.u16(8) : 0);
    }

    void timestamps(End& one, const Step& step, wire::TcpSegment& made) {
        if (!(one.live() ? one.hot.has(flag_timestamps) : stack_.options.timestamps)) return;
        give_timestamps(one, made);
        const uint32_t by = step.u8(9);
        wire::TcpOptions& options = made.options;
        const uint32_t values[] = {options.ts_value,           options.ts_value,
                                   one.hot.ts_recent,          one.hot.ts_recent - by,
                                   options.ts_value + by * 50, one.hot.ts_recent - 0x7fff'ff00 - by};
        options.ts_value = values[step.u8(12) % 6];
        const uint32_t echoes[] = {
            options.ts_echo, options.ts_echo, options.ts_echo - by, options.ts_echo + by, 0, ~by};
        options.ts_echo = echoes[(step.u8(12) >> 3) % 6];
        options.has_timestamps = step.u8(12) < 250;
    }

    void sack(End& one, const Step& step, wire::TcpOptions& options) {
        options.sack_count = static_cast<uint8_t>((step.u8(13) & 7) % 5);
        const Numbers& known = numbers_of(one);
        for (uint8_t i = 0; i < options.sack_count; ++i) {
            const uint8_t at = static_cast<uint8_t>(step.u8(14) + i * (step.u8(15) & 7)), length = step.u8(15) >> 3;
            const Seq edge = chunk_edge(one, at);
            switch (i == 0 ? step.u8(13) >> 3 & 7 : step.u8(13) >> 6) {
                case 0:
                case 1:
                    options.sack[i] = {edge.value, chunk_edge(one, static_cast<uint8_t>(at + length + 1)).value};
                    break;
                case 2:
                    options.sack[i] = {(known.snd_una + at).value, (known.snd_una + at + length).value};
                    break;
                case 3:
                    options.sack[i] = {edge.value, known.snd_nxt.value};
                    break;
                case 4:  // what was acknowledged already
                    options.sack[i] = {(known.snd_una - length - at).value, (known.snd_una - at).value};
                    break;
                case 5:
                    options.sack[i] = {(edge + length).value, edge.value};
                    break;
                case 6:
                    options.sack[i] = {(known.snd_nxt - at).value, (known.snd_nxt + length).value};
                    break;
                default:
                    options.sack[i] = {step.anywhere(14), step.anywhere(14) + length};
            }
        }
    }

    /// Where one of the chunks in flight begins, or snd_nxt.
    Seq chunk_edge(End& one, uint8_t number) {
        if (!one.live()) return numbers_of(one).snd_nxt;
        Seq edge = one.hot.snd_nxt;
        uint32_t seen = 0;
        for_each_sent_chunk(stack_.context(), one.ep(), number + 1u, [&](const store::ChunkHeader& header) {
            if (seen++ == number) edge = Seq{header.seq};
            return true;
        });
        return edge;
    }

    // ---- the other steps

    void other_step(size_t op, const Step& step) {
        End& one = end(step.bit(1, 0));
        switch (op) {
            case 6:
                if (one.live()) path(one, step);
                break;
            case 7:
                if (!relayed_)
                    one.write(std::min<size_t>(step.u16(2), queue_max_ - std::min(queue_max_, one.warm.queued)));
                else
                    data(one, step.u16(2) % 5000);
                break;
            case 8:
                if (earliest() != never) run_until(std::max(earliest(), stack_.now) + step.u8(2));
                break;
            case 9: {
                constexpr TimeUs units[] = {1,        100,           us_per_ms,      20 * us_per_ms,
                                            us_per_s, 60 * us_per_s, 3600 * us_per_s};
                run_until(stack_.now + step.u8(2) * units[step.u8(3) % 7]);
                break;
            }
            case 10:  // the device takes little, or nothing for a while, and timers are late
                if (step.bit(1, 1)) stack_.now += step.u16(4) * TimeUs{20};
                if (step.bit(1, 2)) timers();
                flush(one, step.u8(2) % 8);
                break;
            case 11:
                if (step.u8(2) < 8 && one.live())
                    on_events(one, (abort_end(one), Events{event_reset, 0, 0}));
                else if (!relayed_)
                    shut(one);
                break;
            case 12:
                accept_max_ = step.bit(2, 0) ? SIZE_MAX : step.u16(4);
                space_ = step.bit(2, 1) ? 65535 : step.u16(6) * 16u;
                break;
            case 13:
                if (stack_.hoard.empty() && step.bit(2, 0))
                    stack_.exhaust_chunks();
                else
                    stack_.give_chunks_back();
                break;
            case 14:
                if (&one == &server_)
                    open_server(step);
                else if (!one.live())
                    open_client(step);
                break;
            default:
                flood(step);
        }
    }

    /// What routers say, and what the owner's slow sweep does.
    void path(End& one, const Step& step) {
        const Seq seqs[] = {one.hot.snd_una, chunk_edge(one, step.u8(3)), one.hot.snd_nxt + step.u8(3),
                            one.hot.snd_una - 1};
        const IcmpReport report{static_cast<IcmpReport::Kind>(step.u8(4) % 3), step.bit(4, 7) ? 0u : step.u16(5),
                                seqs[step.u8(2) >> 4 & 3]};
        switch (step.u8(2) & 3) {
            case 0:
            case 1:
                return on_events(one, one.on_icmp_error(report));
            case 2:
                return path_mtu_raise(stack_.context(), one.ep());
            default: {
                const KeepaliveRecord settings{.idle_s = step.u8(7), .interval_s = step.u16(8), .count = 2};
                if (keepalive_step(stack_.context(), one.ep(), settings) == KeepaliveStep::dead)
                    on_events(one, (abort_end(one), Events{event_timed_out, 0, 0}));
            }
        }
    }

    /// In order, and acknowledging everything.
    void data(End& one, size_t length) {
        if (!one.live() || syn_unacknowledged(one.hot)) return;
        wire::TcpSegment made = segment_of(tuple_of(one), one.hot.rcv_nxt, one.hot.snd_nxt, wire::tcp_ack, 65535);
        if (one.hot.has(flag_timestamps)) give_timestamps(one, made);
        transmit(one, made, length);
    }

    void syn_options(End& one, const Step& step, wire::TcpSegment& made) {
        made.options.has_mss = step.u8(10) != 0;
        made.options.mss = static_cast<uint16_t>(step.u8(10) * 40);
        made.options.has_window_scale = step.bit(11, 0);
        made.options.window_scale = step.u8(11) >> 3 & 15;
        made.options.sack_permitted = step.bit(11, 1);
        if (step.bit(11, 2)) give_timestamps(one, made);
        if (step.bit(12, 0)) made.flags |= wire::tcp_ece;
        if (step.bit(12, 1)) made.flags |= wire::tcp_cwr;
    }

    void open_client(const Step& step) {
        Seq isn{step.u16(13) * 65537u};
        if (step.bit(12, 2)) isn = client_numbers_.rcv_nxt + 70'000;  // what TIME_WAIT may open anew
        wire::TcpSegment syn = segment_of(client_tuple_, isn, Seq{}, wire::tcp_syn, step.u8(15) * 257);
        syn_options(client_, step, syn);
        syn.flags = syn.flags & ~wire::tcp_ack;
        transmit(client_, syn, step.bit(12, 5) ? 10 : 0);
        if (answered_.empty() || step.bit(12, 3)) return;
        const Numbers known = client_numbers_;
        wire::TcpSegment ack = segment_of(client_tuple_, known.rcv_nxt, known.snd_nxt, wire::tcp_ack, 60'000);
        if (answered_.back().syn_ack.options.has_timestamps) give_timestamps(client_, ack);
        transmit(client_, ack, step.bit(12, 4) ? 100 : 0);
    }

    void connect() { server_.open(server_tuple_, time_wait_.take(stack_.context(), server_tuple_)); }
    void open_server(const Step& step) {
        if (!relayed_ && !server_.live()) {
            connect();
            if (step.bit(12, 6)) server_.write(500);
        }
        flush(server_, 1);
        if (server_.hot.state == State::syn_sent && !step.bit(12, 7)) answer_server_syn(step);
    }
    void answer_server_syn(const Step& step) {
        wire::TcpSegment made = segment_of(server_tuple_, Seq{step.u16(13) * 65537u - 300}, server_.hot.snd_nxt,
                                           wire::tcp_syn | wire::tcp_ack, step.u8(15) * 257);
        syn_options(server_, step, made);
        transmit(server_, made, 0);
    }

    /// SYNs from elsewhere take the places for half-open connections.
    void flood(const Step& step) {
        for (uint16_t i = 0; i < step.u8(2) % 40; ++i) {
            const Tuple name = tuple_to(9, v6_, 80, static_cast<uint16_t>(5000 + step.u8(3) + i));
            wire::TcpSegment syn = segment_of(name, Seq{i * 7777u}, Seq{}, wire::tcp_syn, 1000);
            const auto parsed = SegmentBytes(syn, 0, 0, 0, 0).parse();
            if (parsed && half_open_.find(stack_.context(), *parsed) == nullptr)
                half_open_.on_syn(stack_.context(), *parsed, 0);
        }
        require(half_open_.size() <= entries_.size());
    }

    // ---- the end

    std::array<uint32_t, 10> progress() {
        std::array<uint32_t, 10> now{};
        uint32_t* at = now.data();
        for (End* each : {&client_, &server_}) {
            const EndpointHot& hot = each->hot;
            for (const Seq seq : {hot.snd_una, hot.snd_nxt, hot.rcv_nxt, each->peer_nxt()}) *at++ = seq.value;
            *at++ = static_cast<uint32_t>(hot.state);
        }
        return now;
    }

    /// Takes what came, acknowledges it with an open window, and says what is left to say, a FIN at last.
    void honest_round(End& one) {
        if (one.hot.state == State::syn_sent) answer_server_syn(Step(std::array<uint8_t, step_bytes>{}.data()));
        if (!relayed_ || !other(one).live()) shut(one);
        flush(one, End::credit_ample);
        if (!one.live() || one.hot.state == State::syn_sent) return;
        const Extension* known = one.state();
        Seq last = reassembly_end(stack_.context(), one.ep());
        if (known != nullptr && known->fin_waiting) last = known->fin_seq;
        const Seq seq = one.hot.rcv_nxt;
        const auto ack = [&](Seq at, uint8_t flags, size_t payload) {
            if (!one.live()) return;
            const Seq got =
                one.hot.state == State::syn_received ? one.hot.snd_una + 1 : max(one.peer_nxt(), one.hot.snd_una);
            wire::TcpSegment made = segment_of(tuple_of(one), at, min(got, one.hot.snd_nxt), flags, 65535);
            if (one.hot.has(flag_timestamps)) give_timestamps(one, made);
            transmit(one, made, payload);
        };
        // A window is believed only from numbers that are as late as those of the segments before.
        ack(max(one.hot.rcv_nxt, one.warm.wl1), wire::tcp_ack, 0);
        if (can_receive(one.hot)) {
            const uint32_t length = std::min({last - seq, one.hot.rcv_adv - seq, 16'000u});
            const bool fin = seq + length == last;
            ack(seq, fin ? wire::tcp_ack | wire::tcp_fin : wire::tcp_ack, length);
        }
        if (one.live()) flush(one, End::credit_ample);
    }

    Stack& stack_;
    bool relayed_, lost_at_end_, v6_;
    uint32_t queue_max_;
    Tuple client_tuple_ = tuple_to(2, v6_, 80, 1000), server_tuple_ = tuple_to(3, v6_, 2000, 8080);
    End client_{stack_, 1, 2}, server_{stack_, relayed_ ? uint8_t{2} : uint8_t{3}, relayed_ ? uint8_t{1} : uint8_t{4}};
    std::array<HalfOpen, 16> entries_{};
    std::array<TimeWait, 8> waiting_{};
    HalfOpenTable half_open_{entries_};
    TimeWaitTable time_wait_{waiting_};
    std::vector<Answered> answered_;
    Numbers client_numbers_{}, server_numbers_{};
    Seq said_from_{};  // where the stream begins whose bytes the latest segment carries
    uint32_t peer_clock_ = 0;
    uint16_t last_window_[2] = {65535, 65535};
    size_t accept_max_ = SIZE_MAX;
    uint32_t space_ = 65535;
};

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t size_max, unsigned seed) {
    return mutate_steps(data, size, size_max, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static Stack stack(33 * store::ChunkStore::slab_bytes);  // one for all runs: each leaves its store empty
    if (size < step_bytes) return 0;
    World world(stack, Step(data));
    for (size_t i = 1; i <= steps_max && (i + 1) * step_bytes <= size; ++i) world.step(Step(data + i * step_bytes));
    world.finish();
    return 0;
}
