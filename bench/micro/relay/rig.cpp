#include "bench/micro/relay/rig.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <unistd.h>

#include <millrace/assert.h>

#include "dataplane/wire/bytes.h"

namespace millrace::relay {
namespace {

constexpr MacAddress balancer_mac{{2, 0, 0, 0, 0, 1}}, peers_mac{{2, 0, 0, 0, 0, 2}};
constexpr IpAddress balancer = IpAddress::v4(198, 18, 0, 1);
constexpr uint16_t listener_port = 80, server_port = 9000;
constexpr uint32_t client_isn = 1000, server_isn = 5000;
constexpr uint16_t window = 512;  // scaled by 7: 64 KiB
constexpr std::string_view answer_101 =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

IpAddress client_address(uint32_t number) {
    return IpAddress::v4(198, 18, static_cast<uint8_t>(1 + number / 200), static_cast<uint8_t>(1 + number % 200));
}

IpAddress server_address(uint32_t number) {
    return IpAddress::v4(198, 19, 0, static_cast<uint8_t>(1 + number));
}

bool is_server(const IpAddress& address) {
    return address.bytes[13] == 19;
}

void check(bool holds, const std::string& error) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", error.c_str());
    std::abort();
}

/// A tmpfs with huge pages over /mnt, as the dataplane has its regions on; seen by this process alone and gone with it.
std::string region_directory() {
    static const bool mounted =
        unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
        mount("bench", "/mnt", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=90%,huge=advise,mode=0700") == 0;
    check(mounted, "a tmpfs with huge pages can be mounted by root only: run this as root");
    return "/mnt";
}

template <typename T>
std::unique_ptr<T, void (*)(void*)> zeroed() {
    return {static_cast<T*>(std::calloc(1, sizeof(T))), std::free};
}

SnapshotBuilder configuration(uint32_t relays, uint16_t shards, uint32_t servers, bool tls) {
    SnapshotBuilder b;
    b.dataplane.core_count = b.dataplane.worker_count = 1;
    b.dataplane.shard_count = shards;
    b.dataplane.relays_max = relays + relays / 8 + 4096;  // shards don't fill evenly
    b.dataplane.chunk_bytes_max = 1u << 30;
    b.dataplane.drain_rate_min = 1024;
    b.dataplane.neighbours_max = 16384;
    b.dataplane.half_open_max = 65536;
    b.dataplane.syn_cookies = SynCookies::on;
    b.dataplane.time_wait_max = 1u << 20;
    b.dataplane.send_queue_bytes = b.dataplane.send_queue_max_bytes = 64u << 10;
    b.dataplane.tcp = {CongestionControl::cubic, 1, 40, 552, {}};
    b.dataplane.crypto_threads = b.dataplane.tls_handshakes_max = tls ? 1 : 0;
    InterfaceRecord interface {};
    interface.name = interface.device = b.text("front");
    interface.driver = Driver::af_packet;
    interface.mtu = 1500;
    interface.queues = 1;
    interface.rx_descriptors = interface.tx_descriptors = 512;
    b.interfaces.push_back(interface);
    b.local_addresses.push_back({balancer, 0, 15, {}});
    ListenerRecord listener{};
    listener.name = b.text("web");
    listener.port = listener_port;
    listener.headers_max = 100;
    listener.head_bytes_max = 16384;
    listener.tls = tls;
    listener.handshake_timeout_ms = listener.head_timeout_ms = 10'000;
    listener.idle_timeout_ms = 3'600'000;
    listener.route_count = 1;
    b.listeners.push_back(listener);
    b.http_routes.push_back({{}, {}, 0, {}});
    BackendRecord backend{};
    backend.name = b.text("servers");
    backend.maglev_size = 251;
    backend.server_count = servers;
    backend.connect_timeout_ms = 5'000;
    backend.upgrade_timeout_ms = 10'000;
    backend.idle_timeout_ms = 3'600'000;
    b.backends.push_back(backend);
    for (uint32_t i = 0; i < servers; ++i)
        b.servers.push_back({b.text("s" + std::to_string(i)), server_address(i), server_port, static_cast<uint16_t>(i),
                             uint16_t{1}, 0});
    return b;
}

}  // namespace

Rig::Rig(uint32_t relays, bool tls)
    : stats_(zeroed<StatsBlock>()),
      events_(zeroed<WorkerEvents>()),
      sent_(frames_most),
      waiting_(frames_most),
      peers_(relays),
      relay_by_source_port_(server_count << 16),
      handshakes_(tls ? std::make_unique<InstantHandshakes>() : nullptr) {
    MILLRACE_ASSERT(relays <= relays_most);
    std::string error;
    config_ =
        config::RuntimeConfig::compile(configuration(relays, shard_count, server_count, tls).build(1), nullptr, error);
    check(config_ != nullptr, error);
    make_worker();
}

void Rig::establish(uint32_t relays) {
    constexpr uint32_t at_once = 64;
    for (uint32_t first = 0; first < relays; first += at_once) {
        for (uint32_t i = first; i < std::min(first + at_once, relays); ++i) make_syn(i);
        do {
            pass_time(us_per_ms);
            deliver();
            answer();
        } while (has_frames());
    }
    MILLRACE_ASSERT(stats_->worker.relays_relaying == relays);
}

void Rig::make_worker() {
    const ShardLimits limits = ShardLimits::of(config_->snapshot().dataplane());
    std::mt19937 random(1);
    std::array<uint8_t, Toeplitz::key_size> key;
    do {
        for (uint8_t& byte : key) byte = static_cast<uint8_t>(random());
        toeplitz_ = std::make_unique<Toeplitz>(key);
        port_classes_ = std::make_unique<PortClasses>(*toeplitz_, shard_count, first_port, uint16_t{65535});
    } while (!port_classes_->complete());
    worker::WorkerSetup setup;
    for (uint16_t number = 0; number < shard_count; ++number) {
        std::string error;
        const std::string path = region_directory() + "/shard-" + std::to_string(number);
        auto region = store::Region::create(path, shard_region_plan(number, limits, true), error);
        check(region.has_value(), error);
        unlink(path.c_str());
        shards_.push_back(std::make_unique<Shard>(number, std::move(*region), limits, now_));
        setup.shards.push_back(shards_.back().get());
        owners_.push_back(0);
    }
    setup.shard_owners = owners_;
    setup.toeplitz = toeplitz_.get();
    setup.macs = {balancer_mac};
    setup.sink = this;
    setup.port_classes = port_classes_.get();
    setup.stats = stats_.get();
    setup.events = events_.get();
    setup.handshakes = handshakes_.get();
    worker_ = std::make_unique<worker::Worker>(setup, *config_);
}

/// What the balancer might have said to a client, for reply().
wire::TcpSegment Rig::from_listener(uint32_t relay) const {
    wire::TcpSegment segment;
    segment.source = balancer;
    segment.source_port = listener_port;
    segment.destination = client_address(relay / ports_of_a_client);
    segment.destination_port = static_cast<uint16_t>(first_port + relay % ports_of_a_client);
    return segment;
}

void Rig::make_syn(uint32_t relay) {
    End& client = peers_[relay].client;
    client = {client.seq + client_isn, 0, 0};
    reply(from_listener(relay), client, wire::tcp_syn, {});
    ++client.seq;
}

void Rig::make_end(uint32_t relay, bool by_reset) {
    End& client = peers_[relay].client;
    if (by_reset) return reply(from_listener(relay), client, wire::tcp_rst, {});
    reply(from_listener(relay), client, wire::tcp_fin | wire::tcp_ack, {});
    ++client.seq;
}

void Rig::make_pushes(std::span<const uint32_t> relays, size_t message_bytes) {
    message_.assign(4 + message_bytes, 'x');
    message_[0] = 0x82;
    message_[1] = 126;
    wire::store_be16(&message_[2], static_cast<uint16_t>(message_bytes));
    for (const uint32_t relay : relays) {
        Peers& peers = peers_[relay];
        wire::TcpSegment to;
        to.source = balancer;
        to.source_port = peers.source_port;
        to.destination = server_address(peers.server_number);
        to.destination_port = server_port;
        reply(to, peers.server, wire::tcp_ack | wire::tcp_psh,
              {reinterpret_cast<const char*>(message_.data()), message_.size()});
    }
}

void Rig::deliver() {
    std::array<net::InboundFrame, burst> frames;
    std::array<uint16_t, burst> others;
    for (size_t first = 0; first < waiting_count_; first += burst) {
        const size_t count = std::min(burst, waiting_count_ - first);
        for (size_t i = 0; i < count; ++i) {
            const Frame& frame = waiting_[first + i];
            frames[i] = {.bytes = std::span(frame.bytes).first(frame.length)};
        }
        worker_->receive(std::span(frames).first(count), others, now_);
    }
    waiting_count_ = 0;
    worker_->poll(now_);
}

size_t Rig::answer() {
    size_t with_payload = 0;
    for (size_t i = 0; i < sent_count_; ++i)
        with_payload += on_sent(std::span(sent_[i].bytes).first(sent_[i].length)) ? 1 : 0;
    sent_count_ = 0;
    return with_payload;
}

bool Rig::on_sent(std::span<const uint8_t> bytes) {
    const wire::FrameKind kind = wire::parse_frame(bytes, {}, parsed_);
    if (kind == wire::FrameKind::arp && parsed_.arp.is_request) on_arp(parsed_.arp);
    if (kind != wire::FrameKind::tcp) return false;
    is_server(parsed_.tcp.destination) ? at_server(parsed_.tcp) : at_client(parsed_.tcp);
    return !parsed_.tcp.payload.empty();
}

void Rig::on_arp(const wire::ArpPacket& question) {
    if (question.target == balancer) return;  // an announcement
    const wire::ArpPacket answer{.is_request = false,
                                 .sender_mac = peers_mac,
                                 .sender = question.target,
                                 .target_mac = balancer_mac,
                                 .target = balancer};
    Frame& frame = next_frame();
    frame.length = wire::write_arp(frame.bytes, {peers_mac, balancer_mac}, answer);
}

uint32_t Rig::relay_of_client(const IpAddress& address, uint16_t port) const {
    const uint32_t client = (address.bytes[14] - 1u) * 200 + address.bytes[15] - 1u;
    return client * ports_of_a_client + port - first_port;
}

void Rig::at_client(const wire::TcpSegment& segment) {
    const uint32_t relay = relay_of_client(segment.destination, segment.destination_port);
    End& end = peers_[relay].client;
    MILLRACE_ASSERT(!segment.has(wire::tcp_rst));
    end.ack = segment.seq + segment.length();
    end.ts = segment.options.ts_value;
    if (segment.has(wire::tcp_syn)) {
        std::string words = "GET /" + std::to_string(relay) +
                            " HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        if (handshakes_) {
            const auto sealed =
                handshakes_->first_words({reinterpret_cast<const uint8_t*>(words.data()), words.size()});
            words.assign(sealed.begin(), sealed.end());
        }
        return reply(segment, end, wire::tcp_ack | wire::tcp_psh, words);
    }
    if (segment.length() != 0) reply(segment, end, wire::tcp_ack, {});
}

