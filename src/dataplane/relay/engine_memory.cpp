// What happens when chunk memory runs short. It is shared by all relays of a shard, and a peer that stops reading, or
// that sends a head without its end, holds some of it for as long as it likes; so few peers could take it all. With
// less and less of it free (Shortage):
//
//   1/2   no buffer grows any more beyond the size that it has (tcp/receive_window.h tells when one does).
//   1/4   what may wait for one peer goes back to the first size, what is in flight included, and then shrinks in
//         proportion, and the windows that we advertise with it: bulk slows down, nobody is harmed. What was advertised
//         before is kept. What comes out of order is held no more, since its senders could let it wait for ever; it
//         comes again.
//   1/8   new clients are reset, and relays give way, one each millisecond: those whose request, or record of TLS, is
//         not whole after a second, the largest of some hundred first; then those that hold payload for a peer which
//         has taken less than drain_rate_min for some seconds, the slowest first. These are watched from the quarter
//         on.
//   1/16  the rest is for heads and for relays that hold little: who holds more gets nothing more. Payload that comes
//         all the same is not acknowledged, and its sender sends it again.
//
// Each step is counted. Runs on the shard's worker.

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/relay/engine.h"
#include "dataplane/tcp/receive_window.h"
#include "dataplane/tcp/sender.h"

