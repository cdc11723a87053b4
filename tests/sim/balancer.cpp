#include "tests/sim/balancer.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "dataplane/tcp/close.h"
#include "dataplane/tcp/extension.h"
#include "tests/sim/peer_tls.h"

namespace millrace::sim {
namespace {

using relay::Phase;
using relay::Relay;
using relay::Side;

constexpr TimeUs poll_interval_us = 5'000;  // of an idle worker: the sweep goes on
constexpr TimeUs busy_interval_us = 20;

template <typename T>
T* zeroed() {
    return static_cast<T*>(std::calloc(1, sizeof(T)));
}

/// The RSS key and what follows from it are the same in every run; they cost milliseconds.
struct Hashing {
    std::array<uint8_t, Toeplitz::key_size> key;
    std::unique_ptr<Toeplitz> toeplitz;
    std::map<uint32_t, std::unique_ptr<PortClasses>> classes;  // by shard count
};

const Hashing& hashing(uint32_t shards) {
    static Hashing shared;
    if (auto& classes = shared.classes[shards]; classes == nullptr) {
        for (Random random(1); classes == nullptr || !classes->complete();) {
            if (shared.toeplitz == nullptr || classes != nullptr) {
                for (uint8_t& byte : shared.key) byte = static_cast<uint8_t>(random.next());
                shared.toeplitz = std::make_unique<Toeplitz>(shared.key);
            }
            classes = std::make_unique<PortClasses>(*shared.toeplitz, shards, uint16_t{1024}, uint16_t{65535});
        }
    }
    return shared;
}

uint32_t class_bytes(const store::ChunkStore& chunks, store::ChunkId id) {
    return store::chunk_class_bytes[chunks.header(id).size_class];
}

void fill(uint8_t (&bytes)[16], Random& random) {
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.next());
}

}  // namespace

SnapshotBuilder balancer_config(const std::vector<IpAddress>& servers, uint16_t workers) {
    SnapshotBuilder b;
    for (uint16_t i = 0; i < workers; ++i) b.dataplane.cores[i] = static_cast<uint16_t>(i + 1);
    b.dataplane.core_count = b.dataplane.worker_count = workers;
    b.dataplane.shard_count = 4;
    b.dataplane.relays_max = 256;
    b.dataplane.chunk_bytes_max = 64u << 20;
    b.dataplane.half_open_max = 256;
    b.dataplane.syn_cookies = SynCookies::on;
    b.dataplane.time_wait_max = 1024;
    b.dataplane.send_queue_bytes = 64u << 10;
    b.dataplane.tcp = {CongestionControl::cubic, 1, 40, 552, {}};
    b.dataplane.send_queue_max_bytes = 512u << 10;
    b.dataplane.drain_rate_min = 1024;
    b.dataplane.neighbours_max = 64;
    InterfaceRecord interface {};
    interface.name = b.text("front");
    interface.device = b.text("veth0");
    interface.driver = Driver::af_packet;
    interface.mtu = 1500;
    interface.queues = workers;
    interface.rx_descriptors = interface.tx_descriptors = 256;
    b.interfaces.push_back(interface);
    b.local_addresses.push_back({balancer_v4, 0, 15, {}});
    b.local_addresses.push_back({balancer_v4_second, 0, 15, {}});

    ListenerRecord listener{};
    listener.name = b.text("web");
    listener.port = http_port;
    listener.slot = 0;
    listener.headers_max = 100;
    listener.head_bytes_max = 16384;
    listener.head_timeout_ms = 10'000;
    listener.idle_timeout_ms = 120'000;
    listener.route_count = 1;
    listener.retry_after_s = 7;
    b.listeners.push_back(listener);
    listener.name = b.text("raw");
    listener.port = tcp_port;
    listener.slot = 1;
    listener.mode = ListenerMode::tcp;
    listener.first_route = 1;
    b.listeners.push_back(listener);
    b.http_routes.push_back({{}, {}, 0, {}});
    b.http_routes.push_back({{}, {}, 0, {}});

    BackendRecord backend{};
    backend.name = b.text("servers");
    backend.maglev_size = 251;
    backend.server_count = static_cast<uint32_t>(servers.size());
    backend.connect_timeout_ms = 5'000;
    backend.upgrade_timeout_ms = 10'000;
    backend.idle_timeout_ms = 120'000;
    backend.eject_ms = 10'000;
    backend.retries = 2;
    b.backends.push_back(backend);
    for (size_t i = 0; i < servers.size(); ++i)
        b.servers.push_back(
            {b.text("s" + std::to_string(i)), servers[i], 8080, static_cast<uint16_t>(i), uint16_t{1}, 0});
    return b;
}

