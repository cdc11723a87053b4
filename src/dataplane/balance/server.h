// What the pick algorithms know of a server, and the servers that one retry must not choose again. A view made by the
// worker from the published configuration, its own and the other workers' counters; plain data, owned by the worker.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include <millrace/config_rules.h>
#include <millrace/limits.h>

#include "dataplane/base/fault.h"

namespace millrace::balance {

// Sums of weights, and twice such a sum, fit 31 bits.
static_assert(2ull * server_slot_max * UINT16_MAX <= INT32_MAX);

struct Server {
    uint16_t slot;    ///< the server's stable slot (it survives reloads)
    uint16_t weight;  ///< 0…65535; 0 takes nothing new
    bool usable;      ///< enabled, up and not ejected; or WhenAllDown::try_all applies
    uint32_t open;    ///< relays open now, over all workers
};
static_assert(sizeof(Server) == 12);

/// The slots that were tried for one request: the first and its retries, but for the last.
class ExcludedSlots {
  public:
    static constexpr size_t capacity = retries_max;

    /// False when no more fit: then the caller gives up retrying.
    [[nodiscard]] bool add(uint16_t slot) {
        if (count_ == capacity) return false;
        slots_[count_++] = slot;
        return true;
    }

    bool contains(uint16_t slot) const {
        if (fault(Fault::balance_picks_excluded)) return false;
        return std::find(slots_.begin(), slots_.begin() + count_, slot) != slots_.begin() + count_;
    }

  private:
    std::array<uint16_t, capacity> slots_{};
    uint16_t count_ = 0;
};

/// Whether a server may take a new relay at all.
inline bool accepts_new(const Server& server) {
    return server.usable && server.weight != 0;
}

/// Whether this request may go to the server.
inline bool eligible(const Server& server, const ExcludedSlots& excluded) {
    return accepts_new(server) && !excluded.contains(server.slot);
}

}  // namespace millrace::balance
