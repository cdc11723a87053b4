// State that a connection needs only at times: bytes out of order, a FIN ahead of its time, loss recovery. It lies in
// one small chunk (warm.extension), allocated when the first of them begins and freed when the last has ended, so an
// idle connection holds none. Owner and thread as in endpoint.h.
#pragma once

#include <type_traits>

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/recovery_state.h"

namespace millrace::tcp {

struct Extension {
    static constexpr uint32_t recent_max = 4;

    store::ChunkId reassembly;  ///< first out-of-order chunk; ascending, linked by next, disjoint (reassembly.h)
    uint32_t reassembly_units;  ///< memory of these chunks in 128 B
    Seq recent[recent_max];     ///< where the latest segments landed in it, latest first (sack_blocks.h)
    Seq duplicate_left;         ///< what the next ACK reports as received twice; empty when both are equal
    Seq duplicate_right;
    uint16_t reassembly_chunks;
    uint8_t recent_count;
    uint8_t challenged;      ///< a challenge ACK was sent at challenged_ms
    uint32_t challenged_ms;  ///< low 32 bits of milliseconds
    uint8_t measuring;       ///< bulk arrives, and its rate is being measured
    uint8_t quick_acks;      ///< so many more segments are acknowledged at once; counts with `measuring`
    uint8_t fin_waiting;     ///< the peer's FIN arrived before the bytes in front of it; it stands at fin_seq
    Seq fin_seq;
    uint32_t receive_limit;   ///< largest window to advertise; counts with `measuring` (receive_window.h)
    uint32_t carried;         ///< bytes in a round trip, as measured last
    Seq measured_from;        ///< rcv_nxt when the present measurement began, at
    uint32_t measured_since;  ///< low 32 bits of microseconds
    RecoveryState recovery;
};
static_assert(sizeof(Extension) <= 240 && std::is_trivially_copyable_v<Extension>);

/// The extension, or null when there is none.
inline Extension* extension(const Context& ctx, Endpoint ep) {
    if (ep.warm.extension == store::no_chunk) return nullptr;
    return reinterpret_cast<Extension*>(ctx.chunks.capacity(ep.warm.extension).data());
}

/// The extension, zeroed when new; null when chunks are exhausted.
Extension* ensure_extension(const Context& ctx, Endpoint ep);

/// The last challenge ACK is too recent for another.
inline bool challenge_remembered(const Context& ctx, const Extension& state) {
    const uint32_t age_ms = static_cast<uint32_t>(ctx.now / us_per_ms) - state.challenged_ms;
    return state.challenged != 0 && age_ms < ctx.options.challenge_interval_ms;
}

/// Frees the extension when nothing in it is in use any more. Parts of it go out of use by the mere passing of time: an
/// owner's slow sweep calls it too.
void trim_extension(const Context& ctx, Endpoint ep);

}  // namespace millrace::tcp
