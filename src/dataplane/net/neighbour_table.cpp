#include "dataplane/net/neighbour_table.h"

#include <cstring>

#include <millrace/assert.h>

namespace millrace::net {
namespace {

uint32_t to_ms(TimeUs now) { return static_cast<uint32_t>(now / us_per_ms); }

}  // namespace

NeighbourTable::NeighbourTable(uint32_t capacity) : entries_(capacity), mask_(capacity - 1) {
    MILLRACE_ASSERT(capacity >= window && (capacity & mask_) == 0);
}

// Unkeyed: only addresses that we ourselves chose to reach enter the table, and a full window evicts, never chains.
uint32_t NeighbourTable::place(uint16_t interface, const IpAddress& address) const {
    uint64_t words[2];
    std::memcpy(words, address.bytes.data(), sizeof words);
    const uint64_t mixed = (words[0] * 0x9e3779b97f4a7c15 ^ words[1] ^ interface) * 0xbf58476d1ce4e5b9;
    return static_cast<uint32_t>(mixed >> 32) & mask_;
}

NeighbourTable::Entry* NeighbourTable::find(uint16_t interface, const IpAddress& address) {
    const uint32_t first = place(interface, address);
    for (uint32_t i = 0; i < window; ++i) {
        Entry& entry = entries_[(first + i) & mask_];
        if (entry.in_use && entry.interface == interface && entry.address == address) return &entry;
    }
    return nullptr;
}

NeighbourTable::Entry& NeighbourTable::make_room(uint16_t interface, const IpAddress& address, uint32_t now_ms) {
    const uint32_t first = place(interface, address);
    Entry* oldest = nullptr;
    for (uint32_t i = 0; i < window; ++i) {
        Entry& entry = entries_[(first + i) & mask_];
        if (!entry.in_use) return entry;
        if (oldest == nullptr || now_ms - entry.used_ms > now_ms - oldest->used_ms) oldest = &entry;
    }
    ++evicted_total_;
    return *oldest;
}

const MacAddress* NeighbourTable::resolve(uint16_t interface, const IpAddress& address, TimeUs now) {
    const uint32_t now_ms = to_ms(now);
    Entry* entry = find(interface, address);
    if (entry == nullptr) {
        entry = &make_room(interface, address, now_ms);
        *entry = {.address = address,
                  .mac = {},
                  .interface = interface,
                  .state = NeighbourState::incomplete,
                  .in_use = true,
                  .probes = 0,
                  .confirmed_ms = now_ms,
                  .asked_ms = now_ms - retry_ms,
                  .used_ms = now_ms};
        return nullptr;
    }
    entry->used_ms = now_ms;
    if (entry->state == NeighbourState::incomplete) return nullptr;
    if (entry->state == NeighbourState::reachable && now_ms - entry->confirmed_ms > reachable_ms) {
        entry->state = NeighbourState::stale;
        entry->probes = 0;
        entry->asked_ms = now_ms - retry_ms;
    }
    return &entry->mac;
}

void NeighbourTable::learn(uint16_t interface, const IpAddress& address, const MacAddress& mac, bool confirmed,
                           TimeUs now) {
    Entry* entry = find(interface, address);
    if (entry == nullptr) return;
    const bool was_unresolved = entry->state == NeighbourState::incomplete;
    const bool moved = entry->mac != mac;
    entry->mac = mac;
    if (confirmed || was_unresolved) {
        entry->state = NeighbourState::reachable;
        entry->confirmed_ms = to_ms(now);
        entry->probes = 0;
    } else if (moved) {
        // An announcement of another address: use it at once, but prove it.
        entry->state = NeighbourState::stale;
        entry->probes = 0;
        entry->asked_ms = to_ms(now) - retry_ms;
    }
    if (was_unresolved) ++changes_;
}

size_t NeighbourTable::due(std::span<Solicitation> out, uint32_t scan, TimeUs now) {
    const uint32_t now_ms = to_ms(now);
    size_t count = 0;
    for (uint32_t i = 0; i < scan && count < out.size(); ++i, scan_ = (scan_ + 1) & mask_) {
        Entry& entry = entries_[scan_];
        if (!entry.in_use || entry.state == NeighbourState::reachable) continue;
        if (now_ms - entry.asked_ms < retry_ms) continue;
        // Asked once after its last use and nobody came back: there is no one left to ask for.
        if (static_cast<int32_t>(entry.asked_ms - entry.used_ms) >= 0 && entry.probes > 0) {
            if (entry.state == NeighbourState::incomplete && now_ms - entry.used_ms > reachable_ms) entry.in_use = false;
            continue;
        }
        if (entry.state == NeighbourState::stale && entry.probes >= unicast_probes) {
            entry.state = NeighbourState::incomplete;
            entry.probes = 0;
        }
        entry.asked_ms = now_ms;
        if (entry.probes < 255) ++entry.probes;
        out[count++] = {entry.address, entry.interface,
                        entry.state == NeighbourState::stale ? std::optional(entry.mac) : std::nullopt};
    }
    return count;
}

uint32_t NeighbourTable::list(std::span<NeighbourRecord> out, TimeUs now) const {
    uint32_t count = 0;
    for (const Entry& entry : entries_) {
        if (!entry.in_use) continue;
        if (count < out.size())
            out[count] = {.address = entry.address,
                          .mac = entry.mac,
                          .interface = entry.interface,
                          .state = entry.state,
                          .reserved = {},
                          .age_ms = to_ms(now) - entry.confirmed_ms};
        ++count;
    }
    return count;
}

}  // namespace millrace::net
