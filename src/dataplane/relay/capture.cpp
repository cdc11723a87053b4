#include "dataplane/relay/capture.h"

#include <algorithm>
#include <cstring>

#include "dataplane/wire/frame_filter.h"

namespace millrace::relay {

static_assert(sizeof(CapturedFrame) + capture_snaplen_max <= message_payload_max);

bool Capture::start(const CaptureStart& request, TimeUs now) {
    if (!wire::is_sound(request.filter)) return false;
    request_ = request;
    request_.snaplen = std::clamp(request.snaplen, 1u, capture_snaplen_max);
    deadline_ = now + std::clamp(request.duration_ms, 1u, capture_ms_max) * us_per_ms;
    now_ = now;
    recorded_ = dropped_ = 0;
    running_ = true;
    return true;
}

CaptureStopped Capture::stop(uint64_t id) {
    if (id != request_.id) return {};
    running_ = false;
    return {.recorded = recorded_, .dropped = dropped_};
}

void Capture::record(CaptureDirection direction, uint16_t interface, std::span<const uint8_t> frame, TimeUs now) {
    if (recorded_ >= request_.frames_max) {
        running_ = false;
        return;
    }
    if (!wire::matches(request_.filter, frame)) return;
    const CapturedFrame header{.time_us = now,
                               .length = static_cast<uint32_t>(frame.size()),
                               .interface = interface,
                               .direction = direction,
                               .reserved = 0,
                               .dropped = dropped_};
    const size_t taken = std::min<size_t>(frame.size(), request_.snaplen);
    std::memcpy(message_.data(), &header, sizeof header);
    if (taken != 0) std::memcpy(message_.data() + sizeof header, frame.data(), taken);
    const auto message = std::span<const std::byte>(message_).first(sizeof header + taken);
    if (control_.reply(MessageType::captured, request_.id, message, room_for_answers))
        ++recorded_;
    else
        ++dropped_;
}

}  // namespace millrace::relay
