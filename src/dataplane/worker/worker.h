// One worker: what happens to a frame between the device and the relay engine. Sans-I/O: the polling loop of port/ and
// the simulator drive it alike. Used by one thread.
//
//   receive:  frames of a burst ─ pass 1: whose shard? prefetch the flow's bucket ─ pass 2: prefetch the relay
//                               ─ pass 3: parse, answer or relay
//   poll:     timers, commands, ready relays → FrameSink
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/toeplitz.h"
#include "dataplane/config/runtime_config.h"
#include "dataplane/net/frame_io.h"
#include "dataplane/net/ip_layer.h"
#include "dataplane/relay/engine.h"

namespace millrace::worker {

/// Who must see a frame besides this worker.
inline constexpr uint16_t nobody_else = 0xffff;
inline constexpr uint16_t everybody = 0xfffe;

/// The most frames of one receive() call.
inline constexpr size_t burst_max = 64;

struct WorkerSetup {
    uint16_t index = 0;
    uint16_t worker_count = 1;               ///< all of them, also those that have no shard
    std::span<const uint16_t> shard_owners;  ///< worker of each shard; a power of two of entries
    const Toeplitz* toeplitz = nullptr;
    std::vector<relay::Shard*> shards;  ///< those that this worker owns
    std::vector<MacAddress> macs;       ///< by interface
    net::FrameSink* sink = nullptr;
    const PortClasses* port_classes = nullptr;
    relay::StatsBlock* stats = nullptr;
    std::span<const relay::StatsBlock* const> other_stats;
    WorkerEvents* events = nullptr;
    uint64_t random_seed = 1;
    uint64_t connection_id_base = 0;
    relay::Handshakes* handshakes = nullptr;  ///< null: no listener has TLS
};

class Worker {
  public:
    /// Everything that `setup` points to, and `config`, must outlive the worker.
    Worker(const WorkerSetup& setup, const config::RuntimeConfig& config);

    /// Takes a burst of at most burst_max frames. `others[i]` becomes the worker that frame i belongs to instead
    /// (hand it over), `everybody` (a neighbour's message, handled here: give each other worker a learn_only copy), or
    /// nobody_else.
    void receive(std::span<const net::InboundFrame> frames, std::span<uint16_t> others, TimeUs now);

    /// One round of everything else. True when there was something to do.
    bool poll(TimeUs now) { return engine_.poll(now); }

    /// Takes a new configuration, or follows another `commands` file. Between two bursts.
    void set_config(const config::RuntimeConfig& config);
    void attach(const CommandsFile* commands) { control_.attach(commands, index_); }

    /// A shard leaves for another worker, or comes to this one, while all workers stand still; then after_moves() of
    /// each. share_out() calls them.
    void release_shard(relay::Shard& shard, TimeUs now);
    void take_shard(relay::Shard& shard, TimeUs now);
    void learn_neighbours(const Worker& giver, TimeUs now) { ip_.learn_neighbours(giver.ip_, now); }
    void after_moves(TimeUs now) { engine_.after_moves(now); }

    /// For whoever sees the frames as they come and go: the loop and its sink.
    relay::Capture& capture() { return engine_.capture(); }

    void publish_gauges() { engine_.publish_gauges(); }
    void abort_all(TimeUs now) { engine_.abort_all(now); }

  private:
    uint16_t handle(const net::InboundFrame& frame, relay::Shard* shard, uint32_t flow_hash, TimeUs now);
    uint16_t handle_icmp_error(TimeUs now);
    uint16_t handle_echo_reply(TimeUs now);
    relay::Shard* shard_of(const wire::FlowKey& key, uint16_t& owner) const;
    bool may_share(TimeUs now);
    uint16_t local_id(const IpAddress& destination);

    uint16_t index_;
    uint16_t worker_count_;
    std::span<const uint16_t> shard_owners_;
    const Toeplitz& toeplitz_;
    std::vector<relay::Shard*> shards_by_number_;  // null where another worker owns it
    std::vector<MacAddress> macs_;
    std::vector<uint16_t> vlans_;
    relay::StatsBlock& stats_;
    const config::RuntimeConfig* config_;
    relay::ControlLink control_;
    net::IpLayer ip_;
    relay::Engine engine_;
    wire::ParsedFrame parsed_;
    IpAddress last_destination_;
    uint16_t last_local_id_ = no_slot;
    uint64_t shared_ms_ = 0;
    uint32_t shared_ = 0;  // in that millisecond
};

}  // namespace millrace::worker