void add_tls_listeners(SnapshotBuilder& config) {
    config.dataplane.crypto_threads = 1;
    config.dataplane.tls_handshakes_max = 64;
    for (const bool http : {true, false}) {
        ListenerRecord listener = config.listeners[http ? 0 : 1];
        listener.name = config.text(http ? "secure" : "secure-raw");
        listener.port = http ? https_port : tls_port;
        listener.slot = http ? 2 : 3;
        listener.tls = 1;
        listener.handshake_timeout_ms = listener.head_timeout_ms;
        listener.first_route = static_cast<uint32_t>(config.http_routes.size());
        config.http_routes.push_back({{}, {}, 0, {}});
        config.listeners.push_back(listener);
    }
}

void Balancer::Ring::commit(uint16_t, size_t length) {
    frames.emplace_back(room.begin(), room.begin() + static_cast<long>(length));
    --left;
}

Balancer::Balancer(const SnapshotBuilder& config, const BalancerOptions& options, TimeUs now)
    : options_(options), random_(options.seed), now_(now), polled_at_(now) {
    std::string error;
    config_ = config::RuntimeConfig::compile(config.build(1), nullptr, error);
    if (config_ == nullptr) {
        std::fprintf(stderr, "the simulated configuration is refused: %s\n", error.c_str());
        std::abort();
    }
    send_queue_bytes_ = std::max(config.dataplane.send_queue_bytes, config.dataplane.send_queue_max_bytes);
    make_shards(now);
    make_workers();
    attach_control();
}

Balancer::~Balancer() = default;

void Balancer::make_shards(TimeUs now) {
    const DataplaneRecord& settings = config_->snapshot().dataplane();
    relay::ShardLimits limits = relay::ShardLimits::of(settings);
    if (options_.chunk_bytes != 0) limits.chunk_bytes_max = options_.chunk_bytes;
    for (uint16_t number = 0; number < settings.shard_count; ++number) {
        std::string error;
        auto region = store::Region::create_anonymous(relay::shard_region_plan(number, limits, false), error);
        store::RegionSecrets& secrets = region->secrets();
        for (auto* secret : {&secrets.flow_hash, &secrets.isn, &secrets.timestamps, &secrets.cookies, &secrets.tables})
            fill(*secret, random_);
        shards_.push_back(std::make_unique<relay::Shard>(number, std::move(*region), limits, now));
        owners_.push_back(worker::owner_of(number, settings.core_count, settings.worker_count));
    }
}

void Balancer::take_keys(uint16_t backend_slot) {
    pool_->set_servers(app::context_of_backend(backend_slot), nullptr);
}

