// What the relays of one shard count for in the gauges of the worker that owns it. It stands in the shard, so that a
// shard that changes its worker takes it along: the one worker's gauges fall by it and the other's rise.
#pragma once

#include <array>
#include <cstdint>

#include <millrace/limits.h>

#include "dataplane/relay/record.h"

namespace millrace::relay {

struct Gauges {
    static constexpr size_t phase_count = static_cast<size_t>(Phase::stream) + 1;

    uint32_t relays = 0;  ///< without streams
    std::array<uint32_t, phase_count> phases{};
    std::array<uint32_t, listener_slot_max> listeners{};  ///< relays, by the listener's slot
    std::array<uint32_t, server_slot_max> servers{};      ///< relays that count for a server, by its slot

    uint32_t& phase(Phase phase) { return phases[static_cast<size_t>(phase)]; }
};

}  // namespace millrace::relay
