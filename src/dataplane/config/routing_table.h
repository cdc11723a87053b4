// Which interface and which next hop lead to an address: the connected prefixes of our own addresses first, then the
// static routes, the longest prefix winning. Built from a snapshot, then read-only and shared by all workers.
#pragma once

#include <optional>
#include <vector>

#include <millrace/snapshot.h>

namespace millrace::config {

struct NextHop {
    uint16_t interface;
    IpAddress address;  ///< whom to resolve: the destination itself when it is on the link, else a gateway
};

class RoutingTable {
  public:
    explicit RoutingTable(const SnapshotView& config);

    /// Empty when nothing leads there.
    std::optional<NextHop> lookup(const IpAddress& destination) const;

  private:
    struct Entry {
        IpAddress network;
        IpAddress gateway;  // unspecified: on the link
        uint16_t interface;
        uint8_t prefix_length;
    };

    std::vector<Entry> entries_;  // longest prefix first; a connected one before a static one of equal length
};

}  // namespace millrace::config