void Balancer::make_workers() {
    const DataplaneRecord& settings = config_->snapshot().dataplane();
    const Hashing& shared = hashing(settings.shard_count);
    if (settings.crypto_threads != 0) {
        pool_settings_ = {.workers = settings.core_count, .threads = 1, .seats = options_.tls_seats};
        pool_ = std::make_unique<tls::Pool>(pool_settings_);
        for (const ListenerRecord& listener : config_->snapshot().listeners())
            if (listener.tls != 0) pool_->set_context(listener.slot, simulated_server_context());
        for (const BackendRecord& backend : config_->snapshot().backends())
            if (backend.tls != 0)
                pool_->set_servers(app::context_of_backend(backend.slot),
                                   std::make_shared<tls::Servers>(simulated_client_context()));
    }
    for (uint16_t index = 0; index < settings.core_count; ++index) {
        auto unit = std::make_unique<Unit>();
        unit->stats.reset(zeroed<relay::StatsBlock>());
        unit->events.reset(zeroed<WorkerEvents>());
        unit->reader = EventReader(unit->events.get(), EventReader::From::oldest);
        workers_.push_back(std::move(unit));
    }
    for (uint16_t index = 0; index < workers_.size(); ++index) {
        Unit& unit = *workers_[index];
        for (const auto& other : workers_)
            if (other.get() != &unit) unit.other_stats.push_back(other->stats.get());
        if (pool_ != nullptr) unit.handshakes = std::make_unique<app::PoolHandshakes>(*pool_, pool_settings_, index);
        worker::WorkerSetup setup{.index = index,
                                  .worker_count = settings.core_count,
                                  .shard_owners = owners_,
                                  .toeplitz = shared.toeplitz.get(),
                                  .shards = {},
                                  .macs = {balancer_mac},
                                  .sink = &unit.ring,
                                  .port_classes = shared.classes.at(settings.shard_count).get(),
                                  .stats = unit.stats.get(),
                                  .other_stats = unit.other_stats,
                                  .events = unit.events.get(),
                                  .random_seed = random_.next() | 1,
                                  .connection_id_base = 1000,
                                  .handshakes = unit.handshakes.get()};
        for (const auto& shard : shards_)
            if (owners_[shard->number] == index) setup.shards.push_back(shard.get());
        unit.worker = std::make_unique<worker::Worker>(setup, *config_);
        unit.ring.left = options_.ring_frames;
    }
}

void Balancer::attach_control() {
    if (commands_ != nullptr) old_commands_.push_back(std::move(commands_));
    commands_.reset(zeroed<CommandsFile>());
    for (ServerControl& server : commands_->servers) server.word = ServerControl::pack({});
    for (uint16_t i = 0; i < workers_.size(); ++i) {
        Unit& unit = *workers_[i];
        WorkerCommandRing& ring = commands_->rings[i];
        unit.requests = MessageRingProducer(std::span(ring.data), &ring.produced, &unit.events->request_consumed);
        unit.worker->attach(commands_.get());
        unit.replies = MessageRingConsumer(std::span<const std::byte>(unit.events->replies),
                                           &unit.events->reply_produced, &ring.reply_consumed);
        unit.replies.skip_all();
    }
}

bool Balancer::reload(const SnapshotBuilder& config) {
    std::string error;
    auto next =
        config::RuntimeConfig::compile(config.build(config_->snapshot().generation() + 1), config_.get(), error);
    if (next == nullptr) return false;
    for (const auto& unit : workers_) unit->worker->set_config(*next);
    config_ = std::move(next);
    share_out(config_->snapshot().dataplane().worker_count);
    return true;
}

uint32_t Balancer::share_out(uint16_t polling) {
    std::vector<worker::Worker*> workers;
    std::vector<relay::Shard*> shards;
    for (const auto& unit : workers_) workers.push_back(unit->worker.get());
    for (const auto& shard : shards_) shards.push_back(shard.get());
    return worker::share_out(workers, shards, owners_, polling, now_);
}

bool Balancer::request(MessageType type, uint64_t id, std::span<const std::byte> payload, uint16_t worker) {
    return workers_[worker]->requests.push(static_cast<uint16_t>(type), id, payload);
}

std::optional<Balancer::Reply> Balancer::reply(uint16_t worker) {
    Reply result;
    result.payload.resize(message_payload_max);
    MessageHeader header;
    if (!workers_[worker]->replies.pop(header, result.payload)) return std::nullopt;
    result.payload.resize(header.length);
    result.type = static_cast<MessageType>(header.type);
    result.request_id = header.request_id;
    return result;
}

