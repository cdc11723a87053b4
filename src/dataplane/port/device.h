// The network device behind one interface of the configuration: its queues, their mbuf pools, its start and its stop.
// It may be several of DPDK's devices (ports), one for each queue. The main thread opens and closes; each queue pair
// belongs to one worker.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <millrace/address.h>
#include <millrace/snapshot.h>

struct rte_mempool;

namespace millrace::port {

/// Frames that may wait in the ring from the other workers to one.
inline constexpr uint32_t inbox_slots = 1024;

/// One pair of a receive and a send queue.
struct QueuePair {
    uint16_t port_id;
    uint16_t queue;
    rte_mempool* pool;  ///< of every frame received here, and of those sent from here
};

struct Device {
    std::vector<uint16_t> ports;
    std::vector<QueuePair> queues;
    MacAddress mac;
    bool hardware_rss = false;  ///< the device spreads flows over its queues by our key
};

/// Memory that the frames of every interface take.
uint64_t frame_pool_bytes(const SnapshotView& config);

/// Configures and starts the device of `interface` with all its queues. `rss_key` is the 40 B Toeplitz key; a device
/// with RSS sends the frames of shard s to queue s modulo the number of cores, which the shard's owner polls
/// (worker/share_out.h).
bool open_device(const SnapshotView& config, const InterfaceRecord& interface, const uint8_t (&rss_key)[40],
                 Device& device, std::string& error);

void close_device(Device& device);

}  // namespace millrace::port
