// A burst of received frames, as the protocol code sees them, and the clock of a polling loop.
#pragma once

#include <rte_mbuf.h>
#include <time.h>

#include "dataplane/base/time.h"
#include "dataplane/net/frame_io.h"

namespace millrace::port {

/// Frames asked of a device at once.
inline constexpr uint16_t rx_burst = 32;

/// The vDSO answers: no system call.
inline TimeUs monotonic_us() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<TimeUs>(time.tv_sec) * us_per_s + static_cast<TimeUs>(time.tv_nsec) / 1000;
}

/// A single-segment mbuf that was received on `interface`.
inline net::InboundFrame frame_of(const rte_mbuf& mbuf, uint16_t interface) {
    return {.bytes = {rte_pktmbuf_mtod(&mbuf, const uint8_t*), rte_pktmbuf_data_len(&mbuf)},
            .interface = interface,
            .ip_checksum_verified = (mbuf.ol_flags & RTE_MBUF_F_RX_IP_CKSUM_GOOD) != 0,
            .tcp_checksum_verified = (mbuf.ol_flags & RTE_MBUF_F_RX_L4_CKSUM_GOOD) != 0};
}

}  // namespace millrace::port
