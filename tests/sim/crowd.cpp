#include "tests/sim/crowd.h"

#include <cstdlib>
#include <sys/mman.h>
#include <utility>

#include "dataplane/tcp/close.h"
#include "dataplane/tcp/receiver.h"
#include "dataplane/tcp/sender.h"
#include "dataplane/tcp/setup.h"
#include "dataplane/tcp/timers.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/write.h"

namespace millrace::sim {
namespace {

constexpr size_t arena_bytes = 256 << 20;  // untouched, it costs nothing
constexpr size_t half_open_max = 4096, time_wait_max = 32768;
constexpr uint32_t receive_space = 65535;
constexpr uint32_t segments_per_flush = 64;
constexpr TimeUs half_open_poll_us = 100'000;

std::byte* map_arena() {
    void* memory = mmap(nullptr, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    return static_cast<std::byte*>(memory);
}

}  // namespace

Crowd::Crowd(const MacAddress& mac, const IpAddress& address, const MacAddress& gateway, uint64_t seed,
             Conduct& conduct)
    : mac_(mac),
      gateway_(gateway),
      address_(address),
      conduct_(conduct),
      arena_(map_arena(), [](std::byte* memory) { munmap(memory, arena_bytes); }),
      chunks_(store::ChunkStore::format({arena_.get(), arena_bytes})),
      half_open_memory_(half_open_max),
      time_wait_memory_(time_wait_max),
      half_open_(half_open_memory_),
      time_wait_(time_wait_memory_) {
    Random random(seed);
    secrets_ = {{random.next(), random.next()},
                {random.next(), random.next()},
                {random.next(), random.next()},
                {random.next(), random.next()}};
}

/// All peers are IPv4 of one /24.
uint64_t Crowd::flow(const IpAddress& peer, uint16_t peer_port, uint16_t local_port) {
    return uint64_t{peer.bytes[15]} << 32 | uint64_t{peer_port} << 16 | local_port;
}

SocketId Crowd::new_socket() {
    sockets_.emplace_back();
    return sockets_.size() - 1;
}

void Crowd::enter(SocketId id) {
    const tcp::EndpointHot& hot = sockets_[id].hot;
    flows_[flow(hot.peer, hot.peer_port, hot.local_port)] = id;
    touch(id);
}

void Crowd::leave(SocketId id) {
    const tcp::EndpointHot& hot = sockets_[id].hot;
    flows_.erase(flow(hot.peer, hot.peer_port, hot.local_port));
    sockets_[id].in_use = false;
}

/// It is to be flushed in the next poll.
void Crowd::touch(SocketId id) {
    if (!std::exchange(sockets_[id].dirty, true)) dirty_.push_back(id);
}

SocketId Crowd::connect(const IpAddress& peer, uint16_t port) {
    const SocketId id = new_socket();
    const tcp::Tuple tuple{address_, peer, next_port_++, port};
    tcp::open_active(context(), endpoint(sockets_[id]), tuple, 0, time_wait_.take(context(), tuple));
    enter(id);
    return id;
}

void Crowd::send(SocketId id, std::string_view bytes) {
    if (!sockets_[id].in_use || bytes.empty()) return;
    const std::span<const uint8_t> all(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    if (tcp::send(context(), endpoint(sockets_[id]), all) != all.size()) trouble_ = "no memory to send from";
    touch(id);
}

void Crowd::shutdown(SocketId id) {
    if (!sockets_[id].in_use) return;
    tcp::shutdown_send(context(), endpoint(sockets_[id]));
    touch(id);
}

void Crowd::abort(SocketId id) {
    if (!sockets_[id].in_use) return;
    if (const auto reset = tcp::abort(context(), endpoint(sockets_[id]))) transmit(*reset);
    leave(id);
}

void Crowd::at(TimeUs time, std::function<void()> act) {
    acts_.push({time, order_++, std::move(act)});
}

void Crowd::receive(std::span<const uint8_t> frame, TimeUs now) {
    now_ = now;
    wire::ParsedFrame parsed;
    switch (wire::parse_frame(frame, {}, parsed)) {
        case wire::FrameKind::tcp:
            if (parsed.tcp.destination == address_) on_segment(parsed.tcp);
            break;
        case wire::FrameKind::arp:
            if (parsed.arp.is_request && parsed.arp.target == address_) {
                std::vector<uint8_t> out(64);
                const wire::ArpPacket reply{.is_request = false,
                                            .sender_mac = mac_,
                                            .sender = address_,
                                            .target_mac = parsed.arp.sender_mac,
                                            .target = parsed.arp.sender};
                out.resize(wire::write_arp(out, {mac_, parsed.arp.sender_mac, 0}, reply));
                outgoing_.push_back(std::move(out));
            }
            break;
        default:
            break;
    }
}

void Crowd::on_segment(const wire::TcpSegment& segment) {
    const auto known = flows_.find(flow(segment.source, segment.source_port, segment.destination_port));
    if (known != flows_.end())
        on_socket_segment(known->second, segment);
    else
        on_unknown(segment);
}

void Crowd::on_unknown(const wire::TcpSegment& segment) {
    using Half = tcp::HalfOpenTable::Verdict;
    using Waiting = tcp::TimeWaitTable::Verdict;
    wire::OutboundSegment reply;
    if (tcp::HalfOpen* entry = half_open_.find(context(), segment)) {
        const Half verdict = half_open_.on_segment(context(), *entry, segment, reply);
        if (verdict == Half::reply) transmit(reply);
        if (verdict != Half::complete) return;
        const tcp::HalfOpen agreed = *entry;
        half_open_.remove(*entry);
        return establish(agreed, segment);
    }
    const auto answer = time_wait_.on_segment(context(), segment, 0, reply);
    if (answer.verdict == Waiting::reply) transmit(reply);
    const bool reuse = answer.verdict == Waiting::reuse;
    if (answer.verdict != Waiting::unknown && !reuse) return;
    const bool ours = listening_ == segment.destination_port;
    const uint8_t kind = segment.flags & (wire::tcp_syn | wire::tcp_ack | wire::tcp_rst);
    if (ours && kind == wire::tcp_syn) {
        const auto iss = reuse ? std::optional<tcp::Seq>(answer.iss) : std::nullopt;
        if (const auto syn_ack = half_open_.on_syn(context(), segment, 0, iss)) transmit(*syn_ack);
        return;
    }
    if (const auto reset = tcp::reset_for_unknown(segment, 0)) transmit(*reset);
}

void Crowd::establish(const tcp::HalfOpen& entry, const wire::TcpSegment& segment) {
    const SocketId id = new_socket();
    tcp::establish_passive(context(), entry, endpoint(sockets_[id]));
    enter(id);
    on_socket_segment(id, segment);
}

void Crowd::on_socket_segment(SocketId id, const wire::TcpSegment& segment) {
    got_.clear();
    const auto consume = [&](std::span<const uint8_t> bytes) {
        got_.insert(got_.end(), bytes.begin(), bytes.end());
        return bytes.size();
    };
    const tcp::Events events = tcp::receive(context(), endpoint(sockets_[id]), segment, consume);
    touch(id);
    on_events(id, events);
}

void Crowd::on_events(SocketId id, const tcp::Events& events) {
    if (events.has(tcp::event_established)) conduct_.on_open(id);
    if (events.has(tcp::event_data)) conduct_.on_data(id, std::exchange(got_, {}));
    if (events.has(tcp::event_peer_fin) && sockets_[id].in_use) conduct_.on_fin(id);
    if (!sockets_[id].in_use) return;  // the conduct has aborted it
    if (events.has(tcp::event_time_wait)) {
        flush(id, 1);  // the ACK of the FIN
        time_wait_.insert(context(), endpoint(sockets_[id]), address_);
        end(id, End::closed);
    }
    if (events.has(tcp::event_closed)) end(id, End::closed);
    if (events.has(tcp::event_reset)) end(id, End::reset);
    if (events.has(tcp::event_refused)) end(id, End::refused);
    if (events.has(tcp::event_timed_out)) end(id, End::timed_out);
}

void Crowd::end(SocketId id, End how) {
    leave(id);
    tcp::release(context(), endpoint(sockets_[id]));
    conduct_.on_end(id, how);
}

void Crowd::flush(SocketId id, uint32_t credit) {
    Socket& socket = sockets_[id];
    const auto emit = [&](const wire::OutboundSegment& segment) { transmit(segment); };
    if (tcp::flush(context(), endpoint(socket), receive_space, credit, emit).wants_credit) touch(id);
    const std::optional<TimeUs> deadline = tcp::next_deadline(context(), endpoint(socket));
    if (deadline && *deadline != socket.deadline) timers_.push({*deadline, id});
    socket.deadline = deadline.value_or(0);
}

void Crowd::transmit(const wire::OutboundSegment& segment) {
    wire::OutboundSegment out = segment;
    out.header.source = address_;
    std::vector<uint8_t> frame(2048);
    frame.resize(wire::write_tcp(frame, {mac_, gateway_, 0}, out, {}));
    if (frame.empty()) trouble_ = "a segment does not fit into a frame";
    outgoing_.push_back(std::move(frame));
}

std::optional<TimeUs> Crowd::next_deadline(TimeUs now) {
    if (!outgoing_.empty() || !dirty_.empty()) return now;
    while (!timers_.empty() &&
           (!sockets_[timers_.top().second].in_use || sockets_[timers_.top().second].deadline != timers_.top().first))
        timers_.pop();
    TimeUs next = UINT64_MAX;
    if (!timers_.empty()) next = std::min(next, timers_.top().first);
    if (!acts_.empty()) next = std::min(next, acts_.top().at);
    if (half_open_.size() > 0) next = std::min(next, half_open_poll_at_);
    return next == UINT64_MAX ? std::nullopt : std::optional(next);
}

void Crowd::poll(TimeUs now, const FrameSink& send) {
    now_ = now;
    for (; !acts_.empty() && acts_.top().at <= now;) {
        const std::function<void()> act = acts_.top().act;
        acts_.pop();
        act();
    }
    for (; !timers_.empty() && timers_.top().first <= now; timers_.pop()) {
        const auto [at, id] = timers_.top();
        Socket& socket = sockets_[id];
        if (!socket.in_use || socket.deadline != at) continue;
        socket.deadline = 0;
        const tcp::Events events = tcp::on_deadline(context(), endpoint(socket));
        touch(id);
        if (events.ended()) on_events(id, events);
    }
    for (const SocketId id : std::exchange(dirty_, {})) {
        sockets_[id].dirty = false;
        if (sockets_[id].in_use) flush(id, segments_per_flush);
    }
    if (half_open_.size() > 0 && now >= half_open_poll_at_) {
        half_open_poll_at_ = now + half_open_poll_us;
        half_open_.poll(context(), half_open_.capacity(), segments_per_flush,
                        [&](const wire::OutboundSegment& segment) { transmit(segment); });
    }
    for (const auto& frame : std::exchange(outgoing_, {})) send(frame);
}

}  // namespace millrace::sim