void Rig::at_server(const wire::TcpSegment& segment) {
    const auto server = static_cast<uint16_t>(segment.destination.bytes[15] - 1);
    uint32_t& relay = relay_by_source_port_[uint32_t{server} << 16 | segment.source_port];
    if (segment.has(wire::tcp_syn)) {
        End end{server_isn, segment.seq + 1, segment.options.ts_value};
        return reply(segment, end, wire::tcp_syn | wire::tcp_ack, {});
    }
    const std::string_view text(reinterpret_cast<const char*>(segment.payload.data()), segment.payload.size());
    if (text.starts_with("GET /")) {
        std::from_chars(text.data() + 5, text.data() + text.size(), relay);
        Peers& peers = peers_[relay];
        peers.server_number = server;
        peers.source_port = segment.source_port;
        peers.server = {server_isn + 1, segment.seq + segment.length(), segment.options.ts_value};
        return reply(segment, peers.server, wire::tcp_ack | wire::tcp_psh, answer_101);
    }
    MILLRACE_ASSERT(text.empty());
    End& end = peers_[relay].server;
    end.ts = segment.options.ts_value;
    if (!segment.has(wire::tcp_fin)) return;
    end.ack = segment.seq + 1;
    reply(segment, end, wire::tcp_fin | wire::tcp_ack, {});
    ++end.seq;
}

