// Copies of one worker's frames for an operator, through the reply ring to control (<millrace/capture.h>). While no
// capture runs it costs the worker one branch for each burst. No heap, no lock, no system call; the worker's thread
// alone.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <millrace/capture.h>
#include <millrace/message_ring.h>

#include "dataplane/base/time.h"
#include "dataplane/relay/control_link.h"

namespace millrace::relay {

class Capture {
  public:
    /// Room that is left to answers and probes in the reply ring.
    static constexpr uint32_t room_for_answers = 128u << 10;

    explicit Capture(ControlLink& control) : control_(control) {}

    bool running() const { return running_; }

    /// False when the request makes no sense. Another capture, if one runs, ends.
    bool start(const CaptureStart& request, TimeUs now);

    /// Ends capture `id`; what has been recorded and dropped of it.
    CaptureStopped stop(uint64_t id);

    /// A frame, with the bytes that the device gave or gets. Only while running().
    void record(CaptureDirection direction, uint16_t interface, std::span<const uint8_t> frame, TimeUs now);

    /// The same of a frame on its way out, at the time of the latest poll().
    void record_sent(uint16_t interface, std::span<const uint8_t> frame) {
        record(CaptureDirection::sent, interface, frame, now_);
    }

    /// Every iteration.
    void poll(TimeUs now) {
        now_ = now;
        if (running_ && now >= deadline_) running_ = false;
    }

  private:
    ControlLink& control_;
    bool running_ = false;
    TimeUs now_ = 0;
    TimeUs deadline_ = 0;
    uint64_t recorded_ = 0;
    uint64_t dropped_ = 0;
    CaptureStart request_{};
    alignas(8) std::array<std::byte, sizeof(CapturedFrame) + capture_snaplen_max> message_;
};

}  // namespace millrace::relay
