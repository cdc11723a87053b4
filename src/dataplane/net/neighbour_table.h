// Link-layer addresses of the neighbours we send to: the resolution cache of ARP (RFC 826, RFC 1122 §2.3.2) and of
// neighbour discovery (RFC 4861 §7.3), one state machine for both. Each worker has its own; the messages that teach it
// are given to every worker. Packets never wait here: who can't send yet tries again when `changes()` has moved.
//
//                         ┌────────────── answer ─────────────┐
//           use           │  answer               30 s, use   ▼
//   (none) ─────► incomplete ───────► reachable ──────────► stale ◄──── peer of a new relay, (none) before
//                 │  ▲    │ ▲            ▲                   │ │ ▲
//                 └──┘    │ │            └────── answer ─────┘ │ └───── another address, unasked for
//        asks each second │ └── 3 unicast questions unanswered ┘
//                         └── heard of, unasked for ─► stale
//
// Every question is caused by a use, at most one a second for a neighbour: nothing runs over the table. Only neighbours
// that a relay wants to reach get an entry, so neither foreign ARP nor SYNs and ACKs from spoofed neighbours cost
// anything: what answers those uses known() entries and makes none. An entry may stand in a few places only; when all
// are taken, one gives way that no answer has proven, else the one that was used longest ago; but none that was asked
// for a moment ago. Where all are, there is no place for now.
#pragma once

#include <array>
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
    IpAddress target{};
    uint16_t interface = 0;
    std::optional<MacAddress> unicast_to;  ///< where it was last seen; empty: broadcast or solicited-node multicast
};

/// What a message says of a neighbour (RFC 4861 §7.2.5).
struct NeighbourClaim {
    std::optional<MacAddress> mac;  ///< an answer to a unicast question may leave it out
    bool solicited = false;         ///< answers our own question, which alone proves that the neighbour hears us
    bool overrides = true;          ///< may replace another address that is known
};

class NeighbourTable {
  public:
    static constexpr uint32_t reachable_ms = 30'000;
    static constexpr uint32_t retry_ms = 1'000;
    static constexpr uint8_t unicast_questions = 3;
    static constexpr uint8_t broadcast_questions = 3;
    /// Most questions between two calls of clear_questions(). What finds no room is asked at a later use: this bounds
    /// the broadcasts that we send when many relays lose their neighbours at once.
    static constexpr size_t question_max = 16;

    /// `capacity` is a power of two, at least 16; the memory is taken here and never grows.
    explicit NeighbourTable(uint32_t capacity);

    /// The address of a neighbour to send to now, or null while it is unresolved.
    const MacAddress* resolve(uint16_t interface, const IpAddress& address, TimeUs now);

    /// The same of a neighbour that has an entry; null when it has none.
    const MacAddress* known(uint16_t interface, const IpAddress& address, TimeUs now);

    /// Whether an unresolved neighbour has left several broadcast questions unanswered: it is probably not there. It is
    /// asked for nevertheless as long as it is used.
    bool is_silent(uint16_t interface, const IpAddress& address, TimeUs now);

    /// A message about a neighbour came. Changes an entry that exists, never makes one. True when that changed.
    bool learn(uint16_t interface, const IpAddress& address, const NeighbourClaim& claim, TimeUs now);

    /// A peer that has completed a handshake sends from there: unless something is known of the neighbour, send to
    /// `mac` and verify it. Anything that is known (even that it doesn't answer) outweighs this, so that a spoofed
    /// packet can't keep a neighbour's true address out.
    void suppose(uint16_t interface, const IpAddress& address, const MacAddress& mac, TimeUs now);

    /// The same of every neighbour whose address `other` knows.
    void suppose_all(const NeighbourTable& other, TimeUs now);

    /// The questions that the uses since clear_questions() have caused.
    std::span<const Solicitation> questions() const { return std::span(questions_).first(question_count_); }
    void clear_questions() { question_count_ = 0; }

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
        bool proven;            // an answer confirmed `mac`, and nothing has put it in doubt since
        uint8_t questions;      // unanswered ones of this state
        uint32_t confirmed_ms;  // or made
        uint32_t asked_ms;
        uint32_t used_ms;
    };

    static constexpr uint32_t window = 16;  // entries from the hashed place on in which an address may stand

    static bool is_live(const Entry& entry, uint32_t now_ms);
    static bool is_awaited(const Entry& entry, uint32_t now_ms);
    uint32_t place(uint16_t interface, const IpAddress& address) const;
    Entry* find(uint16_t interface, const IpAddress& address, uint32_t now_ms);
    Entry* make(uint16_t interface, const IpAddress& address, NeighbourState state, uint32_t now_ms);
    const MacAddress* use(Entry& entry, uint32_t now_ms);
    static void doubt(Entry& entry);
    void ask(Entry& entry, uint32_t now_ms);

    std::vector<Entry> entries_;
    uint32_t mask_;
    std::array<Solicitation, question_max> questions_;
    size_t question_count_ = 0;
    uint64_t changes_ = 0;
    uint64_t evicted_total_ = 0;
};

}  // namespace millrace::net
