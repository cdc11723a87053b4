#include "dataplane/port/device.h"

#include <algorithm>
#include <cstring>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <vector>

#include "dataplane/port/eal.h"

namespace millrace::port {
namespace {

constexpr uint32_t cached_frames = 256;  // in the mempool's cache of each worker
constexpr size_t page_bytes = 4096;

// Of an AF_XDP frame with its mempool and mbuf headers: close to the kernel's limit of a page, and an odd number of
// cache lines, to which mempool adds no padding.
constexpr size_t af_xdp_frame_bytes = page_bytes - 64;

/// What the pool of one port is made of.
struct PoolShape {
    uint32_t count;
    uint16_t data_room;
};

// Every mbuf is in a receive ring, a send ring and its backlog, a burst, a dispatch ring or a worker's cache: never
// held by a connection.
uint32_t mbuf_count(const InterfaceRecord& interface, uint16_t queue_count, uint16_t worker_count) {
    const uint32_t dispatched = worker_count > 1 ? inbox_slots + 2 * cached_frames * worker_count : 0;
    return (2u * interface.rx_descriptors + 2u * interface.tx_descriptors + 1024u + dispatched) * queue_count;
}

PoolShape pool_shape(const InterfaceRecord& interface, uint16_t queue_count, uint16_t worker_count) {
    const uint32_t frame = interface.mtu + 14u + 4u;
    const uint32_t count = mbuf_count(interface, queue_count, worker_count);
    if (interface.driver == Driver::af_xdp)  // some more, for those set aside
        return {.count = count + count / 32,
                .data_room = static_cast<uint16_t>(af_xdp_frame_bytes - RTE_CACHE_LINE_SIZE - sizeof(rte_mbuf))};
    return {.count = count, .data_room = static_cast<uint16_t>(std::max(2048u, frame) + RTE_PKTMBUF_HEADROOM)};
}

/// The AF_XDP driver of DPDK 22.11 registers `count * frame size` bytes with the kernel, as if frames were packed; but
/// no frame crosses a page, so the last ones lie beyond, and the kernel would drop what they carry as an invalid
/// descriptor. Takes them out of the pool for good. False when the pool is in pieces.
bool set_aside_unregistered(rte_mempool* pool) {
    if (pool->nb_mem_chunks != 1) return false;
    const size_t frame_bytes = pool->header_size + pool->elt_size + pool->trailer_size;
    const auto* end = static_cast<const char*>(STAILQ_FIRST(&pool->mem_list)->addr) + pool->size * frame_bytes;
    std::vector<void*> frames(pool->size);
    if (rte_mempool_generic_get(pool, frames.data(), pool->size, nullptr) != 0) return false;
    std::erase_if(frames, [&](const void* frame) {
        return static_cast<const char*>(frame) - pool->header_size + frame_bytes > end;
    });
    rte_mempool_generic_put(pool, frames.data(), static_cast<unsigned>(frames.size()), nullptr);
    return true;
}

rte_mempool* make_pool(Driver driver, const PoolShape& shape, uint16_t port_id) {
    const std::string name = "frames" + std::to_string(port_id);
    rte_mempool* pool = rte_pktmbuf_pool_create(name.c_str(), shape.count, cached_frames, 0, shape.data_room,
                                                rte_eth_dev_socket_id(port_id));
    return pool == nullptr || (driver == Driver::af_xdp && !set_aside_unregistered(pool)) ? nullptr : pool;
}

bool spread_by_rss(uint16_t port_id, const rte_eth_dev_info& info, const DataplaneRecord& dataplane) {
    if (info.reta_size == 0) return false;
    std::vector<rte_eth_rss_reta_entry64> table((info.reta_size + 63u) / 64u);
    for (uint16_t i = 0; i < info.reta_size; ++i) {
        table[i / 64].mask |= 1ull << (i % 64);
        table[i / 64].reta[i % 64] = static_cast<uint16_t>(i % dataplane.shard_count % dataplane.core_count);
    }
    return rte_eth_dev_rss_reta_update(port_id, table.data(), info.reta_size) == 0;
}

bool open_port(const SnapshotView& config, const InterfaceRecord& interface, const std::string& name,
               uint16_t queue_count, const uint8_t (&rss_key)[40], Device& device, std::string& error) {
    auto fail = [&](const char* step, int code) {
        error = "interface '" + std::string(config.text(interface.name)) + "' (" + name + "): " + step + ": " +
                std::strerror(-code);
        return false;
    };
    uint16_t port_id = 0;
    if (const int code = rte_eth_dev_get_port_by_name(name.c_str(), &port_id); code != 0)
        return fail("the driver did not make the device (see the log file)", code);
    rte_eth_dev_info info{};
    if (const int code = rte_eth_dev_info_get(port_id, &info); code != 0) return fail("no information", code);

    if (info.max_mtu != 0 && interface.mtu > info.max_mtu) {
        error = "interface '" + std::string(config.text(interface.name)) + "' (" + name + "): its mtu of " +
                std::to_string(interface.mtu) + " is more than the device's largest, " + std::to_string(info.max_mtu);
        return false;
    }

    rte_eth_conf settings{};
    settings.rxmode.mtu = interface.mtu;
    const bool wants_rss = queue_count > 1 && info.flow_type_rss_offloads != 0 && info.hash_key_size == 40;
    std::vector<uint8_t> key(std::begin(rss_key), std::end(rss_key));
    if (wants_rss) {
        settings.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        settings.rx_adv_conf.rss_conf = {key.data(), 40,
                                         info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP)};
    }
    settings.rxmode.offloads = info.rx_offload_capa & (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
    if (const int code = rte_eth_dev_configure(port_id, queue_count, queue_count, &settings); code != 0)
        return fail("configuring it failed", code);

    rte_mempool* pool =
        make_pool(interface.driver, pool_shape(interface, queue_count, config.dataplane().core_count), port_id);
    if (pool == nullptr) return fail("not enough memory for its frame pool", -ENOMEM);
    for (uint16_t queue = 0; queue < queue_count; ++queue) {
        if (const int code = rte_eth_rx_queue_setup(port_id, queue, interface.rx_descriptors, 0, nullptr, pool);
            code != 0)
            return fail("setting up a receive queue failed", code);
        if (const int code = rte_eth_tx_queue_setup(port_id, queue, interface.tx_descriptors, 0, nullptr); code != 0)
            return fail("setting up a send queue failed", code);
        device.queues.push_back({port_id, queue, pool});
    }
    if (const int code = rte_eth_dev_start(port_id); code != 0) return fail("starting it failed", code);
    // IPv6 neighbour discovery needs multicast groups; the kernel drivers know no allmulticast and deliver them anyway.
    rte_eth_allmulticast_enable(port_id);
    device.hardware_rss = wants_rss && spread_by_rss(port_id, info, config.dataplane());
    device.ports.push_back(port_id);

    rte_ether_addr mac{};
    if (const int code = rte_eth_macaddr_get(port_id, &mac); code != 0) return fail("no MAC address", code);
    std::copy(std::begin(mac.addr_bytes), std::end(mac.addr_bytes), device.mac.bytes.begin());
    return true;
}

}  // namespace

uint64_t frame_pool_bytes(const SnapshotView& config) {
    uint64_t bytes = 0;
    for (const InterfaceRecord& interface : config.interfaces()) {
        const size_t ports = device_names(config, interface).size();
        const PoolShape shape =
            pool_shape(interface, static_cast<uint16_t>(interface.queues / ports), config.dataplane().core_count);
        // The mempool's header and padding; no frame that fits into a page crosses one.
        const size_t frame = shape.data_room + sizeof(rte_mbuf) + 2 * RTE_CACHE_LINE_SIZE;
        const size_t taken = frame <= page_bytes ? page_bytes / (page_bytes / frame)
                                                 : (frame + page_bytes - 1) / page_bytes * page_bytes;
        bytes += ports * shape.count * (taken + 2 * sizeof(void*));  // and a place in its ring
    }
    return bytes;
}

bool open_device(const SnapshotView& config, const InterfaceRecord& interface, const uint8_t (&rss_key)[40],
                 Device& device, std::string& error) {
    const std::vector<std::string> names = device_names(config, interface);
    const auto queues_each = static_cast<uint16_t>(interface.queues / names.size());
    for (const std::string& name : names)
        if (!open_port(config, interface, name, queues_each, rss_key, device, error)) return false;
    return true;
}

void close_device(Device& device) {
    for (const uint16_t port_id : device.ports) {
        rte_eth_dev_stop(port_id);
        rte_eth_dev_close(port_id);
    }
}

}  // namespace millrace::port
