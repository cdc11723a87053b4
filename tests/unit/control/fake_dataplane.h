// A stand-in for the dataplane: `stats` and `events` in its part of the run directory, a heartbeat, and a thread that
// answers the requests of the command rings as a test wants. It adopts every published configuration unless told to
// refuse.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <millrace/commands.h>
#include <millrace/event_ring.h>
#include <millrace/snapshot.h>
#include <millrace/stats.h>

#include "control/controller.h"

namespace millrace::control::test {

struct FakeLayout {
    struct Worker {
        uint64_t relays_open, rx_packets_total, busy_cycles_total, idle_cycles_total, device_cycles_total;
    };
    struct Listener {
        uint64_t open, accepted_total;
    };
    struct Backend {
        uint64_t retries_total;
    };
    struct Server {
        uint64_t open, opened_total, ejected_workers, connect_time[histogram_bucket_count];
    };
};

inline const std::array fake_descriptors{
    StatDescriptor{"relays_open", "relays", StatScope::worker, StatKind::gauge, 0, 0},
    StatDescriptor{"rx_packets_total", "packets", StatScope::worker, StatKind::counter, 8, 0},
    StatDescriptor{"busy_cycles_total", "cycles", StatScope::worker, StatKind::counter, 16, 0},
    StatDescriptor{"idle_cycles_total", "cycles", StatScope::worker, StatKind::counter, 24, 0},
    StatDescriptor{"device_cycles_total", "cycles", StatScope::worker, StatKind::counter, 32, 0},
    StatDescriptor{"open", "relays", StatScope::listener, StatKind::gauge, 0, 0},
    StatDescriptor{"accepted_total", "relays", StatScope::listener, StatKind::counter, 8, 0},
    StatDescriptor{"retries_total", "relays", StatScope::backend, StatKind::counter, 0, 0},
    StatDescriptor{"open", "relays", StatScope::server, StatKind::gauge, 0, 0},
    StatDescriptor{"opened_total", "relays", StatScope::server, StatKind::counter, 8, 0},
    StatDescriptor{"ejected_workers", "workers", StatScope::server, StatKind::gauge, 16, 0},
    StatDescriptor{"connect_time", "us", StatScope::server, StatKind::histogram, 24, 0},
};

/// A stats file of the run directory, in the layout above, not yet published.
inline SharedFile make_fake_stats(const std::string& directory, uint32_t workers) {
    constexpr uint64_t scope_bytes[] = {sizeof(FakeLayout::Worker), listener_slot_max * sizeof(FakeLayout::Listener),
                                        backend_slot_max * sizeof(FakeLayout::Backend),
                                        server_slot_max * sizeof(FakeLayout::Server)};
    const uint64_t stride = scope_bytes[0] + scope_bytes[1] + scope_bytes[2] + scope_bytes[3];
    const uint64_t offset = sizeof(StatsHeader) + sizeof fake_descriptors;
    std::string error;
    SharedFile file = SharedFile::create(directory + "/dataplane/stats", stats_magic, sizeof(StatsHeader),
                                         offset + workers * stride, 0640, error);
    if (!file) throw std::runtime_error(error);
    auto& header = *reinterpret_cast<StatsHeader*>(file.data());
    header.pid = static_cast<uint32_t>(getpid());
    header.worker_count = workers;
    header.polling_workers = workers;
    header.descriptor_count = static_cast<uint32_t>(fake_descriptors.size());
    header.worker_offset = offset;
    header.worker_stride = stride;
    header.scopes[0] = {0, sizeof(FakeLayout::Worker), 1};
    header.scopes[1] = {scope_bytes[0], sizeof(FakeLayout::Listener), listener_slot_max};
    header.scopes[2] = {header.scopes[1].offset + scope_bytes[1], sizeof(FakeLayout::Backend), backend_slot_max};
    header.scopes[3] = {header.scopes[2].offset + scope_bytes[2], sizeof(FakeLayout::Server), server_slot_max};
    std::memcpy(file.data() + sizeof(StatsHeader), fake_descriptors.data(), sizeof fake_descriptors);
    return file;
}

class FakeDataplane {
  public:
    using OnRequest =
        std::function<void(FakeDataplane&, uint32_t worker, const MessageHeader&, std::span<const std::byte>)>;

