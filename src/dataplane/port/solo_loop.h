// The polling loop of a program with one polling thread and no shared files: devices in, a FrameConsumer, devices out.
// The dataplane's is worker_loop.h.
#pragma once

#include <functional>
#include <span>

#include "dataplane/net/frame_io.h"
#include "dataplane/port/cycle_meter.h"
#include "dataplane/port/device.h"
#include "dataplane/port/queue_sink.h"

namespace millrace::port {

class SoloLoop {
  public:
    /// Polls every queue of the devices and sends on the first of each.
    explicit SoloLoop(std::span<const Device> devices) : devices_(devices), sink_(devices, 0) {}

    /// Where the consumer's frames go.
    QueueSink& sink() { return sink_; }
    const CycleMeter& cycles() const { return cycles_; }

    /// Polls until `go_on`, asked in every round, returns false; then sends what is left, as far as the devices take
    /// it.
    void run(net::FrameConsumer& consumer, const std::function<bool(TimeUs now)>& go_on);

  private:
    uint32_t poll_devices(net::FrameConsumer& consumer, TimeUs now);

    std::span<const Device> devices_;
    QueueSink sink_;
    CycleMeter cycles_;
};

}  // namespace millrace::port
