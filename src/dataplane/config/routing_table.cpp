#include "dataplane/config/routing_table.h"

#include <algorithm>

namespace millrace::config {

RoutingTable::RoutingTable(const SnapshotView& config) {
    for (const LocalAddressRecord& local : config.local_addresses())
        entries_.push_back({local.address, IpAddress{}, local.interface, local.prefix_length});
    for (const RouteRecord& route : config.routes())
        entries_.push_back({route.network, route.gateway, route.interface, route.prefix_length});
    std::ranges::stable_sort(entries_, std::ranges::greater{}, &Entry::prefix_length);
}

std::optional<NextHop> RoutingTable::lookup(const IpAddress& destination) const {
    for (const Entry& entry : entries_)
        if (destination.in_prefix(entry.network, entry.prefix_length))
            return NextHop{entry.interface, entry.gateway.is_unspecified() ? destination : entry.gateway};
    return std::nullopt;
}

}  // namespace millrace::config
