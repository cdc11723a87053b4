// The order in which to try source ports for a new backend connection: RFC 6056 §3.3.3 (Algorithm 3, simple hash-based
// selection). A keyed hash of the destination gives an offset that nobody outside can predict, and a counter per
// destination goes round from there, so that a port is used again as late as possible and the server's TIME_WAIT has
// ended by then; the random algorithms (1, 2, 5) would come back to a port far sooner. §3.3.4 (double hash) shares
// counters between destinations to save memory; we have a few servers and keep one counter for each.
//
// No state of its own: the caller owns the counter and asks its flow table whether a port is free.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <millrace/address.h>

#include "dataplane/base/fault.h"
#include "dataplane/base/siphash.h"

namespace millrace {

/// Where in its class of ports the connections from `local` to `server`:`server_port` begin.
inline uint64_t source_port_offset(const SipKey& key, const IpAddress& local, const IpAddress& server,
                                   uint16_t server_port) {
    return flow_hash(key, local, server, 0, server_port);
}

/// Visits every port of a class once, from (offset + counter) on, and round.
///     SourcePortWalk walk(classes.class_for(...), source_port_offset(...), counter);
///     while (auto port = walk.next()) if (port is free) { counter += walk.tried(); use it; }
class SourcePortWalk {
  public:
    SourcePortWalk(std::span<const uint16_t> ports, uint64_t offset, uint32_t counter)
        : ports_(ports), position_(ports.empty() ? 0 : (offset % ports.size() + counter) % ports.size()) {
        if (fault(Fault::source_port_walk_skips_first) && !ports_.empty()) tried_ = 1;
    }

    /// The next port to try; empty after all were tried, which means that this address has run out towards this server.
    std::optional<uint16_t> next() {
        if (tried_ == ports_.size()) return std::nullopt;
        const uint16_t port = ports_[position_];
        if (++position_ == ports_.size()) position_ = 0;
        ++tried_;
        return port;
    }

    /// How many ports next() has given.
    uint32_t tried() const { return tried_; }

  private:
    std::span<const uint16_t> ports_;
    size_t position_;
    uint32_t tried_ = 0;
};

}  // namespace millrace
