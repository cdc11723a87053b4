// A shard leaves one worker's engine or joins another's, while all of them stand still. Its relays, tables, timers and
// queues are in the shard and go with it; here is what an engine keeps of them elsewhere: its gauges, its streams
// and its handshakes.

#include <algorithm>
#include <limits>

#include "dataplane/base/fault.h"
#include "dataplane/relay/engine.h"

namespace millrace::relay {

void Engine::release_shard(Shard& shard, TimeUs now) {
    now_ = now;
    give_up_streams(shard);
    give_up_handshakes(shard);
    if (!fault(Fault::relay_gauges_stay_behind)) add_gauges(shard.gauges, -1);
    std::erase(shards_, &shard);
}

void Engine::take_shard(Shard& shard, TimeUs now) {
    now_ = now;
    add_gauges(shard.gauges, 1);
    if (!fault(Fault::relay_moved_shard_unpolled)) shards_.push_back(&shard);
}

void Engine::after_moves(TimeUs now) {
    now_ = now;
    // What is parked here now may wait for a neighbour that this worker knows.
    seen_neighbour_changes_ = std::numeric_limits<uint64_t>::max();
    publish_gauges();
}

/// Control, which would send to them through this worker, is told that they have ended, and their own deadline, which
/// has come, resets them on the worker that takes the shard.
void Engine::give_up_streams(Shard& shard) {
    for (StreamSlot& slot : streams_) {
        if (slot.shard != &shard) continue;
        if (shard.relays.get(slot.handle) != nullptr) {
            const Ref r = ref(shard, slot.handle.index);
            tell_stream_closed(r, StreamEnd::no_memory);
            setup_of(r).deadline = now_;
            mark_ready(r);
        }
        slot = {};
    }
}

void Engine::add_gauges(Gauges& gauges, int64_t sign) {
    const auto add = [&](Counter& ours, uint32_t count) {
        if (count != 0) ours += static_cast<uint64_t>(sign * int64_t{count});
    };
    add(stats_.worker.relays_open, gauges.relays);
    for (size_t i = 1; i < Gauges::phase_count; ++i) add(phase_gauge(static_cast<Phase>(i)), gauges.phases[i]);
    for (size_t i = 0; i < listener_slot_max; ++i) add(stats_.listeners[i].open, gauges.listeners[i]);
    for (size_t i = 0; i < server_slot_max; ++i) {
        const uint32_t count = gauges.servers[i];
        add(stats_.servers[i].open, count);
        // What least_conn sees in all stays as it was until it reads the others' counts again.
        if (sign < 0)
            open_elsewhere_[i] += count;
        else
            open_elsewhere_[i] -= std::min(open_elsewhere_[i], count);
    }
}

}  // namespace millrace::relay
