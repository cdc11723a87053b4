// The TLS of one side of a relay: 256 bytes in an array of the shard's region, one array for each side, at the relay's
// index. The arrays exist only where crypto threads are configured, cost nothing where no relay uses them, and lie on
// pages that core dumps leave out. Used while the relay has_tls() on that side; wiped when the relay, or its connection
// to that server, ends. Owned by the worker of its shard.
#pragma once

#include <cstdint>
#include <type_traits>

#include "dataplane/relay/record.h"
#include "tls/record/post_handshake.h"
#include "tls/record/slot.h"

namespace millrace::relay {

inline constexpr uint16_t no_seat = 0xffff;

struct TlsEnd {
    tls::Slot slot;          ///< all zero until the handshake is done
    store::ChunkId raw;      ///< bytes of a record that is not whole yet, or no_chunk
    uint32_t raw_since_ms;   ///< low 32 bits of when its first byte came
    uint16_t delivered;      ///< bytes of the next record's payload that have gone on: for the rest there was no memory
    uint16_t seat;           ///< of its handshake (handshakes.h), or no_seat
    uint8_t waits_for_seat;  ///< 0, or Engine::waits_as() of the queue in which it stands
    tls::Verdict::Kind verdict;  ///< on what came beside application data; from `closed` on nothing more is read
    tls::Alert alert;            ///< with the verdict
    uint8_t judged;              ///< 1: what follows from the verdict is done
    uint8_t refused;             ///< 1: a record waits in raw, or comes again, because we had no memory for it
    uint8_t reserved[15];

    bool established() const { return slot.version != tls::Version{}; }
    /// The peer will say nothing more that counts.
    bool ended() const { return verdict >= tls::Verdict::Kind::closed; }
};
static_assert(sizeof(TlsEnd) == 256 && std::is_trivially_copyable_v<TlsEnd> && std::is_standard_layout_v<TlsEnd>);

/// With at most 12 bytes for each of two entries in the flow table: what an idle relay takes.
static_assert(sizeof(Relay) + sizeof(TlsEnd) + 2 * 12 <= 768);

}  // namespace millrace::relay