    explicit FakeDataplane(const std::string& directory, OnRequest on_request = {}, uint32_t workers = 2)
        : directory_(directory),
          on_request_(std::move(on_request)),
          workers_(workers),
          stats_(make_fake_stats(directory, workers)) {
        std::string error;
        events_ = SharedFile::create(directory + "/dataplane/events", events_magic, sizeof(EventsHeader),
                                     events_file_bytes(workers), 0640, error);
        if (!events_) throw std::runtime_error(error);
        reinterpret_cast<EventsHeader*>(events_.data())->worker_count = workers;
        beat();
        if (!stats_.publish() || !events_.publish()) throw std::runtime_error("publish");
        thread_ = std::thread([this] { run(); });
    }
    ~FakeDataplane() { stop(); }

    /// Ends as if killed: the files stay, the heartbeat stops.
    void stop() {
        ending_ = true;
        if (thread_.joinable()) thread_.join();
    }

    void refuse(const std::string& why) {
        std::lock_guard lock(mutex_);
        refusal_ = why;
    }

    StatsHeader& header() { return *reinterpret_cast<StatsHeader*>(stats_.data()); }
    template <typename Block>
    Block& block(StatScope scope, uint32_t worker, uint32_t slot) {
        const StatScopeLayout& layout = header().scopes[static_cast<uint32_t>(scope)];
        return *reinterpret_cast<Block*>(stats_.data() + header().worker_offset + worker * header().worker_stride +
                                         layout.offset + slot * layout.stride);
    }
    FakeLayout::Server& server(uint32_t worker, uint32_t slot) {
        return block<FakeLayout::Server>(StatScope::server, worker, slot);
    }
    EventWriter events(uint32_t worker) { return EventWriter(worker_events(events_.data(), worker)); }

    /// Only from on_request.
    bool reply(uint32_t worker, MessageType type, uint64_t request_id, std::span<const std::byte> payload) {
        return replies_[worker].push(static_cast<uint16_t>(type), request_id, payload);
    }
    template <typename Struct>
    bool reply_struct(uint32_t worker, MessageType type, uint64_t request_id, const Struct& value) {
        return reply(worker, type, request_id, std::as_bytes(std::span(&value, 1)));
    }

  private:
    void beat() { header().heartbeat_us = monotonic_us(); }

    void join_commands() {
        if (commands_ && commands_.is_current()) return;
        requests_.clear();
        replies_.clear();
        std::string error;
        commands_ = SharedFile::join(directory_ + "/control/commands", commands_magic, offsetof(CommandsFile, servers),
                                     sizeof(CommandsFile), false, error);
        if (!commands_) return;
        auto* file = reinterpret_cast<CommandsFile*>(commands_.data());
        for (uint32_t i = 0; i < workers_; ++i) {
            WorkerEvents* worker = worker_events(events_.data(), i);
            requests_.emplace_back(std::span<const std::byte>(file->rings[i].data), &file->rings[i].produced,
                                   &worker->request_consumed);
            requests_.back().skip_all();
            replies_.emplace_back(std::span(worker->replies), &worker->reply_produced, &file->rings[i].reply_consumed);
        }
    }

    void adopt_config() {
        std::ifstream file(directory_ + "/control/config", std::ios::binary);
        SnapshotHeader snapshot{};
        if (!file.read(reinterpret_cast<char*>(&snapshot), sizeof snapshot)) return;
        if (snapshot.generation == seen_generation_) return;
        seen_generation_ = snapshot.generation;
        std::lock_guard lock(mutex_);
        std::memset(header().config_error, 0, sizeof header().config_error);
        if (refusal_.empty())
            header().generation = snapshot.generation;
        else
            refusal_.copy(header().config_error, sizeof header().config_error - 1);
    }

    void run() {
        std::vector<std::byte> payload(message_payload_max);
        while (!ending_) {
            beat();
            join_commands();
            adopt_config();
            for (uint32_t worker = 0; worker < requests_.size(); ++worker) {
                MessageHeader message;
                while (requests_[worker].pop(message, payload))
                    if (on_request_) on_request_(*this, worker, message, {payload.data(), message.length});
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }

    std::string directory_;
    OnRequest on_request_;
    uint32_t workers_;
    SharedFile stats_, events_, commands_;
    std::vector<MessageRingConsumer> requests_;
    std::vector<MessageRingProducer> replies_;
    uint64_t seen_generation_ = 0;
    std::mutex mutex_;
    std::string refusal_;
    std::atomic<bool> ending_ = false;
    std::thread thread_;
};

}  // namespace millrace::control::test
