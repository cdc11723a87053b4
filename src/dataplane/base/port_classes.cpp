#include "dataplane/base/port_classes.h"

#include <bit>

#include <millrace/assert.h>

#include "dataplane/base/fault.h"

namespace millrace {

PortClasses::PortClasses(const Toeplitz& toeplitz, uint32_t shard_count, uint16_t low, uint16_t high)
    : toeplitz_(&toeplitz), mask_(shard_count - 1) {
    MILLRACE_ASSERT(std::has_single_bit(shard_count) && shard_count <= shard_max);
    MILLRACE_ASSERT(1 <= low && low <= high);
    v4_ = group(true, low, high);
    v6_ = group(false, low, high);
}

// A counting sort by class.
PortClasses::Family PortClasses::group(bool v4, uint16_t low, uint16_t high) const {
    const auto class_of = [&](uint32_t port) {
        return toeplitz_->destination_port_part(v4, static_cast<uint16_t>(port)) & mask_;
    };
    Family family;
    for (uint32_t port = low; port <= high; ++port) ++family.first[class_of(port) + 1];
    for (uint32_t c = 0; c < shard_max; ++c) family.first[c + 1] += family.first[c];

    std::array<uint32_t, shard_max + 1> next = family.first;
    family.ports.resize(high - low + 1u);
    for (uint32_t port = low; port <= high; ++port) family.ports[next[class_of(port)]++] = static_cast<uint16_t>(port);
    return family;
}

std::span<const uint16_t> PortClasses::class_for(const IpAddress& server, uint16_t server_port, const IpAddress& local,
                                                 uint32_t shard) const {
    MILLRACE_ASSERT(shard <= mask_);
    if (fault(Fault::port_class_off_by_one_shard)) shard = (shard + 1) & mask_;
    const uint32_t rest = toeplitz_->hash_without_destination_port(server, local, server_port);
    const uint32_t c = (rest ^ shard) & mask_;
    const Family& family = server.is_v4() ? v4_ : v6_;
    return std::span(family.ports).subspan(family.first[c], family.first[c + 1] - family.first[c]);
}

bool PortClasses::complete() const {
    for (const Family* family : {&v4_, &v6_})
        for (uint32_t c = 0; c <= mask_; ++c)
            if (family->first[c] == family->first[c + 1]) return false;
    return true;
}

}  // namespace millrace
