// What stays of a client's TLS when its handshake is done: 232 bytes in an array of its own (Tables::tls_ends), at the
// connection's index in the clients' pool. The array exists only in a run with TLS. All zero: no handshake is done.
#pragma once

#include <cstdint>
#include <type_traits>

#include "dataplane/store/chunk_store.h"
#include "tls/record/post_handshake.h"
#include "tls/record/slot.h"

namespace millrace::load {

struct TlsEnd {
    tls::Slot slot;
    store::ChunkId raw;          ///< the part of a record that has come, or no_chunk
    tls::Verdict::Kind verdict;  ///< on what came beside application data; from `closed` on nothing more is read
    tls::Alert alert;            ///< with the verdict
    uint8_t judged;              ///< 1: what follows from the verdict is done
    uint8_t reads_along;         ///< 1: its handshake's SSL object waits for a ticket (handshakes.h)

    bool established() const { return slot.version != tls::Version{}; }
    /// The server will say nothing more that counts.
    bool ended() const { return verdict >= tls::Verdict::Kind::closed; }
};
static_assert(sizeof(TlsEnd) == sizeof(tls::Slot) + 8 && std::is_trivially_copyable_v<TlsEnd>);

}  // namespace millrace::load
