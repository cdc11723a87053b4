// The border between the worker and whatever carries its frames: a DPDK device, or the simulated network of the tests.
// The worker sees bytes and interface numbers; it knows no mbuf, no queue and no thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <millrace/address.h>

#include "dataplane/base/time.h"

namespace millrace::net {

/// A received Ethernet frame, borrowed for the duration of the call that carries it.
struct InboundFrame {
    std::span<const uint8_t> bytes;
    uint16_t interface = 0;              ///< index of the interface in the configuration
    bool ip_checksum_verified = false;   ///< the device found the IPv4 header checksum good
    bool tcp_checksum_verified = false;  ///< the device found the TCP checksum good
    bool learn_only = false;  ///< another worker's copy of a neighbour's message: learn from it, don't answer
};

/// Where a worker's frames go. One per worker; called by its thread alone.
class FrameSink {
  public:
    virtual ~FrameSink() = default;

    /// How many frames can be reserved on the interface before the device must take some.
    virtual uint32_t credit(uint16_t interface) = 0;

    /// Room for one whole frame (at least the interface's MTU and its link header), or an empty span when there is no
    /// credit. A later reserve() without commit() in between gives the same room again.
    virtual std::span<uint8_t> reserve(uint16_t interface) = 0;

    /// Hands the first `length` bytes of the reserved room over to be sent.
    virtual void commit(uint16_t interface, size_t length) = 0;
};

/// Whoever a polling loop works for.
class FrameConsumer {
  public:
    virtual ~FrameConsumer() = default;

    /// A burst of frames that one device received.
    virtual void receive(std::span<const InboundFrame> frames, TimeUs now) = 0;

    /// One round of everything else; what is to be sent goes to a FrameSink. True when there was something to do.
    virtual bool poll(TimeUs now) = 0;
};

}  // namespace millrace::net
