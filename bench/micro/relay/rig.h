// A whole worker with established WebSocket relays, between clients and servers that are a few bytes each and always
// answer as they should: what the benchmarks of relaying drive. Frames go in and come out as bytes; there is no device.
// Single-threaded, virtual time.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "bench/micro/relay/instant_handshakes.h"
#include "dataplane/base/port_classes.h"
#include "dataplane/config/runtime_config.h"
#include "dataplane/wire/write.h"
#include "dataplane/worker/worker.h"

namespace millrace::relay {

class Rig final : net::FrameSink {
  public:
    static constexpr size_t burst = 32;

    static constexpr uint32_t relays_most = 1u << 20;

    /// Room for `relays` relays (at most relays_most), none of which is there yet; their clients speak TLS or not.
    explicit Rig(uint32_t relays, bool tls = false);

    /// Establishes relays 0 to `relays` - 1, so that the worker knows all neighbours, too, if there are many.
    void establish(uint32_t relays);

    /// Makes the SYN of one client, or its FIN, or its RST: frames that wait for deliver(). The peers' answers take a
    /// connection through the upgrade, and to its end.
    void make_syn(uint32_t relay);
    void make_end(uint32_t relay, bool by_reset);

    /// Whether something waits for deliver().
    bool has_frames() const { return waiting_count_ != 0; }

    /// One burst of pushes: a WebSocket message of `message_bytes` from the server of each of `relays`. The frames are
    /// made here and wait for deliver().
    void make_pushes(std::span<const uint32_t> relays, size_t message_bytes);

    /// Gives the waiting frames to the worker, in bursts, and lets it send. This is what is measured.
    void deliver();

    /// Lets clients and servers take what the worker sent, and makes their answers. Returns how many segments with
    /// payload there were.
    size_t answer();

    void pass_time(TimeUs us) { now_ += us; }
    const StatsBlock& stats() const { return *stats_; }

  private:
    static constexpr uint32_t shard_count = 16;
    static constexpr uint32_t server_count = 32;
    static constexpr uint32_t ports_of_a_client = 32768;
    static constexpr uint16_t first_port = 1024;
    static constexpr size_t frames_most = 2048;
    static constexpr size_t frame_bytes = 2048;

    struct Frame {
        std::array<uint8_t, frame_bytes> bytes;
        size_t length = 0;
    };
    /// What the two peers of a relay know.
    struct End {
        uint32_t seq = 0;  ///< of the next byte that it sends
        uint32_t ack = 0;  ///< of the next that it expects
        uint32_t ts = 0;   ///< the balancer's latest timestamp
    };
    struct Peers {
        End client, server;
        uint16_t server_number = 0;
        uint16_t source_port = 0;  ///< of the balancer, toward the server
    };

    uint32_t credit(uint16_t) override { return static_cast<uint32_t>(frames_most - sent_count_); }
    std::span<uint8_t> reserve(uint16_t) override {
        return sent_count_ == frames_most ? std::span<uint8_t>{} : std::span(sent_[sent_count_].bytes);
    }
    void commit(uint16_t, size_t length) override { sent_[sent_count_++].length = length; }

    void make_worker();
    wire::TcpSegment from_listener(uint32_t relay) const;
    bool on_sent(std::span<const uint8_t> bytes);
    void on_arp(const wire::ArpPacket& question);
    void at_client(const wire::TcpSegment& segment);
    void at_server(const wire::TcpSegment& segment);
    void reply(const wire::TcpSegment& to, End& end, uint8_t flags, std::string_view payload);
    void write(wire::OutboundSegment& segment, const IpAddress& from, std::string_view payload);
    Frame& next_frame();
    uint32_t relay_of_client(const IpAddress& address, uint16_t port) const;

    TimeUs now_ = 1000 * us_per_s;
    std::unique_ptr<const config::RuntimeConfig> config_;
    std::unique_ptr<Toeplitz> toeplitz_;
    std::unique_ptr<PortClasses> port_classes_;
    std::vector<std::unique_ptr<Shard>> shards_;
    std::vector<uint16_t> owners_;
    std::unique_ptr<StatsBlock, void (*)(void*)> stats_;
    std::unique_ptr<WorkerEvents, void (*)(void*)> events_;
    std::unique_ptr<worker::Worker> worker_;
    std::vector<Frame> sent_, waiting_;
    size_t sent_count_ = 0, waiting_count_ = 0;
    std::vector<Peers> peers_;
    std::vector<uint32_t> relay_by_source_port_;  ///< server number × 65,536 + the balancer's port
    std::unique_ptr<InstantHandshakes>
        handshakes_;  ///< null without TLS; outlived by the worker, which does not look then
    std::vector<uint8_t> message_;
    wire::ParsedFrame parsed_;
};

}  // namespace millrace::relay
