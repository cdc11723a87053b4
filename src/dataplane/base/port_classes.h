// Source ports for backend connections whose answers return to the shard that sent them. An answer has the server as
// source and our address and port as destination; its Toeplitz hash is the part of (server, server port, our address)
// XOR the part of our port. So the ports fall into shard_count classes by the low bits of their own part, and for any
// server one class leads to any wanted shard. Not the allocator: whether a port is free is a question to the flow table
// (source_port.h gives the order in which to ask).
//
// Built once per shard count at start (it allocates), then read-only and shared by all workers. At most 128 KiB per
// family. With a poor key some classes are empty (the low bits of the ports' parts depend on each other); complete()
// tells, and whoever draws the key draws another then.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <millrace/address.h>
#include <millrace/limits.h>

#include "dataplane/base/toeplitz.h"

namespace millrace {

class PortClasses {
  public:
    /// `shard_count` is a power of two, 1…shard_max; ports `low`…`high` inclusive, 1 ≤ low ≤ high. `toeplitz` must
    /// outlive this.
    PortClasses(const Toeplitz& toeplitz, uint32_t shard_count, uint16_t low, uint16_t high);

    /// The ports of our `local` address to choose from, ascending, so that packets from `server`:`server_port` have
    /// hash & (shard_count - 1) == `shard`. Both addresses of one family; shard < shard_count. May be empty.
    std::span<const uint16_t> class_for(const IpAddress& server, uint16_t server_port, const IpAddress& local,
                                        uint32_t shard) const;

    /// True when every shard can be reached in either family: no class is empty.
    bool complete() const;

    uint32_t shard_count() const { return mask_ + 1; }

  private:
    struct Family {
        std::vector<uint16_t> ports;                  // grouped by class, ascending within each
        std::array<uint32_t, shard_max + 1> first{};  // class c is ports[first[c]] … ports[first[c + 1] - 1]
    };

    Family group(bool v4, uint16_t low, uint16_t high) const;

    const Toeplitz* toeplitz_;
    uint32_t mask_;
    Family v4_, v6_;
};

}  // namespace millrace
