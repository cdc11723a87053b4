#include "dataplane/port/queue_sink.h"

#include <algorithm>
#include <rte_ethdev.h>

#include <millrace/assert.h>

namespace millrace::port {

QueueSink::QueueSink(std::span<const Device> devices, uint16_t queue) {
    queues_.reserve(devices.size());
    for (const Device& device : devices) queues_.push_back({.pair = device.queues[queue], .frames = {}});
}

QueueSink::~QueueSink() {
    for (Queue& queue : queues_) {
        if (queue.reserved != nullptr) rte_pktmbuf_free(queue.reserved);
        rte_pktmbuf_free_bulk(queue.frames.data(), queue.pending);
    }
}

uint32_t QueueSink::credit(uint16_t interface) {
    return backlog_max - queues_[interface].pending;
}

std::span<uint8_t> QueueSink::reserve(uint16_t interface) {
    Queue& queue = queues_[interface];
    if (queue.pending == backlog_max) return {};
    if (queue.reserved == nullptr) {
        queue.reserved = rte_pktmbuf_alloc(queue.pair.pool);
        if (queue.reserved == nullptr) {
            ++out_of_frames_total_;
            return {};
        }
    }
    return {rte_pktmbuf_mtod(queue.reserved, uint8_t*), rte_pktmbuf_tailroom(queue.reserved)};
}

void QueueSink::commit(uint16_t interface, size_t length) {
    Queue& queue = queues_[interface];
    MILLRACE_ASSERT(queue.reserved != nullptr && length <= rte_pktmbuf_tailroom(queue.reserved));
    queue.reserved->data_len = static_cast<uint16_t>(length);
    queue.reserved->pkt_len = static_cast<uint32_t>(length);
    queue.frames[queue.pending++] = queue.reserved;
    queue.reserved = nullptr;
    ++packets_total_;
    bytes_total_ += length;
    if (queue.pending % 32 == 0) send_pending(queue);
}

void QueueSink::flush() {
    for (Queue& queue : queues_)
        if (queue.pending != 0) send_pending(queue);
}

void QueueSink::send_pending(Queue& queue) {
    const uint16_t taken = rte_eth_tx_burst(queue.pair.port_id, queue.pair.queue, queue.frames.data(),
                                            static_cast<uint16_t>(queue.pending));
    queue.pending -= taken;
    std::copy_n(queue.frames.begin() + taken, queue.pending, queue.frames.begin());
}

}  // namespace millrace::port
