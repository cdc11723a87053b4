#include "tests/sim/host.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "dataplane/tcp/close.h"
#include "dataplane/tcp/extension.h"
#include "dataplane/tcp/receiver.h"
#include "dataplane/tcp/send_queue.h"
#include "dataplane/tcp/sender.h"
#include "dataplane/tcp/setup.h"
#include "dataplane/tcp/timers.h"
#include "dataplane/wire/write.h"

namespace millrace::sim {
namespace {

using tcp::Seq;

constexpr SocketId no_socket = SIZE_MAX;
constexpr TimeUs credit_retry_us = 50;
constexpr TimeUs half_open_poll_us = 100'000;

std::byte* allocate_arena(size_t bytes) {
    void* memory = std::aligned_alloc(store::ChunkStore::slab_bytes, bytes);
    std::memset(memory, 0, bytes);
    return static_cast<std::byte*>(memory);
}

uint32_t class_bytes(const store::ChunkStore& chunks, store::ChunkId id) {
    return store::chunk_class_bytes[chunks.header(id).size_class];
}

}  // namespace

Host::Host(const HostOptions& options, Application& application)
    : options_(options),
      application_(application),
      random_(options.seed),
      arena_(allocate_arena(options.arena_bytes), [](std::byte* memory) { std::free(memory); }),
      chunks_(store::ChunkStore::format({arena_.get(), options.arena_bytes})),
      half_open_memory_(64),
      time_wait_memory_(64),
      half_open_(half_open_memory_),
      time_wait_(time_wait_memory_) {
    secrets_ = {{random_.next(), random_.next()},
                {random_.next(), random_.next()},
                {random_.next(), random_.next()},
                {random_.next(), random_.next()}};
}

/// Tries keys until a connection opened now would begin just before the wanted sequence number.
void Host::prepare(const tcp::Tuple& tuple, TimeUs now) {
    if (!options_.iss_near) return;
    while (*options_.iss_near - tcp::initial_sequence_number(secrets_, tuple, now) > 1u << 18)
        secrets_.isn = {random_.next(), random_.next()};
}

SocketId Host::new_socket() {
    for (SocketId id = 0; id < sockets_.size(); ++id) {
        if (sockets_[id].in_use) continue;
        sockets_[id] = {};
        sockets_[id].in_use = true;
        return id;
    }
    sockets_.emplace_back().in_use = true;
    return sockets_.size() - 1;
}

SocketId Host::find(const wire::TcpSegment& segment) const {
    for (SocketId id = 0; id < sockets_.size(); ++id) {
        const tcp::EndpointHot& hot = sockets_[id].hot;
        if (sockets_[id].in_use && hot.peer == segment.source && hot.peer_port == segment.source_port &&
            hot.local_port == segment.destination_port)
            return id;
    }
    return no_socket;
}

size_t Host::open_sockets() const {
    return static_cast<size_t>(
        std::count_if(sockets_.begin(), sockets_.end(), [](const Socket& s) { return s.in_use; }));
}

SocketId Host::connect(const IpAddress& peer, uint16_t peer_port, uint16_t local_port) {
    const SocketId id = new_socket();
    const tcp::Tuple tuple{options_.address, peer, local_port, peer_port};
    tcp::open_active(context(), endpoint(sockets_[id]), tuple, 0, time_wait_.take(context(), tuple));
    sockets_[id].dirty = true;
    return id;
}

size_t Host::send(SocketId id, std::span<const uint8_t> bytes) {
    Socket& socket = sockets_[id];
    const uint32_t queued = tcp::send_queue_bytes(socket.warm);
    const size_t room = options_.send_queue_bytes > queued ? options_.send_queue_bytes - queued : 0;
    socket.dirty = true;
    return tcp::send(context(), endpoint(socket), bytes.first(std::min(room, bytes.size())));
}

void Host::shutdown(SocketId id) {
    tcp::shutdown_send(context(), endpoint(sockets_[id]));
    sockets_[id].dirty = true;
}

void Host::abort(SocketId id) {
    if (const auto reset = tcp::abort(context(), endpoint(sockets_[id]))) transmit(*reset);
    sockets_[id].in_use = false;
}

void Host::set_reading(SocketId id, bool reading) {
    sockets_[id].reading = reading;
    sockets_[id].dirty = true;
    hand_over(id);
}

void Host::restart() {
    std::optional<store::ChunkStore> joined = store::ChunkStore::join({arena_.get(), options_.arena_bytes});
    if (!joined) {
        violations_.push_back("the arena can't be joined");
        return;
    }
    chunks_ = *joined;
    chunks_.begin_recovery();
    for (Socket& socket : sockets_) {
        const bool sound =
            !socket.in_use || tcp::for_each_chunk(chunks_, socket.hot, socket.warm,
                                                  [&](store::ChunkId id) { return chunks_.mark_live(id); });
        if (!sound) violations_.push_back("a record names a chunk that is not live");
        socket.dirty = true;
    }
    chunks_.end_recovery();
    budgets_ = {};
    std::fill(half_open_memory_.begin(), half_open_memory_.end(), tcp::HalfOpen{});
    half_open_ = tcp::HalfOpenTable(half_open_memory_);
    time_wait_ = tcp::TimeWaitTable(time_wait_memory_);
}

uint32_t Host::receive_space(const Socket& socket) const {
    const size_t used = socket.buffered.size();
    return used < options_.receive_buffer_bytes ? static_cast<uint32_t>(options_.receive_buffer_bytes - used) : 0;
}

void Host::receive(std::span<const uint8_t> frame, TimeUs now) {
    now_ = now;
    wire::ParsedFrame parsed;
    switch (wire::parse_frame(frame, {}, parsed)) {
        case wire::FrameKind::tcp:
            if (parsed.tcp.destination == options_.address) on_segment(parsed.tcp);
            break;
        case wire::FrameKind::arp:
            if (parsed.arp.is_request && parsed.arp.target == options_.address) {
                std::vector<uint8_t> out(64);
                const wire::ArpPacket reply{.is_request = false,
                                            .sender_mac = options_.mac,
                                            .sender = options_.address,
                                            .target_mac = parsed.arp.sender_mac,
                                            .target = parsed.arp.sender};
                out.resize(wire::write_arp(out, {options_.mac, parsed.arp.sender_mac, 0}, reply));
                outgoing_.push_back(std::move(out));
            }
            break;
        case wire::FrameKind::ndp_solicitation:
            if (parsed.ndp.target == options_.address) {
                std::vector<uint8_t> out(128);
                const wire::NdpMessage reply{.source = options_.address,
                                             .destination = parsed.ndp.source,
                                             .target = options_.address,
                                             .has_link_address = true,
                                             .link_address = options_.mac,
                                             .is_solicited = true,
                                             .is_override = true};
                out.resize(wire::write_ndp_advertisement(out, {options_.mac, parsed.source_mac, 0}, reply));
                outgoing_.push_back(std::move(out));
            }
            break;
        default:
            break;
    }
}

void Host::on_segment(const wire::TcpSegment& segment) {
    const SocketId id = find(segment);
    if (id != no_socket)
        on_socket_segment(id, segment);
    else
        on_segment_without_socket(segment);
}

void Host::on_segment_without_socket(const wire::TcpSegment& segment) {
    wire::OutboundSegment reply;
    if (tcp::HalfOpen* entry = half_open_.find(context(), segment)) {
        const auto verdict = half_open_.on_segment(context(), *entry, segment, reply);
        if (verdict == tcp::HalfOpenTable::Verdict::reply) transmit(reply);
        if (verdict != tcp::HalfOpenTable::Verdict::complete) return;
        const SocketId id = new_socket();
        tcp::establish_passive(context(), *entry, endpoint(sockets_[id]));
        half_open_.remove(*entry);
        on_socket_segment(id, segment);
        return;
    }
    const auto answer = time_wait_.on_segment(context(), segment, 0, reply);
    if (answer.verdict == tcp::TimeWaitTable::Verdict::reply) transmit(reply);
    const bool known = answer.verdict != tcp::TimeWaitTable::Verdict::unknown;
    const bool reuse = answer.verdict == tcp::TimeWaitTable::Verdict::reuse;
    if (known && !reuse) return;
    const uint8_t kind = segment.flags & (wire::tcp_syn | wire::tcp_ack | wire::tcp_rst);
    if (kind == wire::tcp_syn && listening_.contains(segment.destination_port)) {
        const auto iss = reuse ? std::optional<Seq>(answer.iss) : std::nullopt;
        if (const auto syn_ack = half_open_.on_syn(context(), segment, 0, iss)) transmit(*syn_ack);
        return;
    }
    if (listening_.contains(segment.destination_port)) {
        tcp::HalfOpen agreed;
        const auto verdict = half_open_.on_cookie_ack(context(), segment, 0, agreed);
        if (verdict == tcp::HalfOpenTable::Verdict::complete) {
            const SocketId id = new_socket();
            tcp::establish_passive(context(), agreed, endpoint(sockets_[id]));
            return on_socket_segment(id, segment);
        }
        if (verdict == tcp::HalfOpenTable::Verdict::dropped) return;
    }
    if (const auto reset = tcp::reset_for_unknown(segment, 0)) transmit(*reset);
}

void Host::on_socket_segment(SocketId id, const wire::TcpSegment& segment) {
    Socket& socket = sockets_[id];
    if (segment.has(wire::tcp_ack) && !tcp::syn_unacknowledged(socket.hot)) {
        const Seq edge = Seq{segment.ack} + (uint32_t{segment.window} << socket.hot.send_scale());
        socket.peer_edge = socket.edges_known ? max(socket.peer_edge, edge) : edge;
        socket.edges_known = true;
    }
    const auto consume = [&](std::span<const uint8_t> bytes) -> size_t {
        const size_t taken = refusing_ ? 0 : std::min<size_t>(bytes.size(), receive_space(sockets_[id]));
        sockets_[id].buffered.insert(sockets_[id].buffered.end(), bytes.begin(),
                                     bytes.begin() + static_cast<long>(taken));
        return taken;
    };
    const tcp::Events events = tcp::receive(context(), endpoint(socket), segment, consume);
    socket.dirty = true;
    on_events(id, events);
}

void Host::on_events(SocketId id, const tcp::Events& events) {
    if (events.has(tcp::event_established)) {
        Socket& socket = sockets_[id];
        socket.edges_known = false;
        socket.last_una = socket.hot.snd_una;
        socket.last_rcv_nxt = socket.hot.rcv_nxt - events.consumed;
        socket.last_rcv_adv = socket.hot.rcv_adv;
        socket.peer_edge = socket.hot.snd_una + socket.hot.snd_wnd;
        socket.edge_shown = socket.last_rcv_nxt;
        socket.edges_known = true;
        application_.on_open(*this, id);
    }
    if (events.has(tcp::event_peer_fin)) sockets_[id].fin_pending = true;
    if (events.has(tcp::event_data) || events.has(tcp::event_peer_fin)) hand_over(id);
    if (events.has(tcp::event_acked) && sockets_[id].in_use) application_.on_writable(*this, id);
    if (events.has(tcp::event_time_wait)) {
        flush(id, 1);  // the ACK of the FIN
        time_wait_.insert(context(), endpoint(sockets_[id]), options_.address);
        end(id, End::closed);
    }
    if (events.has(tcp::event_closed)) end(id, End::closed);
    if (events.has(tcp::event_reset)) end(id, End::reset);
    if (events.has(tcp::event_refused)) end(id, End::refused);
    if (events.has(tcp::event_timed_out)) end(id, End::timed_out);
}

void Host::end(SocketId id, End how) {
    // What came in order is read, though the application was not reading just then. A reset costs what waits, but not a
    // stream that was whole, FIN included: kernels keep that readable.
    sockets_[id].reading = true;
    if (how == End::closed || sockets_[id].fin_pending) hand_over(id);
    tcp::release(context(), endpoint(sockets_[id]));
    sockets_[id].in_use = false;
    application_.on_end(*this, id, how);
}

void Host::hand_over(SocketId id) {
    Socket& socket = sockets_[id];
    if (!socket.reading) return;
    if (!socket.buffered.empty()) {
        const std::vector<uint8_t> bytes(socket.buffered.begin(), socket.buffered.end());
        socket.buffered.clear();
        application_.on_data(*this, id, bytes);
    }
    if (!sockets_[id].fin_pending) return;
    sockets_[id].fin_pending = false;
    application_.on_peer_fin(*this, id);
}

void Host::flush(SocketId id, uint32_t credit_min) {
    Socket& socket = sockets_[id];
    socket.dirty = false;
    uint32_t space = receive_space(socket);
    if (options_.erratic_space) space = static_cast<uint32_t>(random_.between(0, space));
    const uint32_t credit = static_cast<uint32_t>(random_.between(credit_min, options_.credit_max));
    uint32_t emitted = 0;
    const auto emit = [&](const wire::OutboundSegment& segment) {
        ++emitted;
        check_outgoing(socket, segment);
        transmit(segment);
    };
    const tcp::FlushResult result = tcp::flush(context(), endpoint(socket), space, credit, emit);
    expect(result.segments == emitted && emitted <= credit, id, "flush keeps to its credit");
    if (!result.wants_credit) return;
    socket.dirty = true;
    retry_at_ = now_ + credit_retry_us;
}

void Host::transmit(const wire::OutboundSegment& segment) {
    wire::OutboundSegment out = segment;
    out.header.source = options_.address;
    std::vector<uint8_t> frame(2048);
    frame.resize(wire::write_tcp(frame, {options_.mac, options_.gateway, 0}, out, {}));
    if (frame.empty()) violations_.push_back("a segment does not fit into a frame");
    outgoing_.push_back(std::move(frame));
}

std::optional<TimeUs> Host::next_deadline(TimeUs now) {
    now_ = now;
    std::optional<TimeUs> next;
    const auto consider = [&](TimeUs at) { next = next ? std::min(*next, at) : at; };
    if (!outgoing_.empty()) consider(now);
    for (Socket& socket : sockets_) {
        if (!socket.in_use) continue;
        if (socket.dirty) consider(std::max(now, retry_at_));
        if (const auto deadline = tcp::next_deadline(context(), endpoint(socket))) consider(*deadline);
    }
    if (half_open_.size() > 0) consider(std::max(now, half_open_poll_at_));
    return next;
}

void Host::poll(TimeUs now, const FrameSink& send) {
    now_ = now;
    for (SocketId id = 0; id < sockets_.size(); ++id) {
        if (!sockets_[id].in_use) continue;
        const tcp::Events events = tcp::on_deadline(context(), endpoint(sockets_[id]));
        if (events.ended()) {
            on_events(id, events);
            continue;
        }
        flush(id);
    }
    if (half_open_.size() > 0 && now >= half_open_poll_at_) {
        half_open_poll_at_ = now + half_open_poll_us;
        half_open_.poll(context(), half_open_.capacity(), 16,
                        [&](const wire::OutboundSegment& segment) { transmit(segment); });
    }
    std::vector<std::vector<uint8_t>> frames;
    frames.swap(outgoing_);
    for (const auto& frame : frames) send(frame);
}

void Host::expect(bool holds, SocketId id, const char* what) {
    if (holds || violations_.size() > 20) return;
    violations_.push_back("at " + std::to_string(now_) + " µs, socket " + std::to_string(id) + ": not so: " + what);
}

/// What a peer may rely on: nothing beyond its window, no shrinking of ours (but for the rounding of the scale).
void Host::check_outgoing(Socket& socket, const wire::OutboundSegment& segment) {
    const SocketId id = static_cast<SocketId>(&socket - sockets_.data());
    const wire::TcpSegment& header = segment.header;
    if (header.has(wire::tcp_syn) || header.has(wire::tcp_rst) || !socket.edges_known) return;
    const uint32_t length = segment.payload_length + (header.has(wire::tcp_fin) ? 1u : 0u);
    expect(segment.payload_length <= socket.hot.mss, id, "payload <= mss");
    expect(Seq{header.seq} + length <= socket.peer_edge, id, "nothing is sent beyond the peer's window");
    expect(Seq{header.ack} == socket.hot.rcv_nxt, id, "every segment carries rcv_nxt");
    const uint32_t rounding = (1u << socket.hot.receive_scale()) - 1;
    const Seq edge = Seq{header.ack} + (uint32_t{header.window} << socket.hot.receive_scale());
    expect(edge + rounding >= socket.edge_shown, id, "the advertised right edge never goes back");
    expect(edge <= socket.hot.rcv_adv, id, "rcv_adv covers what was advertised");
    socket.edge_shown = max(socket.edge_shown, edge);
}

void Host::check(TimeUs now) {
    now_ = now;
    uint64_t chunk_bytes = 0;
    for (SocketId id = 0; id < sockets_.size(); ++id)
        if (sockets_[id].in_use) check_socket(id, sockets_[id], chunk_bytes);
    if (chunk_bytes != chunks_.bytes_in_use() && violations_.size() < 20)
        violations_.push_back("chunks in use: " + std::to_string(chunks_.bytes_in_use()) + " B, sockets hold " +
                              std::to_string(chunk_bytes) + " B");
}

void Host::check_socket(SocketId id, Socket& socket, uint64_t& chunk_bytes) {
    const tcp::EndpointHot& hot = socket.hot;
    check_send_queue(id, socket, chunk_bytes);
    expect(hot.snd_una <= hot.snd_nxt, id, "snd_una <= snd_nxt");
    if (tcp::syn_unacknowledged(hot)) return;
    expect(hot.snd_nxt <= send_queue_end(endpoint(socket)) + (hot.has(tcp::flag_fin_sent) ? 1 : 0), id,
           "snd_nxt <= end of the queue");
    expect(socket.last_una <= hot.snd_una, id, "snd_una never goes back");
    expect(socket.last_rcv_nxt <= hot.rcv_nxt, id, "rcv_nxt never goes back");
    expect(socket.last_rcv_adv <= hot.rcv_adv, id, "rcv_adv never goes back");
    expect(hot.rcv_nxt <= hot.rcv_adv, id, "rcv_nxt <= rcv_adv");
    socket.last_una = hot.snd_una;
    socket.last_rcv_nxt = hot.rcv_nxt;
    socket.last_rcv_adv = hot.rcv_adv;
    const tcp::Extension* extension = tcp::extension(context(), endpoint(socket));
    if (extension == nullptr) {
        expect(!hot.has(tcp::flag_fast_recovery) && !hot.has(tcp::flag_rto_recovery), id, "recovery has its state");
        return;
    }
    chunk_bytes += class_bytes(chunks_, socket.warm.extension);
    Seq previous = hot.rcv_nxt;
    uint32_t count = 0;
    for (store::ChunkId at = extension->reassembly; at != store::no_chunk; at = chunks_.header(at).next, ++count) {
        const store::ChunkHeader& header = chunks_.header(at);
        const Seq end = Seq{header.seq} + header.length;
        // A consumer that refused bytes may leave the first chunk partly delivered.
        expect(Seq{header.seq} >= previous || (count == 0 && end > previous), id, "reassembly is ascending, disjoint");
        expect(end <= hot.rcv_adv, id, "reassembly stays within the window");
        previous = end;
        chunk_bytes += class_bytes(chunks_, at);
    }
    expect(count == extension->reassembly_chunks, id, "reassembly_chunks counts the list");
}

void Host::check_send_queue(SocketId id, Socket& socket, uint64_t& chunk_bytes) {
    const tcp::EndpointHot& hot = socket.hot;
    const tcp::Endpoint ep = endpoint(socket);
    if (hot.send_tail == store::no_chunk) {
        expect(socket.warm.queued == 0, id, "no chunk, no bytes queued");
        return;
    }
    const Seq first = hot.snd_una + (tcp::syn_unacknowledged(hot) ? 1 : 0);
    store::ChunkId at = chunks_.header(hot.send_tail).next;
    Seq next{chunks_.header(at).seq};
    expect(next <= first && first < next + chunks_.header(at).length, id, "the head chunk holds snd_una");
    bool cursor_seen = false;
    while (true) {
        const store::ChunkHeader& header = chunks_.header(at);
        expect(Seq{header.seq} == next, id, "the send queue has no gap");
        next += header.length;
        cursor_seen |= at == hot.send_cursor && Seq{header.seq} <= hot.snd_nxt && hot.snd_nxt < next;
        chunk_bytes += class_bytes(chunks_, at);
        if (at == hot.send_tail) break;
        at = header.next;
    }
    expect(next == send_queue_end(ep), id, "`queued` counts the send queue");
    const bool unsent = !tcp::syn_unacknowledged(hot) && hot.snd_nxt < next;
    expect(!unsent || cursor_seen, id, "send_cursor holds snd_nxt");
}

}  // namespace millrace::sim
