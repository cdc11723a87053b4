// ip_hash by weighted rendezvous hashing (Thaler, Ravishankar, "Using name-based mappings to increase hit rates",
// 1998): each eligible server draws, from the client's hash and its own slot, an exponential variate with its weight as
// rate; the smallest wins. A server wins in proportion to its weight, and when it goes, its clients alone move, spread
// over the others by weight; when it returns, exactly they come back. A changed weight moves only the difference.
// Modulo hashing would move nearly every client.
//
// The hash of the client is the caller's (client_hash of dataplane/base/siphash.h: the whole IPv4 address, an IPv6
// /64). Pure functions, O(servers).
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/balance/server.h"

namespace millrace::balance {

/// 64 well-mixed bits of a hash and a slot (the finalizer of SplitMix64). Not secret: the hash must be keyed.
inline uint64_t mix(uint64_t hash, uint64_t value) {
    uint64_t bits = hash + (value + 1) * 0x9e3779b97f4a7c15;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

/// Returns the slot of the server for a client with that hash; empty when none is eligible.
inline std::optional<uint16_t> ip_hash(std::span<const Server> servers, uint64_t hash, const ExcludedSlots& excluded) {
    const Server* best = nullptr;
    double best_time = 0;
    for (size_t i = 0; i < servers.size(); ++i) {
        const Server& server = servers[i];
        if (!eligible(server, excluded)) continue;
        const uint64_t identity = fault(Fault::balance_ip_hash_by_position) ? i : server.slot;
        const double uniform = (static_cast<double>(mix(hash, identity) >> 11) + 0.5) * 0x1p-53;  // in (0, 1)
        // Most servers lose without the logarithm, since -ln(u) ≥ 1 - u.
        if (best != nullptr && 1 - uniform >= best_time * server.weight) continue;
        const double time = -std::log(uniform) / server.weight;
        if (best == nullptr || time < best_time) {
            best = &server;
            best_time = time;
        }
    }
    if (best == nullptr) return std::nullopt;
    return best->slot;
}

}  // namespace millrace::balance