void Balancer::abort_all(TimeUs now) {
    for (const auto& unit : workers_) unit->worker->abort_all(now);
}

void Balancer::receive(std::span<const uint8_t> frame, TimeUs now) {
    now_ = now;
    // The device's queues know nothing of our shards: any worker may get it first.
    const auto first = static_cast<size_t>(random_.below(workers_.size()));
    workers_[first]->inbox.push_back({{frame.begin(), frame.end()}, false});
}

void Balancer::take_burst(uint16_t index, TimeUs now) {
    std::deque<Inbound>& inbox = workers_[index]->inbox;
    const size_t count = std::min(inbox.size(), worker::burst_max);
    std::array<net::InboundFrame, worker::burst_max> frames;
    std::array<uint16_t, worker::burst_max> others;
    std::vector<Inbound> burst(std::make_move_iterator(inbox.begin()),
                               std::make_move_iterator(inbox.begin() + static_cast<long>(count)));
    inbox.erase(inbox.begin(), inbox.begin() + static_cast<long>(count));
    for (size_t i = 0; i < count; ++i)
        frames[i] = {.bytes = burst[i].bytes, .interface = 0, .learn_only = burst[i].learn_only};
    workers_[index]->worker->receive(std::span(frames).first(count), others, now);
    for (size_t i = 0; i < count; ++i) {
        if (others[i] == worker::nobody_else) continue;
        for (uint16_t target = 0; target < workers_.size(); ++target)
            if (others[i] == worker::everybody ? target != index : target == others[i])
                workers_[target]->inbox.push_back({burst[i].bytes, others[i] == worker::everybody});
    }
}

/// Something is to be done for crypto threads.
bool Balancer::crypto_waits() const {
    for (uint32_t worker = 0; pool_ != nullptr && crypto_runs_ && worker < workers_.size(); ++worker)
        if (pool_->waiting(worker) != 0) return true;
    return false;
}

bool Balancer::busy() const {
    return std::ranges::any_of(shards_, [](const auto& shard) { return !shard->ready.empty(); });
}

std::optional<TimeUs> Balancer::next_deadline(TimeUs now) {
    for (const auto& unit : workers_)
        if (!unit->inbox.empty()) return now;
    if (busy() || crypto_waits()) return polled_at_ + busy_interval_us;
    TimeUs next = polled_at_ + poll_interval_us;
    for (const auto& shard : shards_) {
        if (shard->half_open.size() != 0 || !shard->parked.empty()) next = std::min(next, polled_at_ + us_per_ms);
        const uint64_t timer = shard->wheel.next_possible_ms();
        if (timer != store::TimerWheel::never)
            next = std::min(next, std::max(timer * us_per_ms, polled_at_ + us_per_ms));
    }
    return next;
}

void Balancer::poll(TimeUs now, const FrameSink& send) {
    now_ = polled_at_ = now;
    const auto waiting = [&] {
        return std::ranges::any_of(workers_, [](const auto& unit) { return !unit->inbox.empty(); });
    };
    while (waiting())
        for (uint16_t index = 0; index < workers_.size(); ++index)
            if (!workers_[index]->inbox.empty()) take_burst(index, now);
    while (crypto_waits()) pool_->serve(0);
    for (const auto& unit : workers_) {
        unit->worker->poll(now);
        std::vector<std::vector<uint8_t>> frames;
        frames.swap(unit->ring.frames);
        for (const auto& frame : frames) send(frame);
        unit->ring.left = options_.ring_frames;
    }
}

bool Balancer::idle() const {
    return leftovers().empty();
}

std::string Balancer::leftovers() const {
    std::string text;
    const auto add = [&](const char* what, uint64_t count) {
        if (count != 0) text += " " + std::to_string(count) + " " + what + ",";
    };
    for (const auto& shard : shards_) {
        add("relays", shard->relays.live_count());
        add("flows", shard->flows.size());
        add("chunk bytes", shard->chunks.bytes_in_use());
        add("half-open connections", shard->half_open.size());
        add("ready", shard->ready.size());
        add("parked", shard->parked.size());
    }
    return text;
}

