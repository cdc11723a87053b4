#include "dataplane/port/worker_loop.h"

#include <array>
#include <bit>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <sched.h>
#include <string>
#include <time.h>

#include "dataplane/port/burst.h"

namespace millrace::port {
namespace {

constexpr TimeUs publish_interval_us = 10 * us_per_ms;
static_assert(std::bit_width(rx_burst) == relay::burst_sizes);
constexpr uint32_t idle_rounds_before_sleep = 1000;
constexpr uint32_t sleep_without_work_us = 1000;

// While a frame lies in an inbox, mbuf->port says its interface and this flag that it is a copy to learn from.
constexpr uint64_t learn_only_mark = RTE_MBUF_F_LAST_FREE;

}  // namespace

WorkerLoop::WorkerLoop(uint16_t index, std::span<const Device> devices, std::span<rte_ring* const> inboxes,
                       uint32_t idle_sleep_us)
    : index_(index), devices_(devices), inboxes_(inboxes), idle_sleep_us_(idle_sleep_us), sink_(devices, index) {}

rte_ring* WorkerLoop::make_inbox(uint16_t index) {
    const std::string name = "inbox" + std::to_string(index);
    return rte_ring_create(name.c_str(), inbox_slots, SOCKET_ID_ANY, RING_F_SC_DEQ);
}

void WorkerLoop::take(worker::Worker& worker, std::span<rte_mbuf*> mbufs, uint16_t interface, TimeUs now) {
    std::array<net::InboundFrame, rx_burst> frames;
    std::array<uint16_t, rx_burst> others;
    for (size_t i = 0; i < mbufs.size(); ++i) {
        const rte_mbuf* mbuf = mbufs[i];
        frames[i] = frame_of(*mbuf, interface == no_slot ? mbuf->port : interface);
        frames[i].learn_only = interface == no_slot && (mbuf->ol_flags & learn_only_mark) != 0;
    }
    worker.receive(std::span(frames).first(mbufs.size()), others, now);
    const StageTime<Stage::buffers> time;
    for (size_t i = 0; i < mbufs.size(); ++i) {
        mbufs[i]->port = frames[i].interface;
        if (others[i] == worker::nobody_else) {
            rte_pktmbuf_free(mbufs[i]);
        } else if (others[i] == worker::everybody) {
            for (uint16_t target = 0; target < inboxes_.size(); ++target) {
                if (target == index_) continue;
                if (rte_mbuf* copy = rte_pktmbuf_copy(mbufs[i], mbufs[i]->pool, 0, UINT32_MAX))
                    hand_over(copy, target, true);
            }
            rte_pktmbuf_free(mbufs[i]);
        } else {
            hand_over(mbufs[i], others[i], false);
        }
    }
}

void WorkerLoop::hand_over(rte_mbuf* mbuf, uint16_t target, bool learn_only) {
    if (learn_only)
        mbuf->ol_flags |= learn_only_mark;
    else
        mbuf->ol_flags &= ~learn_only_mark;
    if (rte_ring_mp_enqueue(inboxes_[target], mbuf) != 0) {
        rte_pktmbuf_free(mbuf);
        ++dispatch_dropped_;
        return;
    }
    ++dispatched_out_;
}

void WorkerLoop::show(relay::Capture& capture, std::span<rte_mbuf*> mbufs, uint16_t interface, TimeUs now) {
    for (const rte_mbuf* mbuf : mbufs) {
        if (!capture.running()) return;
        const std::span<const uint8_t> bytes{rte_pktmbuf_mtod(mbuf, const uint8_t*), rte_pktmbuf_data_len(mbuf)};
        capture.record(CaptureDirection::received, interface, bytes, now);
    }
}

uint32_t WorkerLoop::poll_devices(worker::Worker& worker, TimeUs now) {
    if (index_ >= polling_) return 0;
    uint32_t count = 0;
    std::array<rte_mbuf*, rx_burst> mbufs;
    for (uint16_t interface = 0; interface < devices_.size(); ++interface) {
        const std::vector<QueuePair>& queues = devices_[interface].queues;
        for (size_t i = index_; i < queues.size(); i += polling_) {
            const uint16_t received = receive_burst(queues[i], mbufs);
            if (received == 0) continue;
            ++rx_bursts_[static_cast<size_t>(std::bit_width(received)) - 1];
            for (uint16_t m = 0; m < received; ++m) rx_bytes_ += mbufs[m]->pkt_len;
            if (worker.capture().running()) [[unlikely]]
                show(worker.capture(), std::span(mbufs).first(received), interface, now);
            take(worker, std::span(mbufs).first(received), interface, now);
            count += received;
        }
    }
    rx_packets_ += count;
    return count;
}

uint32_t WorkerLoop::poll_inbox(worker::Worker& worker, TimeUs now) {
    if (inboxes_.size() < 2) return 0;
    std::array<rte_mbuf*, rx_burst> mbufs;
    const unsigned count =
        rte_ring_sc_dequeue_burst(inboxes_[index_], reinterpret_cast<void**>(mbufs.data()), rx_burst, nullptr);
    if (count != 0) take(worker, std::span(mbufs).first(count), no_slot, now);
    dispatched_in_ += count;
    return count;
}

void WorkerLoop::take_orders(worker::Worker& worker, Orders& orders) {
    const uint64_t round = orders.round.load(std::memory_order_acquire);
    if (round == orders_round_) return;
    orders_round_ = round;
    const config::RuntimeConfig* config = orders.config.load(std::memory_order_relaxed);
    if (config != config_) worker.set_config(*config);
    config_ = config;
    const CommandsFile* commands = orders.commands.load(std::memory_order_relaxed);
    if (commands != commands_) worker.attach(commands);
    commands_ = commands;
    orders.round_done.store(round, std::memory_order_release);
}

/// Lets others have the core meanwhile: the supervisor may need it.
void WorkerLoop::stand_still(Orders& orders) {
    orders.paused.store(true, std::memory_order_release);
    while (orders.pause.load(std::memory_order_acquire)) sched_yield();
    orders.paused.store(false, std::memory_order_release);
}

/// Sleeps when there has been nothing to do for long, if this worker may.
void WorkerLoop::rest(bool busy) {
    idle_rounds_ = busy ? 0 : idle_rounds_ + 1;
    const uint32_t sleep_us = index_ < polling_ ? idle_sleep_us_ : sleep_without_work_us;
    if (sleep_us == 0 || idle_rounds_ <= idle_rounds_before_sleep) return;
    const timespec pause{0, static_cast<long>(sleep_us) * 1000};
    nanosleep(&pause, nullptr);
    cycles_.end_round(false);
}

void WorkerLoop::publish(worker::Worker& worker, relay::StatsBlock& stats, TimeUs now) {
    worker.publish_gauges();
    relay::WorkerStats& values = stats.worker;
    values.rx_packets = rx_packets_;
    values.rx_bytes = rx_bytes_;
    values.tx_packets = sink_.packets_total();
    values.tx_bytes = sink_.bytes_total();
    values.tx_out_of_frames = sink_.out_of_frames_total();
    values.busy_cycles = cycles_.busy();
    values.idle_cycles = cycles_.idle();
    values.device_cycles = cycles_.device();
    values.buffer_cycles = cycles_.stage(Stage::buffers);
    values.timer_cycles = cycles_.stage(Stage::timers);
    values.copy_cycles = cycles_.stage(Stage::copies);
    for (size_t i = 0; i < rx_bursts_.size(); ++i) values.rx_bursts[i] = rx_bursts_[i];
    values.dispatched_out = dispatched_out_;
    values.dispatched_in = dispatched_in_;
    values.dispatch_dropped = dispatch_dropped_;
    // After the answers of this iteration: control reads the heartbeat before them (DataplaneLink::sample_heartbeats).
    std::atomic_thread_fence(std::memory_order_release);
    values.heartbeat_us = now;
}

void WorkerLoop::run(worker::Worker& worker, relay::StatsBlock& stats, Orders& orders) {
    sink_.set_capture(worker.capture());
    cycles_.start();
    TimeUs published_at = 0;
    polling_ = orders.polling.load();
    while (!orders.stop.load(std::memory_order_relaxed)) {
        const TimeUs now = monotonic_us();
        uint32_t frames = poll_devices(worker, now);
        frames += poll_inbox(worker, now);
        const bool worked = worker.poll(now);
        sink_.flush();
        const bool busy = frames != 0 || worked;
        cycles_.end_round(busy);
        take_orders(worker, orders);
        if (orders.pause.load(std::memory_order_acquire)) {
            stand_still(orders);
            polling_ = orders.polling.load(std::memory_order_relaxed);
        }
        if (now - published_at >= publish_interval_us) {
            published_at = now;
            publish(worker, stats, now);
        }
        rest(busy);
    }
    worker.abort_all(monotonic_us());
    sink_.flush();
    publish(worker, stats, monotonic_us());
}

}  // namespace millrace::port
