// Control's end of the dataplane: joins `stats` and `events` as the dataplane comes and goes, sends requests through
// the workers' command rings and hands their answers on. Everything that the dataplane wrote is checked before use.
// Control's main thread only; the events mapping alone is shared with the API's threads, which read it without a lock.
//
// The dataplane counts as alive while its heartbeat is younger than alive_us. Whenever it comes, goes or is replaced,
// `epoch` counts up: what was asked before will not be answered.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <millrace/commands.h>
#include <millrace/events.h>
#include <millrace/message_ring.h>
#include <millrace/shared_file.h>

#include "control/health/checker.h"
#include "control/statistics.h"

namespace millrace::control {

/// A joined events file and its checked worker count.
struct EventsMapping {
    SharedFile file;
    uint32_t worker_count;
    const WorkerEvents* worker(uint32_t index) const { return worker_events(file.data(), index); }
};

class DataplaneLink : public ProbeStreams {
  public:
    static constexpr uint64_t alive_us = 1'000'000;

    using OnReply = std::function<void(const MessageHeader&, std::span<const std::byte>)>;

    /// `directory`: the dataplane's part of the run directory. `commands` must outlive the link.
    DataplaneLink(std::string directory, CommandsFile* commands)
        : directory_(std::move(directory)), commands_(commands) {}

    /// Joins what is new and lets go what is not current. Cheap; call it about ten times a second.
    void refresh(uint64_t now_us);

    /// Counts up whenever the dataplane came, went or was replaced, as of the last refresh().
    uint64_t epoch() const { return epoch_; }
    bool alive() const { return alive_; }
    /// When the dataplane was last known to run, on CLOCK_MONOTONIC; 0 when that is unknown.
    uint64_t heartbeat_us() const;
    /// Reads the workers' heartbeats for heartbeat_ms(). Call it before poll(): what a worker had to say by then is
    /// handed on before its heartbeat is looked at.
    void sample_heartbeats();
    uint32_t worker_count() const { return events_ ? events_->worker_count : 0; }
    const Statistics& statistics() const { return statistics_; }
    std::shared_ptr<const EventsMapping> events() const { return events_; }
    /// Why `stats` or `events` can't be used although they are there; empty when all is well.
    const std::string& error() const { return error_; }
    uint64_t malformed_replies() const;

    /// False when the dataplane is away or the ring has no room.
    bool request(uint32_t worker, MessageType type, uint64_t request_id, std::span<const std::byte> payload);

    /// Hands over at most `max` waiting replies.
    void poll(const OnReply& on_reply, uint32_t max = 4096);

    // ProbeStreams: the worker is the server's slot modulo the workers that polled when the stream was opened.
    bool open(const StreamOpen& request) override;
    bool send(uint16_t server_slot, uint64_t id, std::span<const std::byte> bytes) override;
    bool close(uint16_t server_slot, uint64_t id) override;
    uint64_t heartbeat_ms(uint16_t server_slot) const override;

  private:
    void join_stats();
    void join_events();
    void leave();
    uint32_t polling_workers() const;

    std::string directory_;
    CommandsFile* commands_;
    SharedFile stats_;
    Statistics statistics_;
    std::shared_ptr<const EventsMapping> events_;
    std::vector<MessageRingProducer> requests_;
    std::vector<MessageRingConsumer> replies_;
    std::vector<uint64_t> heartbeats_ms_;                     // by worker
    std::array<uint16_t, server_slot_max> stream_workers_{};  // by server slot: who has its newest stream
    std::string error_;
    uint64_t epoch_ = 0;
    bool alive_ = false;
};

}  // namespace millrace::control
