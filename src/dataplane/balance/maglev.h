// Maglev hashing (Eisenbud et al., "Maglev: a fast and reliable software network load balancer", NSDI 2016, §3.4): a
// table of prime size, filled so that each server holds its share by weight and that the loss of a server hardly moves
// the others' entries. The lookup is one load.
//
// The table is built off the workers (it allocates) whenever servers or weights are configured anew, and is read-only
// afterwards; it belongs to the list of servers that it was built for. A server that is unusable for a short while does
// not cause a build: the lookup passes over it, see maglev().
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/balance/ip_hash.h"
#include "dataplane/balance/server.h"

namespace millrace::balance {

/// The entry of a table without servers.
inline constexpr uint16_t maglev_empty = 0xffff;

/// How many entries a lookup tries before it falls back to ip_hash.
inline constexpr uint32_t maglev_probes = 16;

struct MaglevServer {
    uint64_t
        identity;  ///< a hash of what the server is (name, address, port); equal on every balancer that shares clients
    uint16_t weight;  ///< 0: no entry
};

/// Fills `table` with indices into `servers`. The size of the table is a prime and best ≥ 100 × the number
/// of servers; at most server_slot_max servers. A server whose share is below one entry may get none.
void maglev_build(std::span<const MaglevServer> servers, std::span<uint16_t> table);

/// Returns the slot for a key with that hash; empty when no server is eligible. `servers` is in the order in which the
/// table was built. When the entry's server is not eligible, the key is hashed again for another entry, and after
/// maglev_probes of them ip_hash decides over all eligible servers. So the choice depends on nothing but the key and
/// the set of eligible servers; the keys of eligible servers never move; those of a server that is out spread over the
/// others by weight (neighbouring entries would not do: the permutations are arithmetic progressions, so that the same
/// server tends to follow another), and come back when it returns. An entry beyond `servers` counts as not eligible.
inline std::optional<uint16_t> maglev(std::span<const uint16_t> table, std::span<const Server> servers, uint64_t hash,
                                      const ExcludedSlots& excluded) {
    if (!table.empty()) {
        uint64_t probe_hash = hash;
        for (uint32_t probe = 0; probe < maglev_probes; ++probe) {
            const uint16_t index = table[probe_hash % table.size()];
            if (index < servers.size() && eligible(servers[index], excluded)) return servers[index].slot;
            probe_hash = mix(hash, probe);
        }
    }
    return ip_hash(servers, hash, excluded);
}

}  // namespace millrace::balance
