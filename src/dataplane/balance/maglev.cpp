#include "dataplane/balance/maglev.h"

#include <algorithm>
#include <vector>

#include <millrace/assert.h>
#include <millrace/config_rules.h>

#include "dataplane/base/fault.h"

namespace millrace::balance {
namespace {

/// A server's place in its own permutation of the table: offset, offset + skip, offset + 2 skip, … modulo the size.
struct Turn {
    uint32_t position;
    uint32_t skip;
    uint32_t credit;  // in weights; a turn costs the largest weight
};

}  // namespace

void maglev_build(std::span<const MaglevServer> servers, std::span<uint16_t> table) {
    const uint32_t size = static_cast<uint32_t>(table.size());
    MILLRACE_ASSERT(table.size() <= maglev_size_max && is_prime(size) && servers.size() <= server_slot_max);
    std::fill(table.begin(), table.end(), maglev_empty);

    uint32_t weight_max = 0;
    std::vector<Turn> turns;
    turns.reserve(servers.size());
    for (const MaglevServer& server : servers) {
        weight_max = std::max<uint32_t>(weight_max, server.weight);
        turns.push_back({.position = static_cast<uint32_t>(mix(server.identity, 0) % size),
                         .skip = static_cast<uint32_t>(mix(server.identity, 1) % (size - 1)) + 1,
                         .credit = 0});
    }
    if (weight_max == 0) return;

    // Each round the heaviest servers take the next free entry of their permutation; the others do so in the fraction
    // of rounds that their weight is of the largest.
    for (uint32_t filled = 0;;) {
        for (size_t i = 0; i < servers.size(); ++i) {
            Turn& turn = turns[i];
            turn.credit += fault(Fault::balance_maglev_ignores_weights) ? weight_max : servers[i].weight;
            if (turn.credit < weight_max) continue;
            turn.credit -= weight_max;
            while (table[turn.position] != maglev_empty) {
                turn.position += turn.skip;
                if (turn.position >= size) turn.position -= size;
            }
            table[turn.position] = static_cast<uint16_t>(i);
            if (++filled == size) return;
        }
    }
}

}  // namespace millrace::balance
