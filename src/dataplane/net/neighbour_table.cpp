#include "dataplane/net/neighbour_table.h"

#include <cstring>
#include <utility>

#include <millrace/assert.h>

#include "dataplane/base/fault.h"

namespace millrace::net {
namespace {

uint32_t to_ms(TimeUs now) {
    return static_cast<uint32_t>(now / us_per_ms);
}

}  // namespace

NeighbourTable::NeighbourTable(uint32_t capacity) : entries_(capacity), mask_(capacity - 1) {
    MILLRACE_ASSERT(capacity >= window && (capacity & mask_) == 0);
}

/// An unresolved neighbour that nobody has wanted for long is as good as unknown, and its entry is free.
bool NeighbourTable::is_live(const Entry& entry, uint32_t now_ms) {
    return entry.in_use && (entry.state != NeighbourState::incomplete || now_ms - entry.used_ms <= reachable_ms);
}

// Unkeyed: only addresses that we ourselves chose to reach enter the table, and a full window evicts, never chains. Two
// rounds, since neighbours may differ in the highest bits alone, which one multiplication leaves there.
uint32_t NeighbourTable::place(uint16_t interface, const IpAddress& address) const {
    uint64_t words[2];
    std::memcpy(words, address.bytes.data(), sizeof words);
    uint64_t mixed = words[0] * 0x9e3779b97f4a7c15 ^ words[1] ^ interface;
    mixed = (mixed ^ mixed >> 32) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 32) * 0x94d049bb133111eb;
    return static_cast<uint32_t>(mixed >> 32) & mask_;
}

NeighbourTable::Entry* NeighbourTable::find(uint16_t interface, const IpAddress& address, uint32_t now_ms) {
    const uint32_t first = place(interface, address);
    for (uint32_t i = 0; i < window; ++i) {
        Entry& entry = entries_[(first + i) & mask_];
        if (entry.interface == interface && entry.address == address && is_live(entry, now_ms)) return &entry;
    }
    return nullptr;
}

/// Asked for a moment ago: whoever took the place would only be asked for in its turn, and many who want few places
/// could for ever keep each other from an answer.
bool NeighbourTable::is_awaited(const Entry& entry, uint32_t now_ms) {
    return entry.state == NeighbourState::incomplete && entry.questions <= broadcast_questions &&
           now_ms - entry.asked_ms < retry_ms && !fault(Fault::net_neighbours_evict_the_awaited);
}

NeighbourTable::Entry* NeighbourTable::make(uint16_t interface, const IpAddress& address, NeighbourState state,
                                            uint32_t now_ms) {
    const uint32_t first = place(interface, address);
    Entry* chosen = nullptr;
    const auto dispensable = [&](const Entry& entry) {
        return std::pair(!is_live(entry, now_ms) ? 2 : !entry.proven ? 1 : 0, now_ms - entry.used_ms);
    };
    for (uint32_t i = 0; i < window; ++i) {
        Entry& entry = entries_[(first + i) & mask_];
        if (is_live(entry, now_ms) && is_awaited(entry, now_ms)) continue;
        if (chosen == nullptr || dispensable(entry) > dispensable(*chosen)) chosen = &entry;
    }
    if (chosen == nullptr) return nullptr;
    if (is_live(*chosen, now_ms)) ++evicted_total_;
    *chosen = {.address = address,
               .mac = {},
               .interface = interface,
               .state = state,
               .in_use = true,
               .proven = false,
               .questions = 0,
               .confirmed_ms = now_ms,
               .asked_ms = now_ms - retry_ms,
               .used_ms = now_ms};
    return chosen;
}

/// Go on sending there, but have it confirmed when it is used.
void NeighbourTable::doubt(Entry& entry) {
    entry.state = NeighbourState::stale;
    entry.questions = 0;
}

const MacAddress* NeighbourTable::resolve(uint16_t interface, const IpAddress& address, TimeUs now) {
    const uint32_t now_ms = to_ms(now);
    Entry* entry = find(interface, address, now_ms);
    if (entry == nullptr) entry = make(interface, address, NeighbourState::incomplete, now_ms);
    return entry == nullptr ? nullptr : use(*entry, now_ms);
}

