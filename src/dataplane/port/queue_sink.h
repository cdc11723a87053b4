// The frames a worker sends: one send queue of each device, with a short backlog for what the device does not take at
// once. Belongs to one worker's thread.
#pragma once

#include <array>
#include <cstdint>
#include <rte_mbuf.h>
#include <vector>

#include "dataplane/net/frame_io.h"
#include "dataplane/port/device.h"
#include "dataplane/relay/capture.h"

namespace millrace::port {

class QueueSink final : public net::FrameSink {
  public:
    /// `devices` by interface index; `queue` is this worker's queue on every one of them.
    QueueSink(std::span<const Device> devices, uint16_t queue);
    ~QueueSink() override;
    QueueSink(const QueueSink&) = delete;
    QueueSink& operator=(const QueueSink&) = delete;

    uint32_t credit(uint16_t interface) override;
    std::span<uint8_t> reserve(uint16_t interface) override;
    void commit(uint16_t interface, size_t length) override;

    /// Shows every frame to `capture` before it goes to the device, while one runs. It must outlive the sink's use.
    void set_capture(relay::Capture& capture) { capture_ = &capture; }

    /// Offers everything committed to the devices. What they do not take stays for the next call and lowers the credit.
    void flush();
    /// They have taken all of it.
    bool flushed() const;

    uint64_t packets_total() const { return packets_total_; }
    uint64_t bytes_total() const { return bytes_total_; }
    uint64_t out_of_frames_total() const { return out_of_frames_total_; }

  private:
    static constexpr uint32_t backlog_max = 512;
    static constexpr uint32_t spare_max = 32;

    struct Queue {
        QueuePair pair;
        uint32_t pending = 0;
        uint32_t seen = 0;  ///< of those pending, by a capture
        uint32_t spare = 0;
        std::array<rte_mbuf*, backlog_max> frames;
        std::array<rte_mbuf*, spare_max> spares;  ///< taken from the pool ahead, so that credit is never a promise only
    };

    void take_spares(Queue& queue);
    void send_pending(Queue& queue);
    void show(Queue& queue);

    std::vector<Queue> queues_;
    relay::Capture* capture_ = nullptr;
    uint64_t packets_total_ = 0;
    uint64_t bytes_total_ = 0;
    uint64_t out_of_frames_total_ = 0;
};

}  // namespace millrace::port
