// Smooth weighted round robin: every eligible server earns its weight in credit, the richest is chosen and pays what
// all earned together. Servers alternate as evenly as their weights allow: in any run of picks none gets two more or
// two fewer than its share. One pass costs O(servers).
//
// The credits are the caller's, one per server and per worker, all 0 at first (or anything: see below). Pure function
// otherwise.
//
// With constant weights a credit stays strictly within ±(sum of weights). A weight that is lowered live, or a server
// that leaves, shrinks that sum and would leave debts that take thousands of picks to work off; so credits are first
// brought within the bounds of today's weights. Servers excluded by a retry count in that sum, since they are back at
// once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

#include <millrace/assert.h>

#include "dataplane/balance/server.h"

namespace millrace::balance {

/// Chooses a server and updates `credits`, which has one entry per server. Returns its slot; empty when none is
/// eligible.
inline std::optional<uint16_t> smooth_weighted_round_robin(std::span<const Server> servers, std::span<int32_t> credits,
                                                           const ExcludedSlots& excluded) {
    MILLRACE_ASSERT(credits.size() == servers.size() && servers.size() <= server_slot_max);
    int32_t bound = 0;
    for (const Server& server : servers)
        if (accepts_new(server)) bound += server.weight;

    int32_t earned = 0;
    size_t best = servers.size();
    for (size_t i = 0; i < servers.size(); ++i) {
        if (!eligible(servers[i], excluded)) continue;
        if (!fault(Fault::balance_round_robin_keeps_old_debts)) credits[i] = std::clamp(credits[i], -bound, bound);
        credits[i] += servers[i].weight;
        earned += servers[i].weight;
        if (best == servers.size() || credits[i] > credits[best]) best = i;
    }
    if (best == servers.size()) return std::nullopt;
    credits[best] -= earned;
    return servers[best].slot;
}

}  // namespace millrace::balance
