#include "dataplane/port/queue_sink.h"

#include <algorithm>
#include <rte_ethdev.h>

#include <millrace/assert.h>

#include "dataplane/base/stage_clock.h"

namespace millrace::port {

QueueSink::QueueSink(std::span<const Device> devices, uint16_t queue) {
    queues_.reserve(devices.size());
    for (const Device& device : devices) queues_.push_back({.pair = device.queues[queue], .frames = {}, .spares = {}});
}

QueueSink::~QueueSink() {
    for (Queue& queue : queues_) {
        rte_pktmbuf_free_bulk(queue.spares.data(), queue.spare);
        rte_pktmbuf_free_bulk(queue.frames.data(), queue.pending);
    }
}

void QueueSink::take_spares(Queue& queue) {
    const StageTime<Stage::buffers> time;
    while (queue.spare < spare_max) {
        rte_mbuf* frame = rte_pktmbuf_alloc(queue.pair.pool);
        if (frame == nullptr) break;
        queue.spares[queue.spare++] = frame;
    }
    if (queue.spare == 0) ++out_of_frames_total_;
}

uint32_t QueueSink::credit(uint16_t interface) {
    Queue& queue = queues_[interface];
    take_spares(queue);
    return std::min(backlog_max - queue.pending, queue.spare);
}

std::span<uint8_t> QueueSink::reserve(uint16_t interface) {
    Queue& queue = queues_[interface];
    if (queue.pending == backlog_max) return {};
    if (queue.spare == 0) take_spares(queue);
    if (queue.spare == 0) return {};
    rte_mbuf* frame = queue.spares[queue.spare - 1];
    return {rte_pktmbuf_mtod(frame, uint8_t*), rte_pktmbuf_tailroom(frame)};
}

void QueueSink::commit(uint16_t interface, size_t length) {
    Queue& queue = queues_[interface];
    MILLRACE_ASSERT(queue.spare != 0 && length <= rte_pktmbuf_tailroom(queue.spares[queue.spare - 1]));
    rte_mbuf* frame = queue.spares[--queue.spare];
    frame->data_len = static_cast<uint16_t>(length);
    frame->pkt_len = static_cast<uint32_t>(length);
    queue.frames[queue.pending++] = frame;
    ++packets_total_;
    bytes_total_ += length;
    if (queue.pending % 32 == 0) send_pending(queue);
}

void QueueSink::flush() {
    for (Queue& queue : queues_)
        if (queue.pending != 0) send_pending(queue);
}

bool QueueSink::flushed() const {
    return std::ranges::all_of(queues_, [](const Queue& queue) { return queue.pending == 0; });
}

void QueueSink::show(Queue& queue) {
    const auto interface = static_cast<uint16_t>(&queue - queues_.data());
    for (uint32_t i = queue.seen; i < queue.pending && capture_->running(); ++i) {
        const rte_mbuf* frame = queue.frames[i];
        capture_->record_sent(interface, {rte_pktmbuf_mtod(frame, const uint8_t*), rte_pktmbuf_data_len(frame)});
    }
}

void QueueSink::send_pending(Queue& queue) {
    if (capture_ != nullptr && capture_->running()) [[unlikely]]
        show(queue);
    const StageTime<Stage::device> time;
    const uint16_t taken = rte_eth_tx_burst(queue.pair.port_id, queue.pair.queue, queue.frames.data(),
                                            static_cast<uint16_t>(queue.pending));
    queue.pending -= taken;
    queue.seen = queue.pending;
    std::copy_n(queue.frames.begin() + taken, queue.pending, queue.frames.begin());
}

}  // namespace millrace::port
