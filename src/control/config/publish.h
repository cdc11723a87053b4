// Turns a configuration into a snapshot, giving every listener, backend and server its slot.
//
// A slot is an identity that outlives reloads and restarts of control: statistics, server states and live relays are
// filed under it. So an entry keeps the slot that the previous snapshot gave to the same name (a server: the same
// backend, name and address), and a new entry gets one that is free: no snapshot that the dataplane may use has it, and
// no live relay is filed under it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <millrace/snapshot.h>

#include "control/config/model.h"

namespace millrace::control {

enum class SlotKind : uint8_t { listener, backend, server };

/// True when no worker has anything open under this slot, nor will have: no snapshot that the dataplane has in force or
/// may yet take uses it.
using SlotIsIdle = std::function<bool(SlotKind, uint16_t slot)>;

struct PublishResult {
    std::optional<SnapshotBuilder> snapshot;  ///< empty on failure
    std::vector<uint16_t>
        new_server_slots;  ///< of servers that the previous snapshot did not have: their ServerControl
                           ///< may hold what an earlier owner of the slot left, and must be reset
    std::string error;     ///< which kind of slot ran out
};

/// `config` must come from a LoadResult that is ok(). `previous`: the snapshot published last, or null for a first one.
/// `in_force`: what the dataplane still runs with if that is another one; its entries keep their slots likewise.
/// Deterministic: the same configuration on the same previous snapshot gives the same content hash; on the snapshot
/// that it made itself it gives that snapshot's content again.
PublishResult to_snapshot(const Config& config, const SnapshotView* previous, const SlotIsIdle& is_idle,
                          const SnapshotView* in_force = nullptr);

}  // namespace millrace::control
