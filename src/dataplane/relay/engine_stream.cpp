// What control asks for through its request ring: listings, a page at a time, and streams: connections of the data path
// whose bytes control supplies and judges (health probes). Requests are hostile until checked.

#include <algorithm>
#include <cstring>

#include "dataplane/relay/engine.h"
#include "dataplane/tcp/close.h"
#include "dataplane/tcp/sender.h"

namespace millrace::relay {
namespace {

constexpr uint32_t requests_per_poll = 16;
constexpr size_t stream_piece_bytes = 4096;  // of one message to control
constexpr uint32_t list_scan_max = 4096;     // records looked at for one page, so that a page is bounded in time

template <typename Message>
bool read(Message& message, std::span<const std::byte> payload) {
    if (payload.size() < sizeof(Message)) return false;
    std::memcpy(&message, payload.data(), sizeof(Message));
    return true;
}

template <typename Message>
std::span<const std::byte> bytes_of(const Message& message) {
    return std::as_bytes(std::span(&message, 1));
}

}  // namespace

bool Engine::poll_commands() {
    MessageHeader header;
    uint32_t count = 0;
    for (; count < requests_per_poll && control_.next_request(header, command_); ++count) {
        const auto payload = std::span<const std::byte>(command_).first(header.length);
        ListConnections list;
        ShowTcp show;
        Ping ping;
        CaptureStart capture;
        CaptureStop capture_stop;
        StreamOpen open;
        StreamId stream;
        switch (static_cast<MessageType>(header.type)) {
            case MessageType::list_connections:
                if (read(list, payload)) on_list_connections(header.request_id, list);
                break;
            case MessageType::list_neighbours:
                on_list_neighbours(header.request_id);
                break;
            case MessageType::show_tcp:
                if (read(show, payload)) on_show_tcp(header.request_id, show);
                break;
            case MessageType::ping:
                if (read(ping, payload)) on_ping(header.request_id, ping);
                break;
            case MessageType::capture_start:
                if (read(capture, payload)) on_capture_start(header.request_id, capture);
                break;
            case MessageType::capture_stop:
                if (read(capture_stop, payload)) on_capture_stop(header.request_id, capture_stop);
                break;
            case MessageType::stream_open:
                if (read(open, payload)) on_stream_open(open);
                break;
            case MessageType::stream_send:
                if (read(stream, payload)) on_stream_send(stream.id, payload.subspan(sizeof stream));
                break;
            case MessageType::stream_close:
                if (read(stream, payload))
                    if (const auto r = find_stream(stream.id)) close_stream(*r, StreamEnd::by_control);
                break;
            default:
                break;
        }
    }
    return count != 0;
}

// A cursor is the shard's place in this worker's list and the next record, so that a page may end anywhere.
void Engine::on_list_connections(uint64_t request_id, const ListConnections& request) {
    size_t shard_at = request.cursor >> 32;
    auto index = static_cast<uint32_t>(request.cursor);
    ConnectionsPage page{};
    const uint32_t limit = std::clamp<uint32_t>(request.limit, 1, connections_page_max);
    uint32_t scanned = 0;
    while (shard_at < shards_.size() && page.count < limit && scanned < list_scan_max) {
        Shard& shard = *shards_[shard_at];
        if (index >= shard.relays.high_water()) {
            ++shard_at;
            index = 0;
            continue;
        }
        ++scanned;
        const uint32_t at = index++;
        if (!shard.relays.is_live(at)) continue;
        const Ref r = ref(shard, at);
        if (r.relay.phase == Phase::none || r.relay.phase == Phase::stream) continue;
        if (request.listener_slot != no_slot && request.listener_slot != r.relay.listener_slot) continue;
        if (request.server_slot != no_slot && request.server_slot != r.relay.server_slot) continue;
        const ConnectionRecord record = describe(r);
        std::memcpy(command_.data() + sizeof page + page.count++ * sizeof record, &record, sizeof record);
    }
    if (shard_at < shards_.size()) page.next_cursor = uint64_t{shard_at} << 32 | index;
    std::memcpy(command_.data(), &page, sizeof page);
    control_.reply(MessageType::connections, request_id,
                   std::span(command_).first(sizeof page + page.count * sizeof(ConnectionRecord)));
}

ConnectionRecord Engine::describe(Ref r) {
    const Relay& relay = r.relay;
    ConnectionRecord record{};
    record.connection_id = relay.connection_id;
    record.bytes_up = relay.bytes_up;
    record.bytes_down = relay.bytes_down;
    record.age_ms = relay.age_ms(now_);
    record.client = relay.client_hot.peer;
    record.client_port = relay.client_hot.peer_port;
    const auto locals = config_->local_addresses();
    record.listener_address = locals[relay.client_hot.local_id].address;
    record.listener_port = relay.client_hot.local_port;
    record.listener_slot = relay.listener_slot;
    record.server_slot = relay.server_slot;
    record.shard = static_cast<uint16_t>(r.shard.number);
    if (relay.has(flag_server_open)) {
        record.source = locals[relay.server_hot.local_id].address;
        record.source_port = relay.server_hot.local_port;
        record.server = relay.server_hot.peer;
        record.server_port = relay.server_hot.peer_port;
    }
    switch (relay.phase) {
        case Phase::tls_handshake:
            record.state = RelayState::tls_handshake;
            break;
        case Phase::reading_head:
            record.state = RelayState::reading_head;
            break;
        case Phase::connecting:
            record.state = RelayState::connecting;
            break;
        case Phase::awaiting_response:
            record.state = RelayState::upgrading;
            break;
        case Phase::relaying:
            record.state = RelayState::relaying;
            break;
        default:
            record.state = RelayState::closing;
            break;
    }
    record.client_rtt_us = relay.client_hot.srtt_us;
    record.server_rtt_us = relay.server_hot.srtt_us;
    const auto now_ms = static_cast<uint32_t>(now_ / us_per_ms);
    record.idle_ms = std::min(now_ms - relay.client_active_ms, now_ms - relay.server_active_ms);
    return record;
}

void Engine::on_list_neighbours(uint64_t request_id) {
    constexpr size_t room = (message_payload_max - sizeof(NeighboursPage)) / sizeof(NeighbourRecord);
    constexpr size_t most = std::min<size_t>(room, neighbours_page_max);
    auto* records = reinterpret_cast<NeighbourRecord*>(command_.data() + sizeof(NeighboursPage));
    const uint32_t total = ip_.neighbours().list({records, most}, now_);
    const auto count = static_cast<uint32_t>(std::min<size_t>(total, most));
    const NeighboursPage page{.count = count, .omitted = total - count};
    std::memcpy(command_.data(), &page, sizeof page);
    control_.reply(MessageType::neighbours, request_id,
                   std::span(command_).first(sizeof page + count * sizeof(NeighbourRecord)));
}

std::optional<Engine::Ref> Engine::find_stream(uint64_t id) {
    for (const StreamSlot& slot : streams_) {
        if (slot.shard == nullptr || slot.id != id || slot.shard->relays.get(slot.handle) == nullptr) continue;
        const Ref r = ref(*slot.shard, slot.handle.index);
        if (setup_of(r).stream_told == 0) return r;
    }
    return std::nullopt;
}

void Engine::on_stream_open(const StreamOpen& open) {
    auto refuse = [&](StreamEnd end) {
        const StreamClosed closed{.id = open.id, .end = end, .reserved = {}};
        control_.reply(MessageType::stream_closed, 0, bytes_of(closed));
    };
    if (shards_.empty()) return refuse(StreamEnd::no_memory);  // control has yet to learn that we stand still
    if (open.tls != 0 && handshakes_ == nullptr) return refuse(StreamEnd::no_memory);
    const auto slot = std::ranges::find_if(
        streams_, [](const StreamSlot& s) { return s.shard == nullptr || s.shard->relays.get(s.handle) == nullptr; });
    if (slot == streams_.end() || open.server_slot >= server_slot_max) return refuse(StreamEnd::no_memory);
    // A new control process counts its ids from the start; nobody reads the old stream any more.
    if (const std::optional<Ref> old = find_stream(open.id)) {
        setup_of(*old).stream_told = 1;
        abort_side(*old, Side::server);
    }
    Shard& shard = *shards_[open.id % shards_.size()];
    const std::optional<Ref> made = make_relay(shard);
    if (!made) return refuse(StreamEnd::no_memory);
    const Ref r = *made;
    setup_of(r).stream_id = open.id;
    const config::Backend* backend = config_->backend_of_server(open.server_slot);
    const OpenResult result = open_to(r, open.server, open.port, open.server_slot, backend);
    if (result != OpenResult::opened) {
        free_setup(r);
        shard.relays.free(r.index);
        // That we have no port left says nothing about the server.
        return refuse(result == OpenResult::no_port ? StreamEnd::no_memory : StreamEnd::unreachable);
    }
    r.relay.server_slot = open.server_slot;
    if (open.tls != 0) begin_tls(r, Side::server);
    set_phase(r, Phase::stream, now_ + std::clamp<uint32_t>(open.timeout_ms, 1, 600'000) * us_per_ms);
    *slot = {open.id, &shard, shard.relays.handle(r.index)};
}

void Engine::on_stream_established(Ref r) {
    const StreamId stream{setup_of(r).stream_id};
    control_.reply(MessageType::stream_opened, 0, bytes_of(stream));
}

/// What does not fit into the reply ring is not acknowledged: the server sends it again.
size_t Engine::consume_stream(Ref r, std::span<const uint8_t> bytes) {
    const StreamId stream{setup_of(r).stream_id};
    std::memcpy(command_.data(), &stream, sizeof stream);
    size_t taken = 0;
    while (taken < bytes.size()) {
        const auto piece = bytes.subspan(taken, std::min(bytes.size() - taken, stream_piece_bytes));
        std::memcpy(command_.data() + sizeof stream, piece.data(), piece.size());
        const auto payload = std::span(command_).first(sizeof stream + piece.size());
        if (!control_.reply(MessageType::stream_data, 0, payload)) break;
        taken += piece.size();
    }
    return taken;
}

void Engine::on_stream_send(uint64_t id, std::span<const std::byte> bytes) {
    const std::optional<Ref> r = find_stream(id);
    if (!r) return;
    const tcp::Endpoint server = r->relay.endpoint(Side::server);
    const std::span<const uint8_t> data{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
    const bool ready = !r->relay.has_tls(Side::server) || tls_end(*r, Side::server).established();
    const bool fits = ready && tcp::send_queue_bytes(server.warm) + data.size() <= tcp_options_.receive_window_bytes;
    if (!fits || send_to(*r, Side::server, data) != data.size()) return close_stream(*r, StreamEnd::no_memory);
    mark_ready(*r);
}

/// Once.
void Engine::tell_stream_closed(Ref r, StreamEnd end) {
    Setup& setup = setup_of(r);
    if (setup.stream_told != 0) return;
    const StreamClosed closed{.id = setup.stream_id, .end = end, .reserved = {}};
    control_.reply(MessageType::stream_closed, 0, bytes_of(closed));
    setup.stream_told = 1;
}

/// Tells control and resets the connection: a probe leaves no TIME_WAIT behind.
void Engine::close_stream(Ref r, StreamEnd end) {
    tell_stream_closed(r, end);
    abort_side(r, Side::server);
    mark_ready(r);
}

}  // namespace millrace::relay