tcp::Counters Balancer::tcp_counters() const {
    tcp::Counters sum;
    for (const auto& unit : workers_) {
        const tcp::Counters& one = unit->stats->worker.tcp;
        auto* to = reinterpret_cast<uint64_t*>(&sum);
        const auto* from = reinterpret_cast<const uint64_t*>(&one);
        for (size_t i = 0; i < sizeof sum / sizeof(uint64_t); ++i) to[i] += from[i];
    }
    return sum;
}

uint64_t Balancer::chunk_bytes() const {
    uint64_t sum = 0;
    for (const auto& shard : shards_) sum += shard->chunks.bytes_in_use();
    return sum;
}

std::vector<RelayEvent> Balancer::events() {
    std::vector<RelayEvent> all;
    for (const auto& unit : workers_)
        for (RelayEvent event; unit->reader.next(event);) all.push_back(event);
    return all;
}

void Balancer::publish_gauges() {
    for (const auto& unit : workers_) unit->worker->publish_gauges();
}

void Balancer::expect(bool holds, const std::string& what) {
    if (!holds && violations_.size() < 20) violations_.push_back("at " + std::to_string(now_) + " µs: not so: " + what);
}

void Balancer::check(TimeUs now) {
    now_ = std::max(now_, now);
    for (const auto& shard : shards_) check_shard(*shard);
    check_gauges();
}

void Balancer::check_shard(const relay::Shard& shard) {
    uint64_t chunk_bytes = 0, flows = 0;
    for (uint32_t index = 0; index < shard.relays.high_water(); ++index)
        if (shard.relays.is_live(index)) check_relay(shard, shard.relays.at(index), chunk_bytes, flows);
    expect(chunk_bytes == shard.chunks.bytes_in_use(), "chunks in use (" + std::to_string(shard.chunks.bytes_in_use()) +
                                                           " B) are those that relays hold (" +
                                                           std::to_string(chunk_bytes) + " B)");
    expect(flows == shard.flows.size(), "the flow table holds the open sides and nothing else");
    expect(shard.wheel.current_ms() * us_per_ms + us_per_s >= polled_at_, "somebody turns the timers of each shard");
}

void Balancer::check_relay(const relay::Shard& shard, const Relay& relay, uint64_t& chunk_bytes, uint64_t& flows) {
    uint64_t bytes = 0;
    const auto count = [&](store::ChunkId id) {
        bytes += class_bytes(shard.chunks, id);
        return true;
    };
    bool in_flight = false;
    for (const Side side : {Side::client, Side::server}) {
        const bool client = side == Side::client;
        const tcp::EndpointHot& hot = client ? relay.client_hot : relay.server_hot;
        const tcp::EndpointWarm& warm = client ? relay.client_warm : relay.server_warm;
        tcp::for_each_chunk(shard.chunks, hot, warm, count);
        const bool open = relay.has(client ? relay::flag_client_open : relay::flag_server_open);
        flows += open ? 1 : 0;
        in_flight = in_flight || (open && tcp::in_flight(hot) != 0);
        if (open) {
            const IpAddress& local = config_->local_addresses()[hot.local_id].address;
            const uint32_t hash = hashing(static_cast<uint32_t>(shard_count()))
                                      .toeplitz->hash(hot.peer, local, hot.peer_port, hot.local_port);
            expect(hash % shards_.size() == shard.number, "both connections of a relay belong to its shard");
            expect(hot.snd_una <= hot.snd_nxt, "snd_una <= snd_nxt");
            expect(tcp::syn_unacknowledged(hot) || hot.rcv_nxt <= hot.rcv_adv, "rcv_nxt <= rcv_adv");
        }
        // A whole head and the bytes that came with it may go in on top of the limit.
        expect(warm.queued <= send_queue_bytes_ + 3 * store::chunk_payload_max, "a send queue keeps to its limit");
    }
    if (relay.setup != store::no_chunk) {
        count(relay.setup);
        const auto& setup = *reinterpret_cast<const relay::Setup*>(&shard.chunks.header(relay.setup) + 1);
        if (setup.request != store::no_chunk) count(setup.request);
        if (setup.response != store::no_chunk) count(setup.response);
    }
    for (const Side side : {Side::client, Side::server}) {
        if (!relay.has_tls(side)) continue;
        const auto index = static_cast<size_t>(&relay - &shard.relays.at(0));
        if (const store::ChunkId raw = shard.tls_of(side).ends[index].raw; raw != store::no_chunk) count(raw);
    }
    const bool waits = relay.has(relay::flag_ready) || relay.has(relay::flag_parked);
    expect(waits || relay.has(relay::flag_client_open) || relay.has(relay::flag_server_open),
           "a relay without an open side is about to be freed");
    expect(waits || !in_flight || timers_exhausted_ || relay.scheduled_ms != 0, "what is in flight has a timer");
    expect(waits || relay.setup == store::no_chunk || relay.phase == Phase::relaying || timers_exhausted_ ||
               relay.scheduled_ms != 0,
           "a phase with a deadline has a timer");
    // Both send queues, both reassembly queues, two head buffers; chunks of small writes may be half empty.
    expect(bytes <= 6 * uint64_t{send_queue_bytes_} + 8 * store::chunk_payload_max, "a relay's memory is bounded");
    chunk_bytes += bytes;
}

