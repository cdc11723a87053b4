// Which interface and which next hop lead to an address: the longest prefix wins, the connected prefix of one of our
// own addresses before a static route of equal length. Built from a snapshot, then read-only and shared by all workers.
//
// A lookup walks the prefixes of the family, longest first: there are as many as there are networks, not addresses.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include <millrace/snapshot.h>

namespace millrace::config {

struct NextHop {
    uint16_t interface;
    IpAddress address;  ///< whom to resolve: the destination itself when it is on the link, else a gateway

    bool operator==(const NextHop&) const = default;
};

class RoutingTable {
  public:
    explicit RoutingTable(const SnapshotView& config);

    /// Empty when nothing leads there.
    std::optional<NextHop> lookup(const IpAddress& destination) const;

    /// Prefixes that a lookup walks at most.
    size_t size() const { return v4_.size() + v6_.size(); }

  private:
    using Words = std::array<uint64_t, 2>;  // the bytes of an address, as they lie in memory

    struct Entry {
        Words network;
        Words mask;
        IpAddress gateway;  // unspecified: on the link
        uint16_t interface;
        uint8_t prefix_length;
    };

    void add(const IpAddress& network, uint8_t prefix_length, const IpAddress& gateway, uint16_t interface);

    std::vector<Entry> v4_, v6_;  // longest prefix first
};

}  // namespace millrace::config
