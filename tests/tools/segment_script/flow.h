// One flow of a script: how the script's relative numbers and those on the wire belong together.
//
// The peer's sequence numbers and timestamps are on the wire as the script has them. Ours are mapped: the initial
// sequence number by the first SYN that the script expects, timestamps by the values that outbound segments of the
// script showed, as far as they are known, else by the first of them.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "tests/tools/segment_script/packet.h"
#include "tests/tools/segment_script/script.h"

namespace millrace::script {

struct Flow {
    Flow(uint16_t local, uint16_t remote) : local_port(local), remote_port(remote) {}

    uint16_t local_port;
    uint16_t remote_port;
    std::optional<uint32_t> offset;           ///< our sequence numbers: wire less script
    bool fresh = false;                       ///< a new connection has begun: the next SYN of ours sets the offset
    uint16_t window = 65535;                  ///< of inbound segments that state none: as in the last one
    std::map<uint32_t, uint32_t> timestamps;  ///< TSval of ours: script to wire
    std::optional<std::pair<uint32_t, uint32_t>> first_timestamp;  ///< likewise

    /// An inbound segment as a packet, without its addresses.
    Packet to_wire(const SegmentSpec& spec);
    /// A packet of ours in the notation of scripts.
    std::string describe(const Packet& packet) const;
    /// Remembers the timestamps of a packet that was the expected one.
    void learn(const SegmentSpec& spec, const Packet& packet);
    /// A TSval of ours as the script would have it.
    uint32_t script_timestamp(uint32_t on_wire) const;
};

}  // namespace millrace::script
