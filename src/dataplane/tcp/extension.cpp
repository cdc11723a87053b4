#include "dataplane/tcp/extension.h"

#include <cstring>

namespace millrace::tcp {

Extension* ensure_extension(const Context& ctx, Endpoint ep) {
    if (Extension* existing = extension(ctx, ep)) return existing;
    const store::ChunkId id = ctx.chunks.allocate(sizeof(Extension));
    if (id == store::no_chunk) return nullptr;
    ctx.chunks.header(id).length = sizeof(Extension);
    std::memset(ctx.chunks.capacity(id).data(), 0, sizeof(Extension));
    ep.warm.extension = id;
    return extension(ctx, ep);
}

void trim_extension(const Context& ctx, Endpoint ep) {
    const Extension* state = extension(ctx, ep);
    if (state == nullptr || state->reassembly != store::no_chunk || state->fin_waiting != 0) return;
    if (state->duplicate_left != state->duplicate_right || challenge_remembered(ctx, *state)) return;
    if (state->measuring != 0) return;
    if (ep.hot.has(flag_fast_recovery) || ep.hot.has(flag_rto_recovery) || state->recovery.in_use()) return;
    const store::ChunkId id = ep.warm.extension;
    ep.warm.extension = store::no_chunk;
    ctx.chunks.free(id);
}

}  // namespace millrace::tcp
