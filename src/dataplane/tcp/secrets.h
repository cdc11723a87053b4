// Keyed values of a connection: initial sequence numbers (RFC 6528), timestamp offsets (RFC 7323 §7.1), table keys. The
// keys lie in the region, so that they survive the process; everything derived here can be computed again from a
// segment's addresses and ports.
#pragma once

#include <cstdint>

#include <millrace/address.h>

#include "dataplane/base/siphash.h"
#include "dataplane/base/time.h"
#include "dataplane/tcp/seq.h"

namespace millrace::tcp {

struct Secrets {
    SipKey isn;         ///< initial sequence numbers
    SipKey timestamps;  ///< timestamp offsets
    SipKey tables;      ///< half-open and TIME_WAIT tables, challenge ACK jitter
    SipKey cookies;     ///< SYN cookies
};

/// A connection's name, seen from our side.
struct Tuple {
    IpAddress local;
    IpAddress peer;
    uint16_t local_port = 0;
    uint16_t peer_port = 0;
};

/// RFC 6528 §3: a keyed hash of the tuple plus a clock that ticks every 4 µs. Never repeats within a tuple for 4.7 h.
Seq initial_sequence_number(const Secrets& secrets, const Tuple& tuple, TimeUs now);

/// Constant for a tuple, so that timestamps go on rising over consecutive connections of it (RFC 6191).
uint32_t timestamp_offset(const Secrets& secrets, const Tuple& tuple);

uint64_t table_hash(const Secrets& secrets, const Tuple& tuple);

/// TSval at `now`: milliseconds plus the connection's offset (RFC 7323 §5.4 asks for a tick of 1 ms … 1 s).
inline uint32_t timestamp_value(uint32_t offset, TimeUs now) {
    return static_cast<uint32_t>(now / us_per_ms) + offset;
}

}  // namespace millrace::tcp