const MacAddress* NeighbourTable::known(uint16_t interface, const IpAddress& address, TimeUs now) {
    if (fault(Fault::net_flood_fills_neighbours)) return resolve(interface, address, now);
    const uint32_t now_ms = to_ms(now);
    Entry* entry = find(interface, address, now_ms);
    return entry == nullptr ? nullptr : use(*entry, now_ms);
}

const MacAddress* NeighbourTable::use(Entry& entry, uint32_t now_ms) {
    entry.used_ms = now_ms;
    if (entry.state == NeighbourState::reachable && now_ms - entry.confirmed_ms > reachable_ms &&
        !fault(Fault::net_stale_never_probed))
        doubt(entry);
    if (entry.state != NeighbourState::reachable && now_ms - entry.asked_ms >= retry_ms) ask(entry, now_ms);
    return entry.state == NeighbourState::incomplete ? nullptr : &entry.mac;
}

void NeighbourTable::ask(Entry& entry, uint32_t now_ms) {
    if (entry.state == NeighbourState::stale && entry.questions == unicast_questions) {
        entry.state = NeighbourState::incomplete;
        entry.proven = false;
        entry.questions = 0;
    }
    if (question_count_ == question_max) return;
    const bool unicast = entry.state == NeighbourState::stale;
    if (entry.questions <= broadcast_questions) ++entry.questions;
    entry.asked_ms = now_ms;
    questions_[question_count_++] = {entry.address, entry.interface, unicast ? std::optional(entry.mac) : std::nullopt};
}

bool NeighbourTable::is_silent(uint16_t interface, const IpAddress& address, TimeUs now) {
    const Entry* entry = find(interface, address, to_ms(now));
    // The one more is asked when the last of them has had its second.
    return entry != nullptr && entry->state == NeighbourState::incomplete && entry->questions > broadcast_questions;
}

bool NeighbourTable::learn(uint16_t interface, const IpAddress& address, const NeighbourClaim& claim, TimeUs now) {
    const uint32_t now_ms = to_ms(now);
    Entry* entry = find(interface, address, now_ms);
    if (entry == nullptr) return false;
    const bool unresolved = entry->state == NeighbourState::incomplete;
    if (unresolved && !claim.mac) return false;
    const bool moved = unresolved || (claim.mac && *claim.mac != entry->mac);
    if (moved && !unresolved && !claim.overrides) return false;
    if (claim.mac) entry->mac = *claim.mac;
    if (claim.solicited || fault(Fault::net_neighbour_confirmed_unasked)) {
        entry->state = NeighbourState::reachable;
        entry->proven = true;
        entry->questions = 0;
        entry->confirmed_ms = now_ms;
    } else if (moved) {
        entry->proven = false;
        doubt(*entry);
    }
    if (unresolved) ++changes_;
    return moved || claim.solicited;
}

void NeighbourTable::suppose(uint16_t interface, const IpAddress& address, const MacAddress& mac, TimeUs now) {
    const uint32_t now_ms = to_ms(now);
    if (find(interface, address, now_ms) != nullptr) return;
    if (Entry* entry = make(interface, address, NeighbourState::stale, now_ms)) entry->mac = mac;
}

void NeighbourTable::suppose_all(const NeighbourTable& other, TimeUs now) {
    for (const Entry& entry : other.entries_)
        if (is_live(entry, to_ms(now)) && entry.state != NeighbourState::incomplete)
            suppose(entry.interface, entry.address, entry.mac, now);
}

uint32_t NeighbourTable::list(std::span<NeighbourRecord> out, TimeUs now) const {
    const uint32_t now_ms = to_ms(now);
    uint32_t count = 0;
    for (const Entry& entry : entries_) {
        if (!is_live(entry, now_ms)) continue;
        if (count < out.size())
            out[count] = {.address = entry.address,
                          .mac = entry.mac,
                          .interface = entry.interface,
                          .state = entry.state,
                          .reserved = {},
                          .age_ms = now_ms - entry.confirmed_ms};
        ++count;
    }
    return count;
}

}  // namespace millrace::net
