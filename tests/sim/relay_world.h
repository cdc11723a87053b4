// One seeded run of the balancer on a bad network: clients that upgrade, speak raw TCP or plain HTTP, some of them over
// TLS, servers that
// answer, half-close and reset, and the oracle: every byte that one side sent behind its head arrives on the other side
// in order and exactly once, and nothing is left in the balancer at the end. Everything follows from the seed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/balancer.h"
#include "tests/sim/network.h"
#include "tests/sim/station.h"
#include "tests/sim/trace.h"

namespace millrace::sim {

/// What was in shards that changed their worker.
struct MovedTotals {
    uint64_t shards = 0, relaying = 0, connecting = 0, half_open = 0, ready = 0, parked = 0;
};

struct RelayTotals {
    uint64_t seeds = 0, failures = 0, sessions = 0, tls_sessions = 0, key_updates = 0, bytes_up = 0, bytes_down = 0;
    MovedTotals moved;
    TimeUs virtual_us = 0;
    NetworkTotals network;
};

class RelayWorld {
  public:
    /// With `moves_us` there are two workers, and one of them starts or stops polling as often, on the average.
    explicit RelayWorld(uint64_t seed, TimeUs moves_us = 0);
    ~RelayWorld();

    /// Runs to the end. Empty, or what differed.
    std::string run();
    void add_to(RelayTotals& totals) const;
    /// Prints every TCP segment that is sent, lost ones too.
    void trace() { trace_segments(network_); }

  private:
    enum class Kind : uint8_t {
        websocket,
        raw,
        get,
        get_chunked,
        get_until_close,
        post,
        post_chunked,
        refused_upgrade
    };
    enum class Ending : uint8_t { client_first, server_first, both, client_reset, server_reset };

    // One connection of a client, as planned, and as both ends have seen it.
    struct Session {
        size_t number;
        Kind kind;
        Ending ending;
        Station* station;
        bool tls;
        TimeUs starts_at;
        std::string up, down;         // what the client and the server send behind their heads
        std::string request, answer;  // their heads
        size_t cut_at;                // bytes received by whoever resets, before it does
        size_t pause_at;              // bytes received by the client before it stops reading for a while
        TimeUs pause_us, paused_until = 0;
        TimeUs ended_at = 0;  // at the client
        Peer *client = nullptr, *server = nullptr;
        bool client_began = false, server_began = false, client_done = false, server_done = false;
        uint32_t servers_seen = 0;
        uint32_t key_updates_left = 20,
                 server_key_updates_left = 20;  // more than 32 in a row without data are an attack
    };

    void plan_network();
    void plan_session(size_t number);
    void plan_narrow_path();
    void change_path(TimeUs now);
    void move_shards(TimeUs now);
    std::string make_body(Session& session, bool up, size_t size);
    void start_due(TimeUs now);
    void on_client(Session& session, Peer& peer);
    void on_server(Peer& peer);
    void pause_or_reset(Session& session, Peer& peer);
    Session* session_of(Peer& peer);
    bool is_over(const Session& session) const;
    bool servers_seem_gone() const;
    void check_received(const Session& session, bool at_client, bool whole);
    void check_end();
    void check_session(const Session& session, std::span<const RelayEvent> events);
    void describe_sessions();
    Peer& connect(Session& session);
    tls::Version random_version();
    static bool never_accepted(const Session& session, std::span<const RelayEvent> events);
    static std::string name_of(const Session& session);
    void fail(const std::string& what);
    bool upgrades(const Session& session) const { return session.kind == Kind::websocket || session.kind == Kind::raw; }

    Random random_, random_moves_, random_tls_;
    TimeUs moves_us_;
    Network network_;
    LinkOptions link_;
    std::unique_ptr<Balancer> balancer_;
    std::vector<std::unique_ptr<Station>> clients_, servers_;
    std::vector<std::unique_ptr<Session>> sessions_;
    std::vector<RelayEvent> events_;
    std::string failure_;
    TimeUs move_at_ = UINT64_MAX;
    uint16_t polling_ = 2;
    MovedTotals moved_;
    TimeUs narrow_at_ = UINT64_MAX, wide_at_ = UINT64_MAX;
    uint16_t narrow_mtu_ = 0;
    bool black_hole_ = false, servers_speak_tls_ = false;
};

}  // namespace millrace::sim
