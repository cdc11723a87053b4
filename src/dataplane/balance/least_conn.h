// Weighted least connections: the server with the smallest (open + 1) / weight. Few servers are all compared. From
// `two_choices_from` on, two different servers are drawn by weight and the less loaded of them wins: the counts of the
// other workers are a millisecond or so old, and if every worker went for the one minimum, all would crowd onto it
// (Mitzenmacher, "The power of two choices in randomized load balancing", 2001). Drawing by weight lets a heavy server
// among many light ones reach its share.
//
// Pure functions, O(servers); randomness is an argument.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <millrace/assert.h>

#include "dataplane/balance/server.h"

namespace millrace::balance {

/// From this many eligible servers on, least_conn draws two instead of comparing all.
inline constexpr size_t two_choices_from = 8;

/// True when `a` would be less loaded than `b` after taking one more relay. Both weights are above 0.
inline bool less_loaded(const Server& a, const Server& b) {
    if (fault(Fault::balance_least_conn_ignores_weight)) return a.open < b.open;
    return (uint64_t{a.open} + 1) * b.weight < (uint64_t{b.open} + 1) * a.weight;
}

/// The eligible server, other than `except`, that covers `point` when all are laid out by weight; `point` is below the
/// sum of their weights.
inline const Server* drawn_by_weight(std::span<const Server> servers, const ExcludedSlots& excluded,
                                     const Server* except, uint32_t point) {
    for (const Server& server : servers) {
        if (&server == except || !eligible(server, excluded)) continue;
        if (point < server.weight) return &server;
        point -= server.weight;
    }
    return nullptr;
}

/// Returns the slot of the server to take; empty when none is eligible. `random`: 64 uniform bits, fresh for each pick.
inline std::optional<uint16_t> least_conn(std::span<const Server> servers, uint64_t random,
                                          const ExcludedSlots& excluded) {
    MILLRACE_ASSERT(servers.size() <= server_slot_max);
    const uint32_t low = static_cast<uint32_t>(random), high = static_cast<uint32_t>(random >> 32);
    const auto below = [](uint32_t bits, uint32_t bound) {
        return static_cast<uint32_t>(uint64_t{bits} * bound >> 32);
    };

    // The comparison begins at a random server, or equal ones (all idle, say) would always yield the first.
    const size_t start = servers.empty() ? 0 : below(low, static_cast<uint32_t>(servers.size()));
    const Server* best = nullptr;
    uint32_t total = 0;
    size_t count = 0;
    const auto compare = [&](std::span<const Server> part) {
        for (const Server& server : part) {
            if (!eligible(server, excluded)) continue;
            ++count;
            total += server.weight;
            if (best == nullptr || less_loaded(server, *best)) best = &server;
        }
    };
    compare(servers.subspan(start));
    compare(servers.first(start));
    if (best == nullptr) return std::nullopt;
    if (count < two_choices_from) return best->slot;

    const Server* first = drawn_by_weight(servers, excluded, nullptr, below(low, total));
    const Server* second = drawn_by_weight(servers, excluded, first, below(high, total - first->weight));
    return less_loaded(*second, *first) ? second->slot : first->slot;
}

}  // namespace millrace::balance
