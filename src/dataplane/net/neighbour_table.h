// Link-layer addresses of the neighbours we send to: the resolution cache of ARP (RFC 826, RFC 1122 §2.3.2) and of
// neighbour discovery (RFC 4861 §7.3), one state machine for both. Each worker has its own; the messages that teach it
// are given to every worker. Packets never wait here: who can't send yet tries again when `changes()` has moved.
//
//            use                     answer                    30 s, then use
//   (none) ───────► incomplete ───────────────► reachable ─────────────────────► stale ──(unicast probes)
//                    │  ▲  asks every second       ▲                               │ │
//                    └──┘  as long as it is used   └────────── answer ─────────────┘ └─ 3 unanswered ─► incomplete
//
// Only neighbours that we want to reach get an entry, so a flood of foreign ARP costs nothing. When the table is full,
// the entry of a probe window that was used longest ago gives way.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <millrace/address.h>
#include <millrace/commands.h>

#include "dataplane/base/time.h"

namespace millrace::net {

/// A question that the owner has to send out now.
struct Solicitation {
    IpAddress target;
    uint16_t interface;
    std::optional<MacAddress> unicast_to;  ///< where it was last seen; empty: broadcast or solicited-node multicast
};

class NeighbourTable {
  public:
    static constexpr uint32_t reachable_ms = 30'000;
    static constexpr uint32_t retry_ms = 1'000;
    static constexpr uint8_t unicast_probes = 3;

    /// `capacity` is a power of two; the memory is taken here and never grows.
    explicit NeighbourTable(uint32_t capacity);

    /// The address of a neighbour to send to now, or null while it is unresolved (a solicitation is then due).
    const MacAddress* resolve(uint16_t interface, const IpAddress& address, TimeUs now);

    /// An answer or announcement came. Updates an entry that exists; `confirmed` is true for an answer to our own
    /// question, which alone proves that the neighbour hears us (RFC 4861 §7.3.1).
    void learn(uint16_t interface, const IpAddress& address, const MacAddress& mac, bool confirmed, TimeUs now);

    /// Writes the solicitations that are due now into `out` and returns how many. Looks at `scan` entries a call.
    size_t due(std::span<Solicitation> out, uint32_t scan, TimeUs now);

    /// Moves whenever an unresolved neighbour becomes resolved.
    uint64_t changes() const { return changes_; }

    /// Fills `out` with entries and returns how many there are in all.
    uint32_t list(std::span<NeighbourRecord> out, TimeUs now) const;

    uint64_t evicted_total() const { return evicted_total_; }

  private:
    struct Entry {
        IpAddress address;
        MacAddress mac;
        uint16_t interface;
        NeighbourState state;
        bool in_use;
        uint8_t probes;          // unanswered ones since the last confirmation
        uint32_t confirmed_ms;
        uint32_t asked_ms;
        uint32_t used_ms;
    };

    static constexpr uint32_t window = 16;  // entries from the hashed place on in which an address may stand

    Entry* find(uint16_t interface, const IpAddress& address);
    Entry& make_room(uint16_t interface, const IpAddress& address, uint32_t now_ms);
    uint32_t place(uint16_t interface, const IpAddress& address) const;

    std::vector<Entry> entries_;
    uint32_t mask_;
    uint32_t scan_ = 0;
    uint64_t changes_ = 0;
    uint64_t evicted_total_ = 0;
};

}  // namespace millrace::net