namespace millrace::relay {
namespace {

constexpr uint32_t small_queue_bytes = 4096;     // what a relay may always hold
constexpr uint32_t relief_records = 256;         // looked at in one step
constexpr TimeUs drain_watch_us = 4 * us_per_s;  // before it is judged how fast a relay drains
constexpr TimeUs head_grace_us = us_per_s;

}  // namespace

/// How many more bytes may come from `side`: what waits for the other one to be sent is bounded by what a window toward
/// `side` is worth, and that together with what is on its way there by the maximum.
uint32_t Engine::relay_space(Ref r, Side side) {
    const tcp::Endpoint to = r.relay.endpoint(other(side));
    uint32_t limit = tcp_options_.receive_window_bytes, bound = limit;
    if (r.shard.shortage() < Shortage::low) {
        limit = tcp::receive_limit(context(r.shard), r.relay.endpoint(side));
        bound = std::max(limit, tcp_options_.receive_window_max_bytes);
    } else {
        const store::ChunkStore& chunks = r.shard.chunks;
        const auto share = static_cast<uint32_t>(limit * chunks.bytes_free() / (chunks.bytes_total() / 4));
        limit = bound = std::clamp(share, std::min(small_queue_bytes, limit), limit);
    }
    if (fault(Fault::relay_window_ignores_queue)) return limit;
    const uint32_t unsent = tcp::unsent_bytes(to), queued = tcp::send_queue_bytes(to.warm);
    return std::min(limit - std::min(unsent, limit), bound - std::min(queued, bound));
}

/// Appends to a side's send queue; returns how many bytes were taken.
size_t Engine::enqueue(Ref r, Side to, std::span<const uint8_t> bytes) {
    const tcp::Endpoint ep = r.relay.endpoint(to);
    if (r.shard.shortage() == Shortage::dire) {
        const uint32_t room = small_queue_bytes - std::min(tcp::send_queue_bytes(ep.warm), small_queue_bytes);
        if (room < bytes.size()) ++stats_.worker.payload_refused_for_memory;
        bytes = bytes.first(std::min<size_t>(room, bytes.size()));
        if (bytes.empty()) return 0;
    }
    return send_to(r, to, bytes);
}

/// The memory of what is long in coming to its end: a request's head, the words of a handshake, or a record of TLS.
uint32_t Engine::slow_bytes(Ref r) {
    uint32_t bytes = 0;
    if (r.relay.phase == Phase::reading_head || r.relay.phase == Phase::tls_handshake) {
        const Setup& setup = setup_of(r);
        if (setup.request != store::no_chunk && now_ - setup.started >= head_grace_us)
            bytes += static_cast<uint32_t>(r.shard.chunks.capacity(setup.request).size());
    }
    for (const Side side : {Side::client, Side::server}) {
        // Not one that waits because the other side takes nothing: that is judged by how it drains.
        if (!r.relay.has_tls(side) || tls_end(r, side).raw == store::no_chunk || holds_much(r, other(side))) continue;
        const TlsEnd& end = tls_end(r, side);
        const auto age_ms = static_cast<int32_t>(static_cast<uint32_t>(now_ / us_per_ms) - end.raw_since_ms);
        if (age_ms >= static_cast<int32_t>(head_grace_us / us_per_ms))
            bytes += static_cast<uint32_t>(r.shard.chunks.capacity(end.raw).size());
    }
    return bytes;
}

/// Whether `side` has much to take that was not acknowledged yet.
bool Engine::holds_much(Ref r, Side side) {
    const tcp::Endpoint ep = r.relay.endpoint(side);
    return r.relay.is_open(side) && !tcp::syn_unacknowledged(ep.hot) &&
           tcp::send_queue_bytes(ep.warm) > small_queue_bytes;
}

/// Goes on to the next relays: watches those that hold much, and returns which has the largest slow head, or no_index.
uint32_t Engine::look_for_holders(Shard& shard) {
    const uint32_t end = shard.relays.high_water();
    uint32_t most = small_queue_bytes, chosen = store::no_index;
    for (uint32_t left = std::min(end, relief_records); left > 0; --left) {
        if (shard.relief >= end) shard.relief = 0;
        const uint32_t index = shard.relief++;
        shard.relays.prefetch(shard.relief + 4);
        if (!shard.relays.is_live(index)) continue;
        const Ref r = ref(shard, index);
        for (const Side side : {Side::client, Side::server})
            if (holds_much(r, side))
                shard.drains.add({.since = now_,
                                  .index = index,
                                  .generation = r.relay.generation,
                                  .acknowledged = r.relay.hot(side).snd_una,
                                  .side = side});
        const uint32_t bytes = slow_bytes(r);
        if (bytes <= most) continue;
        most = bytes;
        chosen = index;
    }
    return chosen;
}

/// The slowest of the relays watched that drain too slowly, of equals the one that holds most, or no_index. Those that
/// drain well or hold little are watched no longer: the next look finds them if they hold much then.
uint32_t Engine::slowest_drain(Shard& shard) {
    uint64_t slowest = config_->snapshot().dataplane().drain_rate_min;
    uint32_t most = 0, chosen = store::no_index;
    for (DrainWatch::Entry& entry : shard.drains.entries()) {
        if (entry.since == 0 || now_ - entry.since < drain_watch_us) continue;
        const Ref r = ref(shard, entry.index);
        const bool holds =
            shard.relays.is_live(entry.index) && r.relay.generation == entry.generation && holds_much(r, entry.side);
        const uint64_t rate = holds ? entry.rate(r.relay.hot(entry.side).snd_una, now_) : 0;
        if (!holds || rate >= config_->snapshot().dataplane().drain_rate_min) {
            entry.since = 0;
            continue;
        }
        const uint32_t bytes = tcp::send_queue_bytes(r.relay.endpoint(entry.side).warm);
        if (rate > slowest || (rate == slowest && bytes <= most)) continue;
        slowest = rate;
        most = bytes;
        chosen = entry.index;
    }
    return chosen;
}

/// One step of the search for who gives way.
void Engine::relieve(Shard& shard) {
    if (shard.shortage() < Shortage::low || fault(Fault::relay_keeps_stalled_readers)) return shard.drains.clear();
    const uint32_t slow_head = look_for_holders(shard), slow_drain = slowest_drain(shard);
    const uint32_t chosen = slow_head != store::no_index ? slow_head : slow_drain;
    if (chosen == store::no_index || shard.shortage() < Shortage::scarce) return;
    ++stats_.worker.relays_reset_for_memory;
    abort(ref(shard, chosen), Closer::balancer, CloseReason::no_memory);
}

}  // namespace millrace::relay
