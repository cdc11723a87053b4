#include "tests/tools/segment_script/host.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "dataplane/tcp/close.h"
#include "dataplane/tcp/keepalive.h"
#include "dataplane/tcp/path_mtu.h"
#include "dataplane/tcp/receiver.h"
#include "dataplane/tcp/sender.h"
#include "dataplane/tcp/setup.h"
#include "dataplane/tcp/timers.h"
#include "dataplane/wire/write.h"

namespace millrace::script {
namespace {

using tcp::Seq;

constexpr size_t arena_bytes = 64 * store::ChunkStore::slab_bytes;
constexpr size_t table_entries = 64;
/// The dataplane looks at its half-open table every 100 ms or so; here oftener, so that scripts can state times.
constexpr TimeUs half_open_poll_us = 1000;
constexpr TimeUs keepalive_poll_us = 1000;  // likewise: there every ten seconds
constexpr uint32_t idle_rounds_max = 1000;
constexpr tcp::Secrets script_secrets{{1, 2}, {3, 4}, {5, 6}, {7, 8}};

std::byte* allocate_arena() {
    void* memory = std::aligned_alloc(store::ChunkStore::slab_bytes, arena_bytes);
    std::memset(memory, 0, arena_bytes);
    return static_cast<std::byte*>(memory);
}

}  // namespace

Host::Host(const HostSettings& settings)
    : settings_(settings),
      arena_(allocate_arena(), std::free),
      chunks_(store::ChunkStore::format({arena_.get(), arena_bytes})),
      secrets_(script_secrets),
      half_open_memory_(table_entries),
      time_wait_memory_(table_entries),
      half_open_(half_open_memory_),
      time_wait_(time_wait_memory_),
      now_(settings.start) {}

tcp::Tuple Host::tuple(uint16_t local_port, uint16_t remote_port) const {
    return {settings_.local, settings_.remote, local_port, remote_port};
}

ConnectionPtr Host::find(uint16_t local_port, uint16_t remote_port) {
    for (const ConnectionPtr& connection : connections_)
        if (connection->live && connection->hot.local_port == local_port && connection->hot.peer_port == remote_port)
            return connection;
    return nullptr;
}

bool Host::knows(uint16_t local_port, uint16_t remote_port) {
    wire::TcpSegment probe;
    probe.source = settings_.remote;
    probe.destination = settings_.local;
    probe.source_port = remote_port;
    probe.destination_port = local_port;
    return find(local_port, remote_port) != nullptr || half_open_.find(context(), probe) != nullptr;
}

ConnectionPtr Host::add_connection() {
    std::erase_if(connections_, [](const ConnectionPtr& connection) { return !connection->live; });
    ConnectionPtr connection = std::make_shared<Connection>();
    connection->receive_buffer_bytes = settings_.tcp.receive_window_bytes;
    connections_.push_back(connection);
    return connection;
}

// ---- the wire

void Host::receive(std::span<const uint8_t> frame) {
    wire::ParsedFrame parsed;
    const wire::FrameKind kind = wire::parse_frame(frame, {}, parsed);
    if (kind == wire::FrameKind::tcp) on_segment(parsed.tcp);
    if (kind == wire::FrameKind::icmp_error && parsed.error.embedded_is_tcp) on_icmp_error(parsed.error);
}

void Host::on_icmp_error(const wire::IcmpError& error) {
    const ConnectionPtr connection = find(error.embedded_source_port, error.embedded_destination_port);
    if (connection == nullptr || error.destination != error.embedded_source) return;
    const tcp::State before = connection->hot.state;
    on_events(*connection, tcp::on_icmp_error(context(), connection->endpoint(), tcp::icmp_report(error)), before);
}

void Host::on_segment(const wire::TcpSegment& segment) {
    if (const ConnectionPtr connection = find(segment.destination_port, segment.source_port))
        on_connection_segment(*connection, segment);
    else
        on_segment_without_connection(segment);
}

void Host::on_segment_without_connection(const wire::TcpSegment& segment) {
    wire::OutboundSegment reply;
    if (tcp::HalfOpen* entry = half_open_.find(context(), segment)) {
        const auto verdict = half_open_.on_segment(context(), *entry, segment, reply);
        if (verdict == tcp::HalfOpenTable::Verdict::reply) transmit(reply);
        if (verdict != tcp::HalfOpenTable::Verdict::complete) return;
        const tcp::HalfOpen agreed = *entry;
        half_open_.remove(*entry);
        establish(agreed, segment);
        return;
    }
    const auto answer = time_wait_.on_segment(context(), segment, 0, reply);
    if (answer.verdict == tcp::TimeWaitTable::Verdict::reply) transmit(reply);
    const bool reuse = answer.verdict == tcp::TimeWaitTable::Verdict::reuse;
    if (answer.verdict != tcp::TimeWaitTable::Verdict::unknown && !reuse) return;
    const uint8_t kind = segment.flags & (wire::tcp_syn | wire::tcp_ack | wire::tcp_rst);
    if (kind == wire::tcp_syn && listening_.contains(segment.destination_port)) {
        const auto iss = reuse ? std::optional<Seq>(answer.iss) : std::nullopt;
        if (half_open_.size() == 0) half_open_poll_at_ = now_ + half_open_poll_us;
        if (const auto syn_ack = half_open_.on_syn(context(), segment, 0, iss)) transmit(*syn_ack);
        return;
    }
    if (listening_.contains(segment.destination_port)) {
        tcp::HalfOpen agreed;
        const auto verdict = half_open_.on_cookie_ack(context(), segment, 0, agreed);
        if (verdict == tcp::HalfOpenTable::Verdict::complete) establish(agreed, segment);
        if (verdict != tcp::HalfOpenTable::Verdict::unknown) return;
    }
    if (const auto reset = tcp::reset_for_unknown(segment, 0)) transmit(*reset);
}

void Host::establish(const tcp::HalfOpen& agreed, const wire::TcpSegment& segment) {
    const ConnectionPtr connection = add_connection();
    tcp::establish_passive(context(), agreed, connection->endpoint());
    connection->iss = agreed.iss;
    connection->accepted_on = agreed.local_port;
    on_connection_segment(*connection, segment);
}

void Host::on_connection_segment(Connection& connection, const wire::TcpSegment& segment) {
    bool after_close = false;
    const auto consume = [&](std::span<const uint8_t> bytes) -> size_t {
        after_close |= connection.orphan;
        const size_t taken = connection.orphan ? 0 : std::min<size_t>(bytes.size(), receive_space(connection));
        for (size_t i = 0; i < taken; ++i) {
            if (bytes[i] == stream_byte(connection.hot.rcv_nxt.value + static_cast<uint32_t>(i))) continue;
            violations_.push_back("a received byte is not the one that was sent");
            break;
        }
        connection.received.insert(connection.received.end(), bytes.begin(), bytes.begin() + static_cast<long>(taken));
        return taken;
    };
    const tcp::State before = connection.hot.state;
    const tcp::Events events = tcp::receive(context(), connection.endpoint(), segment, consume);
    if (after_close) {
        abort(connection);
        return;
    }
    on_events(connection, events, before);
}

void Host::on_events(Connection& connection, const tcp::Events& events, tcp::State before) {
    if (events.has(tcp::event_established)) {
        connection.established = true;
        if (connection.accepted_on != 0)
            for (const ConnectionPtr& candidate : connections_)
                if (candidate.get() == &connection) to_accept_.push_back(candidate);
    }
    if (events.has(tcp::event_peer_fin)) connection.peer_fin = true;
    if (!events.ended()) flush(connection);
    if (events.has(tcp::event_time_wait)) {
        time_wait_.insert(context(), connection.endpoint(), settings_.local);
        end(connection, "");
    }
    if (events.has(tcp::event_closed)) end(connection, "");
    if (events.has(tcp::event_reset)) end(connection, before == tcp::State::close_wait ? "EPIPE" : "ECONNRESET");
    if (events.has(tcp::event_refused)) end(connection, "ECONNREFUSED");
    if (events.has(tcp::event_timed_out)) end(connection, "ETIMEDOUT");
}

void Host::end(Connection& connection, const char* error) {
    tcp::release(context(), connection.endpoint());
    connection.live = false;
    connection.error = error;
}

uint32_t Host::receive_space(const Connection& connection) const {
    const size_t used = connection.received.size();
    return used < connection.receive_buffer_bytes ? static_cast<uint32_t>(connection.receive_buffer_bytes - used) : 0;
}

void Host::flush(Connection& connection) {
    const auto emit = [&](const wire::OutboundSegment& segment) {
        check_payload(connection, segment);
        transmit(segment);
    };
    tcp::flush(context(), connection.endpoint(), receive_space(connection), 1'000'000, emit);
}

void Host::check_payload(const Connection& connection, const wire::OutboundSegment& segment) {
    if (segment.payload_length == 0) return;
    size_t at = Seq{segment.header.seq} - (connection.iss + 1);
    for (uint8_t i = 0; i < segment.piece_count; ++i) {
        const auto& piece = segment.pieces[i];
        const bool same = at + piece.size() <= connection.written.size() &&
                          std::memcmp(connection.written.data() + at, piece.data(), piece.size()) == 0;
        if (!same) violations_.push_back("a segment carries bytes that were not written there");
        at += piece.size();
    }
}

void Host::transmit(const wire::OutboundSegment& segment) {
    wire::OutboundSegment out = segment;
    out.header.source = settings_.local;
    std::vector<uint8_t> frame(9000);
    frame.resize(wire::write_tcp(frame, {}, out, {}));
    auto packet = read_frame(frame);
    if (!packet) {
        violations_.push_back("the stack made a frame that is not sound");
        return;
    }
    sent_.push_back({now_, std::move(*packet)});
}

// ---- time

bool Host::run_next(TimeUs until) {
    std::optional<TimeUs> next;
    const auto consider = [&](TimeUs at) { next = next ? std::min(*next, at) : at; };
    for (const ConnectionPtr& connection : connections_) {
        if (!connection->live) continue;
        if (const auto deadline = tcp::next_deadline(context(), connection->endpoint())) consider(*deadline);
    }
    if (half_open_.size() > 0) consider(half_open_poll_at_);
    const bool keepalive = std::any_of(connections_.begin(), connections_.end(), [](const ConnectionPtr& connection) {
        return connection->live && connection->keepalive.idle_s != 0;
    });
    if (keepalive) consider(keepalive_poll_at_);
    if (!next || *next > until) {
        now_ = std::max(now_, until);
        return false;
    }
    const size_t sent_before = sent_.size();
    const bool moved = *next > now_;
    now_ = std::max(now_, *next);
    const std::vector<ConnectionPtr> connections = connections_;
    for (const ConnectionPtr& connection : connections) {
        if (!connection->live) continue;
        const tcp::State before = connection->hot.state;
        on_events(*connection, tcp::on_deadline(context(), connection->endpoint()), before);
    }
    if (half_open_.size() > 0 && now_ >= half_open_poll_at_) {
        half_open_poll_at_ = now_ + half_open_poll_us;
        half_open_.poll(context(), half_open_.capacity(), 1000,
                        [&](const wire::OutboundSegment& segment) { transmit(segment); });
    }
    if (keepalive && now_ >= keepalive_poll_at_) {
        keepalive_poll_at_ = now_ + keepalive_poll_us;
        for (const ConnectionPtr& connection : connections)
            if (connection->live) keep_alive(*connection);
    }
    idle_rounds_ = moved || sent_.size() != sent_before ? 0 : idle_rounds_ + 1;
    if (idle_rounds_ > idle_rounds_max) {
        violations_.push_back("a deadline that is due does not go away");
        now_ = std::max(now_, until);
        return false;
    }
    return true;
}

void Host::keep_alive(Connection& connection) {
    const tcp::KeepaliveStep step = tcp::keepalive_step(context(), connection.endpoint(), connection.keepalive);
    if (step == tcp::KeepaliveStep::probe) flush(connection);
    if (step != tcp::KeepaliveStep::dead) return;
    abort(connection);
    connection.error = "ETIMEDOUT";
}

// ---- what the application does

ConnectionPtr Host::accept(uint16_t port) {
    for (auto at = to_accept_.begin(); at != to_accept_.end(); ++at) {
        if ((*at)->accepted_on != port) continue;
        ConnectionPtr connection = *at;
        to_accept_.erase(at);
        return connection;
    }
    return nullptr;
}

ConnectionPtr Host::connect(uint16_t local_port, uint16_t remote_port) {
    if (knows(local_port, remote_port)) return nullptr;
    const tcp::Tuple name = tuple(local_port, remote_port);
    const ConnectionPtr connection = add_connection();
    tcp::open_active(context(), connection->endpoint(), name, 0, time_wait_.take(context(), name));
    connection->iss = connection->hot.snd_una;
    flush(*connection);
    return connection;
}

size_t Host::send(Connection& connection, std::string_view bytes) {
    const std::span<const uint8_t> data(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    const size_t taken = tcp::send(context(), connection.endpoint(), data);
    connection.written.append(bytes.substr(0, taken));
    flush(connection);
    return taken;
}

void Host::shutdown_send(Connection& connection) {
    if (!connection.live) return;
    tcp::shutdown_send(context(), connection.endpoint());
    flush(connection);
}

size_t Host::read(Connection& connection, size_t bytes, bool peek) {
    const size_t taken = std::min(bytes, connection.received.size());
    if (peek) return taken;
    connection.received.erase(connection.received.begin(), connection.received.begin() + static_cast<long>(taken));
    if (connection.live) flush(connection);
    return taken;
}

void Host::close(Connection& connection) {
    connection.orphan = true;
    if (!connection.live) return;
    if (!connection.received.empty() || connection.hot.state == tcp::State::syn_sent)
        abort(connection);
    else
        shutdown_send(connection);
}

void Host::abort(Connection& connection) {
    connection.orphan = true;
    if (!connection.live) return;
    if (const auto reset = tcp::abort(context(), connection.endpoint())) transmit(*reset);
    connection.live = false;
}

TimeUs clock_for_iss(const tcp::Tuple& tuple, uint32_t iss) {
    const uint32_t base = tcp::initial_sequence_number(script_secrets, tuple, 0).value;
    return (TimeUs{1} << 34) + TimeUs{iss - base} * 4;
}

}  // namespace millrace::script
