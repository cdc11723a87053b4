// Which worker owns which shard, and how that changes while relays live. Called while every worker stands still, by
// whoever brought that about: the supervisor, or the simulator.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/relay/shard.h"
#include "dataplane/worker/worker.h"

namespace millrace::worker {

/// The owner of a shard while the first `polling` of `workers` workers poll. A device with RSS gives the shard's frames
/// to queue shard % workers, whose poller is that queue modulo `polling`: so the frames come to the owner, and the load
/// is even where `polling` divides `workers`.
constexpr uint16_t owner_of(uint32_t shard, uint16_t workers, uint16_t polling) {
    return static_cast<uint16_t>(shard % workers % polling);
}

/// Gives every shard to its owner and writes it into `owners`, by the shard's number; `shards` likewise. Returns how
/// many changed theirs.
uint32_t share_out(std::span<Worker* const> workers, std::span<relay::Shard* const> shards, std::span<uint16_t> owners,
                   uint16_t polling, TimeUs now);

}  // namespace millrace::worker
