// The polling loop of one worker: devices in, Worker, devices out, with cycles counted around the useful work. Also the
// rings over which workers hand each other frames that the device gave to the wrong one. One thread each.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/config/runtime_config.h"
#include "dataplane/port/cycle_meter.h"
#include "dataplane/port/device.h"
#include "dataplane/port/queue_sink.h"
#include "dataplane/worker/worker.h"

struct rte_ring;
struct rte_mbuf;

namespace millrace::port {

/// What the supervising thread hands to a worker while it runs; the worker looks between two bursts.
struct Orders {
    std::atomic<bool> stop = false;
    std::atomic<const config::RuntimeConfig*> config = nullptr;
    std::atomic<const CommandsFile*> commands = nullptr;
    std::atomic<uint64_t> round = 0;       ///< raised, with release, after a change of the two above
    std::atomic<uint64_t> round_done = 0;  ///< the round that the worker has taken over: nothing older is in use
    std::atomic<bool> pause = false;       ///< stand still until it is taken back, with release, after any change
    std::atomic<bool> paused = false;      ///< it stands still, with no frame in hand: its shards may be given away
    std::atomic<uint16_t> polling = 0;     ///< the first so many workers poll; changes only while all stand still
};

class WorkerLoop {
  public:
    /// `inboxes` are the dispatch rings by worker, made by make_inbox; `idle_sleep_us` 0 polls without end.
    WorkerLoop(uint16_t index, std::span<const Device> devices, std::span<rte_ring* const> inboxes,
               uint32_t idle_sleep_us);

    /// The sink of this worker's frames: give it to the Worker, then start the loop with run().
    QueueSink& sink() { return sink_; }

    /// Polls until `orders.stop`; then resets every relay and sends that off. A worker that is not among those that
    /// poll owns no shard and no receive queue: it looks every millisecond for what others gave it and for orders.
    void run(worker::Worker& worker, relay::StatsBlock& stats, Orders& orders);

    /// A ring of received frames that belong to worker `index`.
    static rte_ring* make_inbox(uint16_t index);

  private:
    uint32_t poll_devices(worker::Worker& worker, TimeUs now);
    uint32_t poll_inbox(worker::Worker& worker, TimeUs now);
    void take(worker::Worker& worker, std::span<rte_mbuf*> mbufs, uint16_t interface, TimeUs now);
    static void show(relay::Capture& capture, std::span<rte_mbuf*> mbufs, uint16_t interface, TimeUs now);
    void hand_over(rte_mbuf* mbuf, uint16_t target, bool learn_only);
    void take_orders(worker::Worker& worker, Orders& orders);
    static void stand_still(Orders& orders);
    void rest(bool busy);
    void publish(worker::Worker& worker, relay::StatsBlock& stats, TimeUs now);

    uint16_t index_;
    std::span<const Device> devices_;
    std::span<rte_ring* const> inboxes_;
    uint32_t idle_sleep_us_;
    QueueSink sink_;
    const config::RuntimeConfig* config_ = nullptr;
    const CommandsFile* commands_ = nullptr;
    uint64_t orders_round_ = 0;
    uint16_t polling_ = 0;
    uint32_t idle_rounds_ = 0;
    CycleMeter cycles_;
    uint64_t rx_packets_ = 0, rx_bytes_ = 0;
    std::array<uint64_t, relay::burst_sizes> rx_bursts_{};  // by the bit width of how many frames
    uint64_t dispatched_out_ = 0, dispatched_in_ = 0, dispatch_dropped_ = 0;
};

}  // namespace millrace::port
