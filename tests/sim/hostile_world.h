// One seeded run of the balancer among hostile clients (hostile.h) and honest ones. The oracle: whatever the former do,
// the latter get every byte, the server gets of a hostile stream only bytes that were sent for their place, each
// relay's state is sound after every event, and in the end the balancer holds nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/hostile.h"
#include "tests/sim/station.h"

namespace millrace::sim {

struct HostileTotals {
    uint64_t failures = 0, peers = 0, actions = 0, bytes_down = 0, bytes_up = 0;
};

class HostileWorld {
  public:
    explicit HostileWorld(uint64_t seed);

    /// Runs to the end. Empty, or what differed.
    std::string run();
    void add_to(HostileTotals& totals) const;

  private:
    void on_server(Peer& peer);
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
    std::string failure_;
    uint64_t bytes_up_ = 0;
};

}  // namespace millrace::sim
