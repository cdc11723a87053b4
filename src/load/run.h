// One run of the generator from its first connection to its last: opens the connections at the rate that was asked for,
// lets the workload work, waits for what is under way, ends every connection, and keeps the figures. Sans-I/O: drives
// the Engine, and is driven by a polling loop or the simulator. One thread.
//
//   ramp ──all open──► work ──nothing more is sent──► drain ──nothing under way──► close ──► over
//     └──────── nothing moves for ten seconds, the timeout, stop() ──────────────────┘
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "load/engine.h"
#include "load/histogram.h"
#include "load/workload.h"

namespace millrace::load {

struct ConnectionCounts {
    uint64_t asked = 0;
    uint64_t upgraded = 0;
    uint64_t failed = 0;          ///< never upgraded
    uint64_t closed_by_peer = 0;  ///< or lost, when upgraded, without our asking
    uint64_t proven_alive = 0;
};

/// Cycles of the polling loop; see port/cycle_meter.h.
struct Cycles {
    uint64_t busy = 0, device = 0, idle = 0;
};

/// What a run has found out.
struct Figures {
    ConnectionCounts connections;
    Histogram latency, connect;
    TimeUs began = 0, work_began = 0, work_ended = 0;
    TimeUs bell_drain_us = 0;
    uint64_t sessions = 0;
    uint64_t requests_answered = 0, pushes_arrived = 0, bulk_arrived = 0;
    uint64_t connection_bytes = 0;  ///< of all ends, at their most
    uint64_t ends = 0;              ///< of connections, then
    Cycles cycles;                  ///< of the ramp, where that is the work, else of the work
    std::string trouble;            ///< why the run did not reach its end; empty: it did

    double ramp_seconds() const { return static_cast<double>(work_began - std::min(work_began, began)) / 1e6; }
};

class Run final : public Observer, public net::FrameConsumer {
  public:
    Run(const Settings& settings, const config::RuntimeConfig& config, net::FrameSink& sink,
        std::vector<MacAddress> macs, TimeUs now, std::function<Cycles()> cycles);
    ~Run() override;

    void receive(std::span<const net::InboundFrame> frames, TimeUs now) override;
    bool poll(TimeUs now) override;

    /// Ends the run early, in order.
    void stop(const std::string& why);
    bool over() const { return stage_ == Stage::over; }
    /// Connections that are held in silence (`idle`) have been so long enough.
    void end_hold() { hold_ended_ = true; }
    /// Everything that was asked for has come about, and no message was lost, repeated, changed or misled.
    bool succeeded() const;
    /// One line for a terminal: what is going on, and the figures since the last call.
    std::string progress(TimeUs now);

    const Settings& settings() const { return settings_; }
    const Figures& figures() const { return figures_; }
    const MessageCounts& messages() const { return messages_; }
    Engine& engine() { return engine_; }
    const Engine& engine() const { return engine_; }
    const Tables& tables() const { return tables_; }

    // For workloads.
    Figures& figures() { return figures_; }
    /// Opens one more connection; false when there is no room for it now.
    bool open(bool transient);
    /// Sends a request whose reply proves that the server's end has seen it.
    bool request(Ref ref, TimeUs sent_us);
    bool push(Ref ref, Kind kind, TimeUs sent_us) { return send(ref, kind, sent_us, random()); }
    uint64_t random();
    uint32_t opening() const { return opening_; }
    uint64_t servers_open() const { return servers_open_; }
    bool hold_ended() const { return hold_ended_; }

  private:
    enum class Stage : uint8_t { ramp, work, drain, close, over };
    struct OpenedAt {
        uint32_t id;
        TimeUs at;
    };

    void on_upgraded(Ref ref) override;
    void on_message(Ref ref, const Message& message) override;
    void on_acknowledged(Ref ref) override { workload_->on_acknowledged(ref); }
    void on_end(Ref ref, End end) override;

    bool send(Ref ref, Kind kind, TimeUs sent_us, uint64_t token);
    uint64_t token_of(uint32_t id, TimeUs sent_us) const;
    bool poll_ramp();
    bool ramped() const;
    void begin_work();
    void end_work();
    void settle_account();
    bool close_some();
    void watch_for_stall();
    const char* stage_name() const;

    const Settings& settings_;
    std::function<Cycles()> cycles_;
    Tables tables_;
    Engine engine_;
    Figures figures_;
    MessageCounts messages_;
    std::unique_ptr<Workload> workload_;
    Stage stage_ = Stage::ramp;
    bool hold_ended_ = false;
    TimeUs now_;
    TimeUs moved_at_;  // something last came about
    uint64_t moved_ = 0;
    Cycles cycles_before_;
    uint32_t next_id_ = 1;
    uint32_t opening_ = 0;
    uint64_t servers_open_ = 0, servers_upgraded_ = 0;
    uint64_t random_state_;
    uint64_t secret_;
    Role close_role_ = Role::client;
    uint32_t close_at_ = 0;
    uint64_t close_came_ = 0;  // segments, when something last came
    TimeUs close_until_ = 0, close_quiet_at_ = 0;
    std::array<OpenedAt, 4096> opened_at_{};
    // What progress() told last.
    TimeUs told_at_;
    uint64_t told_received_ = 0, told_upgraded_ = 0;
};

}  // namespace millrace::load
