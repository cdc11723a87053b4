// A burst of received frames, as the protocol code sees them, and the clock of a polling loop.
#pragma once

#include <array>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <time.h>

#include "dataplane/base/stage_clock.h"
#include "dataplane/base/time.h"
#include "dataplane/net/frame_io.h"
#include "dataplane/port/device.h"

namespace millrace::port {

/// Frames asked of a device at once.
inline constexpr uint16_t rx_burst = 32;

/// The vDSO answers: no system call.
inline TimeUs monotonic_us() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<TimeUs>(time.tv_sec) * us_per_s + static_cast<TimeUs>(time.tv_nsec) / 1000;
}

/// What the device has, at most as many as `mbufs` takes.
inline uint16_t receive_burst(const QueuePair& pair, std::array<rte_mbuf*, rx_burst>& mbufs) {
    const StageTime<Stage::device> time;
    return rte_eth_rx_burst(pair.port_id, pair.queue, mbufs.data(), rx_burst);
}

/// A single-segment mbuf that was received on `interface`.
inline net::InboundFrame frame_of(const rte_mbuf& mbuf, uint16_t interface) {
    return {.bytes = {rte_pktmbuf_mtod(&mbuf, const uint8_t*), rte_pktmbuf_data_len(&mbuf)},
            .interface = interface,
            .ip_checksum_verified = (mbuf.ol_flags & RTE_MBUF_F_RX_IP_CKSUM_GOOD) != 0,
            .tcp_checksum_verified = (mbuf.ol_flags & RTE_MBUF_F_RX_L4_CKSUM_GOOD) != 0};
}

}  // namespace millrace::port
