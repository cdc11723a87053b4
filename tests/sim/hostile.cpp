#include "tests/sim/hostile.h"

#include <algorithm>

#include "dataplane/wire/frame.h"
#include "dataplane/wire/write.h"
#include "tests/sim/transfer.h"

namespace millrace::sim {
namespace {

using tcp::Seq;

constexpr uint16_t mss = 1000;
constexpr uint32_t far_beyond = 1u << 28;  // no window reaches there

}  // namespace

Hostile::Hostile(const HostileOptions& options) : options_(options), random_(options.seed) {
    for (uint64_t& key : keys_) key = random_.next();
    // Some of all mischief, so that one kind does not always spoil the others; the honest two are what keeps it going.
    allowed_ = static_cast<unsigned>(random_.next()) | 1u << acknowledge | 1u << send_data;
    actions_left_ = static_cast<unsigned>(random_.between(50, 800));
    port_ = options.server ? uint16_t{8080} : static_cast<uint16_t>(random_.between(1024, 65535));
    scale_ = static_cast<uint8_t>(random_.below(8));
    timestamps_ = random_.chance(0.5);
    sack_ = random_.chance(0.8);
    iss_ = Seq{static_cast<uint32_t>(random_.next())};
}

/// The first byte is the same in both versions: it tells the server whom it has before it.
bool Hostile::may_stand(uint64_t offset, uint8_t byte) const {
    if (offset == 0) return byte == 'H';
    return byte == stream_byte(keys_[0], offset) || byte == stream_byte(keys_[1], offset);
}

wire::OutboundSegment Hostile::segment(uint8_t flags, Seq seq) const {
    wire::OutboundSegment out;
    wire::TcpSegment& header = out.header;
    header.source = address();
    header.destination = peer_;
    header.source_port = port_;
    header.destination_port = peer_port_;
    header.seq = seq.value;
    header.ack = flags & wire::tcp_ack ? rcv_nxt_.value : 0;
    header.flags = flags;
    header.window = window_;
    header.options.has_timestamps = timestamps_;
    header.options.ts_value = static_cast<uint32_t>(now_ / 1000);
    header.options.ts_echo = ts_recent_;
    return out;
}

void Hostile::emit(const wire::OutboundSegment& out) {
    std::vector<uint8_t> frame(2048);
    frame.resize(wire::write_tcp(frame, {mac(), balancer_mac, 0}, out, {}));
    outgoing_.push_back(std::move(frame));
}

/// Sends an acknowledgement that the balancer may believe, and remembers the window in it.
void Hostile::show(wire::OutboundSegment& out) {
    shown_edge_ = max(shown_edge_, Seq{out.header.ack} + (uint32_t{out.header.window} << scale_));
    emit(out);
}

void Hostile::send_range(uint64_t offset, size_t length, bool other) {
    std::vector<uint8_t> bytes(length);
    for (size_t i = 0; i < length; ++i)
        bytes[i] = offset + i == 0 ? 'H' : stream_byte(keys_[other ? 1 : 0], offset + i);
    wire::OutboundSegment out = segment(wire::tcp_ack, iss_ + 1 + static_cast<uint32_t>(offset));
    out.pieces[0] = bytes;
    out.piece_count = 1;
    out.payload_length = static_cast<uint16_t>(length);
    sent_ = std::max(sent_, offset + length);
    show(out);
}

void Hostile::act_on_data(Action action) {
    const Seq first = iss_ + 1 + static_cast<uint32_t>(una_);
    const uint32_t room = peer_edge_ > first ? peer_edge_ - first : 0;
    const size_t length = random_.between(1, mss);
    switch (action) {
        case send_data:
            if (room > 0) send_range(una_, std::min<size_t>(length, room), false);
            break;
        case send_byte:
            if (room > 0) send_range(una_, 1, false);
            break;
        case overlap:  // from what is acknowledged into what may wait out of order
            send_range(una_ - std::min<uint64_t>(una_, random_.below(2 * mss)), length, true);
            break;
        case leave_hole:
            send_range(una_ + random_.below(room + 1), length, random_.chance(0.5));
            break;
        case exceed_window:
            send_range(una_ + room + random_.below(100'000), length, random_.chance(0.5));
            break;
        case fin_beyond_hole: {
            wire::OutboundSegment out = segment(wire::tcp_ack | wire::tcp_fin, first + room + 1);
            fins_.insert(una_ + room + 2);
            sent_ = std::max(sent_, una_ + room + 2);
            show(out);
            break;
        }
        default:
            break;
    }
}

void Hostile::act_on_acks(Action action) {
    const Seq next = iss_ + 1 + static_cast<uint32_t>(una_);
    wire::OutboundSegment out = segment(wire::tcp_ack, next);
    switch (action) {
        case shrink_window:
            window_ = static_cast<uint16_t>(random_.chance(0.3) ? 0 : random_.below(65536));
            out.header.window = window_;
            break;
        case acknowledge_early:
            rcv_nxt_ = rcv_nxt_ + static_cast<uint32_t>(random_.below(3 * mss));
            if (rcv_nxt_ > seen_) rcv_nxt_ = seen_;  // of what was sent, but has not come in order
            out.header.ack = rcv_nxt_.value;
            break;
        case acknowledge_unsent:
            out.header.ack = (seen_ + far_beyond + static_cast<uint32_t>(random_.below(far_beyond))).value;
            return emit(out);
        case lie_in_sack:
            if (!sack_) return;
            out.header.options.sack_count = static_cast<uint8_t>(random_.between(1, 3));
            for (size_t i = 0; i < out.header.options.sack_count; ++i) {
                const Seq left = rcv_nxt_ + static_cast<uint32_t>(random_.below(20'000)) - 5'000;
                const auto length = static_cast<uint32_t>(random_.below(random_.chance(0.1) ? far_beyond : 5'000));
                out.header.options.sack[i] = {left.value, (random_.chance(0.1) ? left - length : left + length).value};
            }
            break;
        case repeat_ack:
            for (uint64_t i = random_.between(1, 8); i > 0; --i) show(out);
            break;
        default:
            break;
    }
    show(out);
}

void Hostile::act() {
    ++actions_;
    Action action;
    do {
        action = static_cast<Action>(random_.below(action_count));
    } while ((allowed_ >> action & 1) == 0 || (action == syn_in_window && !confirmed_));
    if (random_.chance(0.02)) window_ = 65535;
    const Seq next = iss_ + 1 + static_cast<uint32_t>(una_);
    switch (action) {
        case syn_in_window: {  // RFC 5961 section 4
            const Seq seq = next + static_cast<uint32_t>(random_.below(1000));
            syns_.insert(seq.value);
            return emit(segment(wire::tcp_syn, seq));
        }
        case rst_beside:  // RFC 5961 section 3
            return emit(segment(wire::tcp_rst, next + static_cast<uint32_t>(random_.between(1, 1000))));
        case send_data:
        case send_byte:
        case overlap:
        case leave_hole:
        case exceed_window:
        case fin_beyond_hole:
            return act_on_data(action);
        default:
            return act_on_acks(action);
    }
}

void Hostile::last_act() {
    const Seq next = iss_ + 1 + static_cast<uint32_t>(una_);
    switch (random_.below(3)) {
        case 0:
            emit(segment(wire::tcp_rst, next));
            break;
        case 1:
            emit(segment(wire::tcp_ack | wire::tcp_fin, next));
            break;
        default:
            break;
    }
    stage_ = Stage::gone;
}

void Hostile::receive(std::span<const uint8_t> frame, TimeUs now) {
    now_ = now;
    wire::ParsedFrame parsed;
    const wire::FrameKind kind = wire::parse_frame(frame, {}, parsed);
    if (kind == wire::FrameKind::arp) on_arp(parsed.arp);
    if (kind == wire::FrameKind::tcp && parsed.tcp.destination == address()) on_segment(parsed.tcp);
}

void Hostile::on_arp(const wire::ArpPacket& arp) {
    if (!arp.is_request || !(arp.target == address())) return;
    std::vector<uint8_t> out(64);
    out.resize(wire::write_arp(out, {mac(), arp.sender_mac, 0},
                               {.is_request = false,
                                .sender_mac = mac(),
                                .sender = address(),
                                .target_mac = arp.sender_mac,
                                .target = arp.sender}));
    outgoing_.push_back(std::move(out));
}

/// A SYN, or a SYN-ACK.
void Hostile::syn(uint8_t flags) {
    wire::OutboundSegment out = segment(flags, iss_);
    out.header.options.has_mss = out.header.options.has_window_scale = true;
    out.header.options.mss = mss;
    out.header.options.window_scale = scale_;
    out.header.options.sack_permitted = sack_;
    emit(out);
}

/// The only connection that a server takes; others get no answer.
void Hostile::on_syn(const wire::TcpSegment& in) {
    if (stage_ == Stage::closed) {
        stage_ = Stage::open;
        peer_ = in.destination == address() ? in.source : peer_;
        peer_port_ = in.source_port;
        irs_ = Seq{in.seq};
        rcv_nxt_ = seen_ = irs_ + 1;
        shown_edge_ = rcv_nxt_ + window_;
        peer_scale_ = in.options.has_window_scale ? in.options.window_scale : 0;
        timestamps_ = timestamps_ && in.options.has_timestamps;
        ts_recent_ = in.options.ts_value;
        peer_edge_ = iss_ + 1;
    }
    if (in.source_port == peer_port_ && Seq{in.seq} == irs_) syn(wire::tcp_syn | wire::tcp_ack);
}

void Hostile::on_segment(const wire::TcpSegment& in) {
    if (stage_ == Stage::gone || in.destination_port != port_) return;
    if (options_.server && in.has(wire::tcp_syn)) return on_syn(in);
    if (in.source_port != peer_port_) return;
    confirmed_ = true;
    if (in.has(wire::tcp_rst)) {
        stage_ = Stage::gone;
        return;
    }
    if (in.options.has_timestamps) ts_recent_ = in.options.ts_value;
    if (in.has(wire::tcp_syn)) {
        // A SYN-ACK of another connection: ours was reset, the RST got lost, and a SYN of ours opened a new one.
        if (stage_ == Stage::open && Seq{in.seq} != irs_) stage_ = Stage::gone;
        if (stage_ != Stage::syn_sent) return;
        stage_ = Stage::open;
        irs_ = Seq{in.seq};
        rcv_nxt_ = seen_ = shown_edge_ = irs_ + 1;
        peer_scale_ = in.options.has_window_scale ? in.options.window_scale : 0;
        if (!in.options.has_window_scale) scale_ = 0;
        timestamps_ = timestamps_ && in.options.has_timestamps;
        peer_edge_ = Seq{in.ack} + in.window;
        send_range(0, 1, false);
        return;
    }
    if (stage_ != Stage::open) return;
    // The same when that SYN-ACK got lost: the segment acknowledges our SYN, far from what the old connection has sent.
    if (syns_.contains(in.ack - 1) && Seq{in.seq} > shown_edge_) {
        stage_ = Stage::gone;
        return;
    }
    const uint32_t length = static_cast<uint32_t>(in.payload.size()) + (in.has(wire::tcp_fin) ? 1 : 0);
    expect(Seq{in.seq} + length <= shown_edge_, "nothing is sent beyond any window that was given");
    const uint32_t offset = in.seq - (irs_ + 1).value;
    for (uint32_t i = 0; i < in.payload.size(); ++i)
        if (in.payload[i] != stream_byte(options_.down_key, offset + i)) return expect(false, "a byte is the server's");
    bytes_seen_ += in.payload.size();
    seen_ = max(seen_, Seq{in.seq} + length);
    if (Seq{in.seq} <= rcv_nxt_) rcv_nxt_ = max(rcv_nxt_, Seq{in.seq} + length);

    const uint32_t acknowledged = in.ack - (iss_ + 1).value;
    expect(acknowledged <= sent_, "only what was sent is acknowledged");
    una_ = std::max<uint64_t>(una_, std::min<uint64_t>(acknowledged, sent_));
    const Seq edge = Seq{in.ack} + (uint32_t{in.window} << peer_scale_);
    // Behind a FIN of ours that the balancer has reached there is no window.
    const bool finished = fins_.contains(acknowledged);
    expect(finished || edge + ((1u << peer_scale_) - 1) >= peer_edge_, "the window does not move back");
    peer_edge_ = max(peer_edge_, edge);
}

std::optional<TimeUs> Hostile::next_deadline(TimeUs now) {
    if (!outgoing_.empty()) return now;
    if (over()) return std::nullopt;
    return std::max(next_at_, now);
}

void Hostile::poll(TimeUs now, const FrameSink& send) {
    now_ = now;
    if (!over() && now >= next_at_) {
        next_at_ = now + random_.between(100, random_.chance(0.02) ? 3'000'000 : 20'000);
        if (stage_ == Stage::open) {
            if (actions_left_-- == 0)
                last_act();
            else
                act();
        } else {
            next_at_ = now + us_per_s;
            stage_ = Stage::syn_sent;
            syn(wire::tcp_syn);
        }
    }
    std::vector<std::vector<uint8_t>> frames;
    frames.swap(outgoing_);
    for (const auto& frame : frames) send(frame);
}

void Hostile::expect(bool holds, const char* what) {
    if (!holds && violations_.size() < 5)
        violations_.push_back("at " + std::to_string(now_) + " µs, hostile peer: not so: " + what);
}

}  // namespace millrace::sim
