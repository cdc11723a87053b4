#include "dataplane/config/routing_table.h"

#include <algorithm>
#include <bit>

#include "dataplane/base/fault.h"

namespace millrace::config {
namespace {

/// The leading bits of a prefix, as an address; those of the mapped form count for IPv4.
IpAddress mask_of(bool v4, uint8_t prefix_length) {
    IpAddress mask;
    const unsigned bits = (v4 ? 96u : 0u) + prefix_length;
    for (unsigned bit = 0; bit < bits; ++bit)
        mask.bytes[bit / 8] = static_cast<uint8_t>(mask.bytes[bit / 8] | 0x80u >> bit % 8);
    return mask;
}

}  // namespace

RoutingTable::RoutingTable(const SnapshotView& config) {
    // A prefix of full length holds nobody but ourselves: a pool of source addresses adds nothing to walk.
    for (const LocalAddressRecord& local : config.local_addresses())
        if (local.prefix_length != (local.address.is_v4() ? 32 : 128))
            add(local.address, local.prefix_length, IpAddress{}, local.interface);
    for (const RouteRecord& route : config.routes())
        add(route.network, route.prefix_length, route.gateway, route.interface);
    for (std::vector<Entry>* family : {&v4_, &v6_}) {
        std::ranges::stable_sort(*family, [](const Entry& a, const Entry& b) {
            if (a.prefix_length != b.prefix_length)
                return (a.prefix_length > b.prefix_length) != fault(Fault::config_shortest_prefix_wins);
            return a.network < b.network;
        });
        // Of equal prefixes only the first was ever found: the first address on the link, then the first route.
        const auto rest = std::unique(family->begin(), family->end(), [](const Entry& a, const Entry& b) {
            return a.prefix_length == b.prefix_length && a.network == b.network;
        });
        family->erase(rest, family->end());
    }
}

void RoutingTable::add(const IpAddress& network, uint8_t prefix_length, const IpAddress& gateway, uint16_t interface) {
    const bool v4 = network.is_v4();
    const auto mask = std::bit_cast<Words>(mask_of(v4, prefix_length));
    const auto words = std::bit_cast<Words>(network);
    (v4 ? v4_ : v6_)
        .push_back({.network = {words[0] & mask[0], words[1] & mask[1]},
                    .mask = mask,
                    .gateway = gateway,
                    .interface = interface,
                    .prefix_length = prefix_length});
}

std::optional<NextHop> RoutingTable::lookup(const IpAddress& destination) const {
    const auto words = std::bit_cast<Words>(destination);
    for (const Entry& entry : destination.is_v4() ? v4_ : v6_)
        if ((words[0] & entry.mask[0]) == entry.network[0] && (words[1] & entry.mask[1]) == entry.network[1])
            return NextHop{entry.interface, entry.gateway.is_unspecified() ? destination : entry.gateway};
    return std::nullopt;
}

}  // namespace millrace::config
