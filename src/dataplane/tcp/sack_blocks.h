// The SACK option that we send: which bytes wait out of order (RFC 2018 §4), and which arrived twice (D-SACK, RFC
// 2883). The reassembly list is the truth about what is held; beside it the extension remembers where the latest
// segments landed, since the block that changed last stands first and each is told of several times. Only pure ACKs
// carry the option: on data it would have to take room from the payload, and out-of-order data gets pure ACKs in any
// case. Internal to tcp/. What a peer's SACK option means is read elsewhere.
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/extension.h"

namespace millrace::tcp {

/// A segment that begins at `seq` was stored out of order: its block is the most recent one now.
void note_block(const Context& ctx, Endpoint ep, Extension& state, Seq seq);

/// [left, right) arrived though it was here already. The next ACK tells; ranges of one burst that touch become one.
void note_duplicate(const Context& ctx, Endpoint ep, Seq left, Seq right);

/// Something that note_duplicate() was told has not been reported yet.
inline bool duplicate_noted(const Extension& state) {
    return state.duplicate_left != state.duplicate_right;
}

/// Adds the option to a pure ACK, if there is anything to tell. `back` is how many more ACKs are owed for this burst:
/// so many of the latest blocks are left to them.
void fill_sack(const Context& ctx, Endpoint ep, uint32_t back, wire::TcpOptions& options);

}  // namespace millrace::tcp