void Balancer::check_gauges() {
    for (uint16_t index = 0; index < workers_.size(); ++index) check_gauges_of(index);
}

/// Those of one worker are what the relays of its own shards make them.
void Balancer::check_gauges_of(uint16_t worker) {
    std::map<Phase, uint64_t> phases;
    std::map<uint16_t, uint64_t> listeners, servers;
    for (const auto& shard : shards_) {
        if (owners_[shard->number] != worker) continue;
        for (uint32_t index = 0; index < shard->relays.high_water(); ++index) {
            if (!shard->relays.is_live(index)) continue;
            const Relay& relay = shard->relays.at(index);
            ++phases[relay.phase];
            if (relay.listener_slot != no_slot) ++listeners[relay.listener_slot];
            if (relay.has(relay::flag_server_counted)) ++servers[relay.server_slot];
        }
    }
    uint64_t relays = 0;
    for (const auto& [phase, count] : phases)
        if (phase != Phase::stream) relays += count;
    const relay::StatsBlock& stats = *workers_[worker]->stats;
    const std::string of_worker = " of worker " + std::to_string(worker);
    const auto expect_gauge = [&](uint64_t value, uint64_t counted, const std::string& what) {
        if (value != counted)
            expect(false, what + of_worker + " is " + std::to_string(value) + ", not " + std::to_string(counted));
    };
    expect_gauge(stats.worker.relays_open, relays, "relays_open");
    expect_gauge(stats.worker.relays_tls_handshake, phases[Phase::tls_handshake], "relays_tls_handshake");
    expect_gauge(stats.worker.relays_reading_head, phases[Phase::reading_head], "relays_reading_head");
    expect_gauge(stats.worker.relays_connecting, phases[Phase::connecting], "relays_connecting");
    expect_gauge(stats.worker.relays_awaiting_response, phases[Phase::awaiting_response], "relays_awaiting");
    expect_gauge(stats.worker.relays_relaying, phases[Phase::relaying], "relays_relaying");
    expect_gauge(stats.worker.relays_answering, phases[Phase::answering], "relays_answering");
    expect_gauge(stats.worker.streams_open, phases[Phase::stream], "streams_open");
    for (uint16_t slot = 0; slot < 8; ++slot) {
        expect_gauge(stats.listeners[slot].open, listeners[slot], "open relays of listener " + std::to_string(slot));
        expect_gauge(stats.servers[slot].open, servers[slot], "open relays of server " + std::to_string(slot));
    }
}

}  // namespace millrace::sim
