#include "dataplane/port/solo_loop.h"

#include <array>
#include <rte_ethdev.h>

#include "dataplane/port/burst.h"

namespace millrace::port {
namespace {

constexpr TimeUs last_frames_us_max = 100 * us_per_ms;

}  // namespace

uint32_t SoloLoop::poll_devices(net::FrameConsumer& consumer, TimeUs now) {
    uint32_t count = 0;
    std::array<rte_mbuf*, rx_burst> mbufs;
    std::array<net::InboundFrame, rx_burst> frames;
    for (uint16_t interface = 0; interface < devices_.size(); ++interface) {
        for (const QueuePair& pair : devices_[interface].queues) {
            const uint16_t received = receive_burst(pair, mbufs);
            if (received == 0) continue;
            for (uint16_t i = 0; i < received; ++i) frames[i] = frame_of(*mbufs[i], interface);
            consumer.receive(std::span(frames).first(received), now);
            rte_pktmbuf_free_bulk(mbufs.data(), received);
            count += received;
        }
    }
    return count;
}

void SoloLoop::run(net::FrameConsumer& consumer, const std::function<bool(TimeUs now)>& go_on) {
    TimeUs now = monotonic_us();
    cycles_.start();
    while (go_on(now)) {
        const uint32_t frames = poll_devices(consumer, now);
        const bool worked = consumer.poll(now);
        sink_.flush();
        cycles_.end_round(frames != 0 || worked);
        now = monotonic_us();
    }
    const TimeUs until = monotonic_us() + last_frames_us_max;
    do sink_.flush();
    while (!sink_.flushed() && monotonic_us() < until);
}

}  // namespace millrace::port
