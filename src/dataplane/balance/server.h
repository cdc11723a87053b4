// What the pick algorithms know of a server, and the servers that one retry must not choose again. A view made by the
// worker from the published configuration, its own and the other workers' counters; plain data, owned by the worker.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "dataplane/base/fault.h"

namespace millrace::balance {

/// The most servers of one backend; 32-bit sums of weights rely on it.
inline constexpr size_t server_count_max = 16384;

struct Server {
    uint16_t slot;    ///< the server's stable slot (it survives reloads)
    uint16_t weight;  ///< 0…65535; 0 takes nothing new
    bool usable;      ///< enabled, up and not ejected
    uint32_t open;    ///< relays open now, over all workers
};
static_assert(sizeof(Server) == 12);

/// The slots that were tried for one request. A fixed few: retries are bounded.
class ExcludedSlots {
  public:
    static constexpr size_t capacity = 7;

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
static_assert(sizeof(ExcludedSlots) == 16);

/// Whether a server may take a new relay at all.
inline bool accepts_new(const Server& server) {
    return server.usable && server.weight != 0;
}

/// Whether this request may go to the server.
inline bool eligible(const Server& server, const ExcludedSlots& excluded) {
    return accepts_new(server) && !excluded.contains(server.slot);
}

}  // namespace millrace::balance
