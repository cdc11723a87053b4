// One seeded run of the balancer among hostile peers (hostile.h) and honest ones: hostile clients of an honest server,
// or honest clients of hostile servers. The oracle: whatever the former do, the honest clients of the honest server get
// every byte, nobody gets of a hostile stream other bytes than were sent for their place, each relay's state is sound
// after every event, and in the end the balancer holds nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/hostile.h"
#include "tests/sim/station.h"
#include "tests/sim/trace.h"

namespace millrace::sim {

struct HostileTotals {
    uint64_t failures = 0, peers = 0, actions = 0, bytes_down = 0, bytes_up = 0;
};

class HostileWorld {
  public:
    explicit HostileWorld(uint64_t seed);

    /// Runs to the end. Empty, or what differed.
    std::string run();
    /// Prints every TCP segment that is sent, lost ones too.
    void trace() { trace_segments(network_); }
    void add_to(HostileTotals& totals) const;

  private:
    void call_hostile_servers(SnapshotBuilder& config);
    void on_server(Peer& peer);
    void check_hostile_stream(const Peer& peer);
    void check_end();
    void fail(const std::string& what) {
        if (failure_.empty()) failure_ = what;
    }

    Random random_;
    Network network_;
    uint64_t down_key_;
    std::string down_;
    std::unique_ptr<Balancer> balancer_;
    std::unique_ptr<Station> server_, client_;
    std::vector<std::unique_ptr<Hostile>> hostile_;
    std::vector<Peer*> honest_;
    std::vector<Peer*> callers_;  ///< honest clients of hostile servers
    bool hostile_servers_ = false;
    std::string failure_;
    uint64_t bytes_up_ = 0;
};

}  // namespace millrace::sim
