// The balancer as a node of the simulated network: the dataplane's own Worker (one, or several with frames handed over
// between them as port/ does it), its shards in anonymous regions with seeded secrets, its statistics, its events, and
// the control process's end of the rings. It recounts every gauge, flow and chunk from the relay records and collects
// what does not agree. Single-threaded, virtual time.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <millrace/commands.h>
#include <millrace/event_ring.h>
#include <millrace/snapshot.h>

#include "dataplane/app/pool_handshakes.h"
#include "dataplane/worker/share_out.h"
#include "dataplane/worker/worker.h"
#include "tests/sim/network.h"

namespace millrace::sim {

inline constexpr MacAddress balancer_mac{{2, 0, 0, 0, 0, 0xb0}};
inline constexpr IpAddress balancer_v4 = IpAddress::v4(198, 18, 0, 1);
inline constexpr IpAddress balancer_v4_second = IpAddress::v4(198, 18, 0, 2);
/// Not in balancer_config(): for who adds it to the local addresses.
inline constexpr IpAddress balancer_v6{{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
inline constexpr uint16_t http_port = 80;
inline constexpr uint16_t tcp_port = 81;
inline constexpr uint16_t https_port = 443;
inline constexpr uint16_t tls_port = 444;

/// Servers are given as addresses; their slots count from 0. One interface, an HTTP listener (slot 0) and a tcp
/// listener (slot 1), both for backend 0. Tests change what they need before they build it.
SnapshotBuilder balancer_config(const std::vector<IpAddress>& servers, uint16_t workers = 1);

/// Adds listeners with TLS, HTTP (slot 2) and tcp (slot 3), both for backend 0.
void add_tls_listeners(SnapshotBuilder& config);

struct BalancerOptions {
    uint64_t seed = 1;
    uint32_t ring_frames = 256;  ///< what the device takes of one worker between two polls
    uint64_t chunk_bytes = 0;    ///< of each shard, whatever the configuration says; 0: as it says
    uint32_t tls_seats = 64;     ///< handshakes that each worker can have in flight
};

class Balancer : public Node {
  public:
    Balancer(const SnapshotBuilder& config, const BalancerOptions& options, TimeUs now);
    ~Balancer() override;

    void receive(std::span<const uint8_t> frame, TimeUs now) override;
    std::optional<TimeUs> next_deadline(TimeUs now) override;
    void poll(TimeUs now, const FrameSink& send) override;

    /// A reload. False when the configuration is refused.
    bool reload(const SnapshotBuilder& config);
    /// From now on the first `polling` workers own the shards. Returns how many shards moved.
    uint32_t share_out(uint16_t polling);
    /// Starts (or restarts) the control process's file.
    void attach_control();
    void control_server(uint16_t slot, ServerControl::Value value) {
        commands_->servers[slot].word = ServerControl::pack(value);
    }
    /// A request into the ring of a worker, and the next answer out of it.
    bool request(MessageType type, uint64_t id, std::span<const std::byte> payload, uint16_t worker = 0);
    struct Reply {
        MessageType type;
        uint64_t request_id;
        std::vector<std::byte> payload;
    };
    std::optional<Reply> reply(uint16_t worker = 0);
    void abort_all(TimeUs now);
    /// Whether crypto threads take a step now; each happens in no time.
    void run_crypto(bool running) { crypto_runs_ = running; }
    /// As if control had not given them: no server of that backend is reached by TLS.
    void take_keys(uint16_t backend_slot);

    /// Recounts; what does not agree is collected, each with the time.
    void check(TimeUs now);
    const std::vector<std::string>& violations() const { return violations_; }
    /// From now on relays may be without a timer, until the sweep finds them.
    void expect_exhausted_timers() { timers_exhausted_ = true; }
    /// No relay, flow, chunk or half-open connection is left.
    bool idle() const;
    /// A relay waits for the next poll.
    bool busy() const;
    std::string leftovers() const;

    relay::StatsBlock& stats(uint16_t worker = 0) { return *workers_[worker]->stats; }
    template <typename Member>
    uint64_t worker_total(Member relay::WorkerStats::*member) const {
        uint64_t sum = 0;
        for (const auto& unit : workers_) sum += unit->stats->worker.*member;
        return sum;
    }
    tcp::Counters tcp_counters() const;
    uint64_t chunk_bytes() const;
    /// Everything written into the events ring since the last call, all workers.
    std::vector<RelayEvent> events();
    uint16_t worker_count() const { return static_cast<uint16_t>(workers_.size()); }
    size_t shard_count() const { return shards_.size(); }
    relay::Shard& shard(size_t number) { return *shards_[number]; }
    void publish_gauges();

  private:
    struct Ring : net::FrameSink {
        uint32_t credit(uint16_t) override { return left; }
        std::span<uint8_t> reserve(uint16_t) override { return left == 0 ? std::span<uint8_t>{} : std::span(room); }
        void commit(uint16_t, size_t length) override;

        uint32_t left = 0;
        std::array<uint8_t, 2048> room;
        std::vector<std::vector<uint8_t>> frames;
    };
    struct Inbound {
        std::vector<uint8_t> bytes;
        bool learn_only;
    };
    struct Free {
        void operator()(void* memory) const { std::free(memory); }
    };
    struct Unit {
        Ring ring;
        std::unique_ptr<relay::StatsBlock, Free> stats;
        std::unique_ptr<WorkerEvents, Free> events;
        std::vector<const relay::StatsBlock*> other_stats;
        std::unique_ptr<app::PoolHandshakes> handshakes;
        std::unique_ptr<worker::Worker> worker;
        EventReader reader;
        std::deque<Inbound> inbox;
        MessageRingProducer requests;
        MessageRingConsumer replies;
    };

    void make_shards(TimeUs now);
    void make_workers();
    void take_burst(uint16_t index, TimeUs now);
    bool crypto_waits() const;
    void expect(bool holds, const std::string& what);
    void check_shard(const relay::Shard& shard);
    void check_relay(const relay::Shard& shard, const relay::Relay& relay, uint64_t& chunk_bytes, uint64_t& flows);
    void check_gauges();
    void check_gauges_of(uint16_t worker);

    BalancerOptions options_;
    Random random_;
    std::unique_ptr<const config::RuntimeConfig> config_;
    std::unique_ptr<CommandsFile, Free> commands_;
    std::vector<std::unique_ptr<CommandsFile, Free>> old_commands_;
    std::vector<std::unique_ptr<relay::Shard>> shards_;
    std::vector<uint16_t> owners_;
    tls::Pool::Settings pool_settings_;
    std::unique_ptr<tls::Pool> pool_;  ///< null without TLS
    bool crypto_runs_ = true;
    std::vector<std::unique_ptr<Unit>> workers_;
    std::vector<std::string> violations_;
    uint32_t send_queue_bytes_;
    bool timers_exhausted_ = false;
    TimeUs now_;
    TimeUs polled_at_;  ///< what happens meanwhile does not put the next poll off
};

}  // namespace millrace::sim
