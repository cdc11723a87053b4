#include "dataplane/worker/share_out.h"

#include <array>
#include <bitset>

#include <millrace/assert.h>

namespace millrace::worker {

uint32_t share_out(std::span<Worker* const> workers, std::span<relay::Shard* const> shards, std::span<uint16_t> owners,
                   uint16_t polling, TimeUs now) {
    MILLRACE_ASSERT(polling != 0 && polling <= workers.size() && shards.size() == owners.size());
    uint32_t moved = 0;
    std::array<std::bitset<worker_max>, worker_max> learnt;  // [who][from whom]
    for (relay::Shard* shard : shards) {
        const uint16_t from = owners[shard->number];
        const uint16_t to = owner_of(shard->number, static_cast<uint16_t>(workers.size()), polling);
        if (from == to) continue;
        if (!learnt[to][from]) workers[to]->learn_neighbours(*workers[from], now);
        learnt[to].set(from);
        workers[from]->release_shard(*shard, now);
        workers[to]->take_shard(*shard, now);
        owners[shard->number] = to;
        ++moved;
    }
    if (moved != 0)
        for (Worker* worker : workers) worker->after_moves(now);
    return moved;
}

}  // namespace millrace::worker
