// Servers for the tests of the pick algorithms, and the measure of how far a distribution is from its weights.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <map>
#include <span>
#include <vector>

#include "dataplane/balance/server.h"

namespace millrace::balance {

/// Usable, idle servers of these weights; slots 100, 107, 114, … so that no slot equals an index.
inline std::vector<Server> servers_of(std::span<const uint16_t> weights) {
    std::vector<Server> servers;
    for (uint16_t weight : weights)
        servers.push_back(
            {.slot = static_cast<uint16_t>(100 + 7 * servers.size()), .weight = weight, .usable = true, .open = 0});
    return servers;
}

inline std::vector<Server> servers_of(std::initializer_list<uint16_t> weights) {
    return servers_of(std::span(weights.begin(), weights.size()));
}

inline std::vector<Server> equal_servers(size_t count) {
    return servers_of(std::vector<uint16_t>(count, 1));
}

inline ExcludedSlots excluding(std::initializer_list<uint16_t> slots) {
    ExcludedSlots excluded;
    for (uint16_t slot : slots)
        if (!excluded.add(slot)) std::abort();
    return excluded;
}

/// How often each slot was chosen.
using Picks = std::map<uint16_t, uint32_t>;

/// Chi-square of the picks against the weights, as standard deviations from its mean: for independent picks by weight
/// it is within ±4 nearly always.
inline double deviation_from_weights(const Picks& picks, std::span<const Server> servers) {
    double total_weight = 0, total_picks = 0, chi_square = 0;
    for (const Server& server : servers) total_weight += server.weight;
    for (const auto& [slot, count] : picks) total_picks += count;
    for (const Server& server : servers) {
        const double expected = total_picks * server.weight / total_weight;
        const auto found = picks.find(server.slot);
        const double difference = (found == picks.end() ? 0 : found->second) - expected;
        chi_square += difference * difference / expected;
    }
    const double degrees = static_cast<double>(servers.size()) - 1;
    return (chi_square - degrees) / std::sqrt(2 * degrees);
}

}  // namespace millrace::balance
