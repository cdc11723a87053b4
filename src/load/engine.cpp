#include "load/engine.h"

#include <algorithm>
#include <cstring>

#include "dataplane/tcp/close.h"
#include "dataplane/tcp/receiver.h"
#include "dataplane/tcp/sender.h"
#include "dataplane/wire/ethernet.h"

namespace millrace::load {
namespace {

constexpr size_t burst_max = 64;
constexpr uint32_t window_bytes = 4u << 20;

}  // namespace

void Engine::Arrived::clear() {
    upgraded = broken = plain = close = tls_begins = tls_failed = false;
    tls_output.clear();
    messages.clear();
    pongs.clear();
}

Engine::Engine(const Settings& settings, const config::RuntimeConfig& config, net::FrameSink& sink,
               std::vector<MacAddress> macs, Tables& tables, Observer& observer)
    : config_(config),
      tables_(tables),
      observer_(observer),
      ip_(sink, macs, 16384),
      macs_(std::move(macs)),
      targets_(settings.targets),
      server_port_low_(settings.server_port_low),
      server_port_high_(settings.server_port_high),
      random_state_(mix(settings.seed) | 1),
      scratch_(size_t{settings.sizes.largest()} + ws::frame_header_bytes_max + 128) {
    if (settings.client)
        for (const IpAddress& address : settings.clients.addresses) client_ids_.push_back(config.local_id(address));
    tcp_options_.mss_v4 = static_cast<uint16_t>(settings.mtu - 40);
    tcp_options_.mss_v6 = static_cast<uint16_t>(settings.mtu - 60);
    tcp_options_.receive_window_max_bytes = window_bytes;
    tcp_options_.restart_after_idle = false;
    tcp_options_.syn_retries = 4;
    ip_.set_config(config, true);
    if (settings.client && settings.tls) tls_ = std::make_unique<TlsUnit>(*settings.tls, targets_.size());
    write_request_template(settings);
}

std::optional<Ref> Engine::find(uint32_t hash, const wire::TcpSegment& segment) {
    const std::span<const config::LocalAddress> locals = config_.local_addresses();
    const auto value = tables_.flows.find(hash, [&](uint32_t candidate) {
        const tcp::EndpointHot& hot = tables_.at({candidate}).hot;
        return hot.peer_port == segment.source_port && hot.local_port == segment.destination_port &&
               hot.peer == segment.source && locals[hot.local_id].address == segment.destination;
    });
    return value ? std::optional(Ref{*value}) : std::nullopt;
}

/// Three passes: each brings near what the next one looks at.
void Engine::receive(std::span<const net::InboundFrame> frames, TimeUs now) {
    now_ = now;
    path_peer_ = {};
    std::array<uint32_t, burst_max> hashes;
    for (; !frames.empty(); frames = frames.subspan(std::min(frames.size(), burst_max))) {
        const auto burst = frames.first(std::min(frames.size(), burst_max));
        for (size_t i = 0; i < burst.size(); ++i) {
            const auto key = wire::peek_flow(burst[i].bytes, 0);
            hashes[i] = 0;
            if (!key || !key->is_tcp) continue;
            hashes[i] = tables_.flow_hash(key->source, key->destination, key->source_port, key->destination_port);
            tables_.flows.prefetch(hashes[i]);
        }
        for (size_t i = 0; i < burst.size(); ++i) {
            const auto value = tables_.flows.find(hashes[i], [](uint32_t) { return true; });
            if (value) tables_.pool(Ref{*value}.role()).prefetch(Ref{*value}.index());
        }
        for (size_t i = 0; i < burst.size(); ++i) on_frame(burst[i], hashes[i]);
    }
}

void Engine::on_frame(const net::InboundFrame& frame, uint32_t hash) {
    const wire::ParseOptions options{.ip_checksum_verified = frame.ip_checksum_verified,
                                     .tcp_checksum_verified = frame.tcp_checksum_verified};
    const wire::FrameKind kind = wire::parse_frame(frame.bytes, options, parsed_);
    if (kind == wire::FrameKind::dropped) return;
    if (parsed_.destination_mac != macs_[frame.interface] && !wire::is_group(parsed_.destination_mac)) return;
    if (kind != wire::FrameKind::tcp) {
        ip_.on_frame(frame, parsed_, now_);
        path_peer_ = {};
        return;
    }
    ip_.note_sender(frame.interface, parsed_);
    on_segment(parsed_.tcp, hash);
}

void Engine::on_segment(const wire::TcpSegment& segment, uint32_t hash) {
    if (const std::optional<Ref> ref = find(hash, segment)) return segment_for(*ref, segment);
    const uint16_t local_id = config_.local_id(segment.destination);
    if (local_id != no_slot) segment_for_nobody(segment, local_id);
}

void Engine::segment_for(Ref ref, const wire::TcpSegment& segment) {
    Connection& connection = at(ref);
    arrived_.clear();
    const tcp::Events events =
        tcp::receive(context(), connection.endpoint(), segment, [&](std::span<const uint8_t> bytes) {
            if (has_tls(ref))
                consume_tls(ref, bytes);
            else
                consume(connection, ref.role(), bytes);
            return bytes.size();
        });
    if (events.has(tcp::event_established) && ref.role() == Role::client) {
        if (has_tls(ref))
            begin_handshake(ref);
        else
            begin_upgrade(ref);
    }
    if (events.consumed != 0) act(ref);
    on_events(ref, events);
    mark_ready(ref);
}

void Engine::consume(Connection& connection, Role role, std::span<const uint8_t> bytes) {
    if (connection.phase == Phase::upgrading) bytes = bytes.subspan(take_head(connection, role, bytes));
    if (connection.phase == Phase::open && !bytes.empty() && !arrived_.broken) read(connection, role, bytes);
}

/// Keeps the reader's state in a chunk while a part of a frame has come.
void Engine::read(Connection& connection, Role role, std::span<const uint8_t> bytes) {
    ReaderState fresh{};
    ReaderState* state = &fresh;
    if (connection.partial != store::no_chunk)
        state = reinterpret_cast<ReaderState*>(tables_.chunks.capacity(connection.partial).data());
    const bool readable = read_frames(*state, bytes, role == Role::server, [&](const ReadFrame& frame) {
        if (frame.kind == ReadFrame::Kind::message) {
            arrived_.messages.push_back(frame.message);
        } else if (frame.kind == ReadFrame::Kind::corrupted) {
            ledger_.note_corrupted();
            ++connection.received;
        } else if (frame.opcode == ws::Opcode::close) {
            arrived_.close = true;
        } else if (frame.opcode == ws::Opcode::ping) {
            Pong& pong = arrived_.pongs.emplace_back();
            pong.length = static_cast<uint8_t>(frame.payload.size());
            std::ranges::copy(frame.payload, pong.payload.begin());
        }
    });
    if (!readable) {
        ledger_.note_corrupted();
        arrived_.broken = true;
    } else if (at_boundary(*state)) {
        if (connection.partial != store::no_chunk) tables_.chunks.free(connection.partial);
        connection.partial = store::no_chunk;
    } else if (state == &fresh) {
        connection.partial = tables_.chunks.allocate(sizeof(ReaderState));
        if (connection.partial == store::no_chunk)
            arrived_.broken = true;
        else
            std::memcpy(tables_.chunks.capacity(connection.partial).data(), &fresh, sizeof fresh);
    }
}

/// What the segment brought, now that TCP is done with it.
void Engine::act(Ref ref) {
    if (has_tls(ref)) act_on_handshake(ref);
    act_on_messages(ref);
    if (has_tls(ref)) act_on_verdict(ref);
}

void Engine::act_on_messages(Ref ref) {
    Connection& connection = at(ref);
    if (arrived_.plain) {
        static constexpr char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        tcp::send(context(), connection.endpoint(), {reinterpret_cast<const uint8_t*>(answer), sizeof answer - 1});
        tell_end(ref, End::peer_closed);
        tcp::shutdown_send(context(), connection.endpoint());
        return;
    }
    if (arrived_.broken) {
        tell_end(ref, End::bad_answer);
        return abort(ref);
    }
    if (arrived_.upgraded) {
        if (ref.role() == Role::server) send_answer(ref);
        observer_.on_upgraded(ref);
    }
    for (const Message& message : arrived_.messages) {
        if (!ledger_.note_received(connection, ref.role(), message)) continue;
        if (message.kind() == Kind::request) send(ref, Kind::reply, message.length, message.sent_us, message.token);
        observer_.on_message(ref, message);
    }
    for (const Pong& pong : arrived_.pongs)
        send_frame(ref, ws::Opcode::pong, std::span(pong.payload).first(pong.length));
    if (arrived_.close && connection.phase == Phase::open) {
        send_frame(ref, ws::Opcode::close, {});
        tell_end(ref, End::peer_closed);
        finish_sending(ref);
    }
}

bool Engine::send(Ref ref, Kind kind, uint32_t length, TimeUs sent_us, uint64_t token) {
    Connection& connection = at(ref);
    // All of it or nothing: half a message can't be taken back.
    const bool room = tables_.chunks.bytes_free() > 4 * uint64_t{length} + (1u << 20);
    if (connection.phase != Phase::open || !room) return false;
    if (scratch_.size() < length + ws::frame_header_bytes_max) scratch_.resize(length + ws::frame_header_bytes_max);
    Message message{.magic_and_kind = 0,
                    .id = connection.id,
                    .sequence = connection.sent,
                    .length = length,
                    .sent_us = sent_us,
                    .token = token,
                    .check = 0};
    seal(message, kind);
    ws::MaskingKey mask;
    std::memcpy(mask.bytes, &message.check, sizeof mask.bytes);
    const size_t bytes = write_message(message, ref.role() == Role::client ? &mask : nullptr, scratch_);
    if (send_bytes(ref, std::span(scratch_).first(bytes)) != bytes) return false;
    ++connection.sent;
    ledger_.note_sent();
    mark_ready(ref);
    return true;
}

/// Returns how many were taken: all, unless memory is short.
size_t Engine::send_bytes(Ref ref, std::span<const uint8_t> bytes) {
    if (has_tls(ref)) return send_records(ref, bytes);
    return tcp::send(context(), at(ref).endpoint(), bytes);
}

void Engine::send_frame(Ref ref, ws::Opcode opcode, std::span<const uint8_t> payload) {
    constexpr ws::MaskingKey mask{{0x5a, 0xc3, 0x96, 0x69}};
    const bool masked = ref.role() == Role::client;
    const size_t header = ws::write_frame_header(opcode, true, payload.size(), masked ? &mask : nullptr,
                                                 std::span(scratch_).first<ws::frame_header_bytes_max>());
    std::ranges::copy(payload, scratch_.begin() + static_cast<std::ptrdiff_t>(header));
    const std::span<uint8_t> frame = std::span(scratch_).first(header + payload.size());
    if (masked) ws::apply_mask(mask, 0, frame.subspan(header));
    send_bytes(ref, frame);
}

}  // namespace millrace::load
