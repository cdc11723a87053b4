// One Ethernet device of DPDK: its queues, its mbuf pool, its start and its stop. The main thread opens and closes;
// each queue pair belongs to one worker.
#pragma once

#include <cstdint>
#include <string>

#include <millrace/address.h>
#include <millrace/snapshot.h>

struct rte_mempool;

namespace millrace::port {

struct Device {
    uint16_t port_id = 0;
    uint16_t queue_count = 0;
    MacAddress mac;
    rte_mempool* pool = nullptr;  ///< of every frame it receives, and of those sent through it
    bool hardware_rss = false;  ///< the device spreads flows over its queues by our key
};

/// Configures and starts the device of `interface` with `queue_count` queue pairs. `rss_key` is the 40 B Toeplitz key;
/// a device with RSS sends RETA class i to queue i modulo `shard_count` modulo `worker_count`.
bool open_device(const SnapshotView& config, const InterfaceRecord& interface, std::string_view device_name,
                 const uint8_t (&rss_key)[40], Device& device, std::string& error);

void close_device(Device& device);

}  // namespace millrace::port