/// A segment from the end that `to` went to.
void Rig::reply(const wire::TcpSegment& to, End& end, uint8_t flags, std::string_view payload) {
    wire::OutboundSegment segment;
    segment.header.source = to.destination;
    segment.header.destination = to.source;
    segment.header.source_port = to.destination_port;
    segment.header.destination_port = to.source_port;
    segment.header.seq = end.seq;
    segment.header.ack = end.ack;
    segment.header.flags = flags;
    segment.header.window = window;
    segment.header.options.has_timestamps = true;
    segment.header.options.ts_value = static_cast<uint32_t>(now_ / us_per_ms);
    segment.header.options.ts_echo = end.ts;
    if ((flags & wire::tcp_syn) != 0) {
        segment.header.options.has_mss = segment.header.options.has_window_scale = true;
        segment.header.options.sack_permitted = true;
        segment.header.options.mss = 1460;
        segment.header.options.window_scale = 7;
    }
    segment.payload_length = static_cast<uint16_t>(payload.size());
    segment.piece_count = payload.empty() ? 0 : 1;
    segment.pieces[0] = {reinterpret_cast<const uint8_t*>(payload.data()), payload.size()};
    end.seq += static_cast<uint32_t>(payload.size());
    Frame& frame = next_frame();
    frame.length = wire::write_tcp(frame.bytes, {peers_mac, balancer_mac}, segment, {});
}

Rig::Frame& Rig::next_frame() {
    MILLRACE_ASSERT(waiting_count_ < frames_most);
    return waiting_[waiting_count_++];
}

}  // namespace millrace::relay
