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
    store::ChunkId reassembly;  ///< first out-of-order chunk; ascending, linked by next, disjoint (reassembly.h)
    uint16_t reassembly_chunks;
    uint8_t fin_waiting;  ///< the peer's FIN arrived before the bytes in front of it; it stands at fin_seq
    Seq fin_seq;
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

/// Frees the extension when nothing in it is in use any more.
void trim_extension(const Context& ctx, Endpoint ep);

}  // namespace millrace::tcp
