// When each server is probed, and what follows from it. The checker runs on control's main thread; it owns no clock and
// no ring: time comes as an argument, streams are opened, fed and closed through ProbeStreams, verdicts leave through
// `on_change`.
//
// Every server is probed at once when it appears, then every interval ± 10 % (so that many don't beat in step), one
// probe at a time. While the dataplane is away nothing is judged and states stay as they are; nor is a probe whose
// worker stood still meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <millrace/address.h>
#include <millrace/commands.h>

#include "control/health/health_state.h"
#include "control/health/probe.h"

namespace millrace::control {

/// The carrier of probes: streams of the data path (link.h), or a script in tests.
class ProbeStreams {
  public:
    virtual ~ProbeStreams() = default;
    /// Each returns false when the request can't be handed over now.
    virtual bool open(const StreamOpen& request) = 0;
    virtual bool send(uint16_t server_slot, uint64_t id, std::span<const std::byte> bytes) = 0;
    virtual bool close(uint16_t server_slot, uint64_t id) = 0;
    /// When the worker that carries this server's probes was last known to run, on the clock of `now_ms`.
    virtual uint64_t heartbeat_ms(uint16_t server_slot) const = 0;
};

struct ProbedServer {
    uint16_t slot;
    IpAddress address;
    uint16_t port;
    HealthCheck check;  ///< as health_check_of() has it
    ProbeState state;   ///< where to go on from
};

struct ProbeSummary {
    uint64_t passes = 0;
    uint64_t failures = 0;
    uint64_t inconclusive = 0;
    std::string last_reason;  ///< of the newest verdict
    uint32_t last_duration_ms = 0;
};

class Checker {
  public:
    /// The server's new state, and why.
    using OnChange = std::function<void(uint16_t slot, ProbeState state, const std::string& reason)>;

    /// `first_id`: stream ids count up from here; a restarted control must not meet the ids of its predecessor.
    Checker(ProbeStreams& streams, OnChange on_change, uint64_t first_id, uint64_t seed)
        : streams_(streams), on_change_(std::move(on_change)), next_id_(first_id), random_(seed) {}

    /// The servers to probe from now on. Those that were there with equal address and check go on undisturbed.
    void configure(const std::vector<ProbedServer>& servers, uint64_t now_ms);

    /// Opens what is due and ends what is late: a probe whose time was over when its worker was last known to run, so
    /// that the silence is the server's. One during which the worker stood still says nothing. Returns when to come
    /// again at the latest.
    uint64_t tick(uint64_t now_ms);

    void stream_opened(uint64_t id, uint64_t now_ms);
    void stream_data(uint64_t id, std::span<const std::byte> bytes, uint64_t now_ms);
    void stream_closed(uint64_t id, StreamEnd end, uint64_t now_ms);

    /// The dataplane went, or came anew: every probe under way is forgotten without a verdict and every server is due.
    void reset(uint64_t now_ms);

    /// Null for a server that isn't probed.
    const ProbeSummary* summary(uint16_t slot) const;
    size_t under_way() const { return by_stream_.size(); }

  private:
    struct Server {
        ProbedServer what;
        HealthState health;
        ProbeSummary summary;
        uint64_t due_ms = 0;
        uint64_t started_ms = 0;
        uint64_t stream = 0;     // 0: none
        bool disturbed = false;  // the worker stood still during this probe
        std::unique_ptr<Probe> probe;
    };

    void start(Server& server, uint64_t now_ms);
    void time_out(Server& server, uint64_t now_ms, bool close_stream);
    void finish(Server& server, uint64_t now_ms, bool close_stream);
    Server* find(uint64_t stream);
    void after_input(Server& server, std::span<const std::byte> to_send, uint64_t now_ms);

    ProbeStreams& streams_;
    OnChange on_change_;
    uint64_t next_id_;
    std::mt19937_64 random_;
    std::map<uint16_t, Server> servers_;
    std::map<uint64_t, uint16_t> by_stream_;
};

}  // namespace millrace::control
