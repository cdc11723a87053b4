#include "dataplane/tcp/congestion.h"

#include <algorithm>

namespace millrace::tcp {
namespace {

constexpr uint32_t window_max = 1u << 30;  // the largest that a scaled window can use (RFC 7323 §2.3)

}  // namespace

void congestion_start(Endpoint ep, uint32_t segments) {
    ep.warm.cwnd = segments * ep.hot.mss;
    ep.warm.ssthresh = window_max;
}

void congestion_grow(Endpoint ep, uint32_t acked, uint32_t flight_before) {
    const uint32_t mss = ep.hot.mss;
    uint32_t& cwnd = ep.warm.cwnd;
    if (cwnd < ep.warm.ssthresh) {
        if (uint64_t{flight_before} * 2 < cwnd) return;
        cwnd += std::min(acked, 2 * mss);  // RFC 3465 §2.2, L = 2
    } else {
        if (flight_before + mss < cwnd) return;
        const uint64_t step = uint64_t{mss} * std::min(acked, cwnd) / cwnd;  // one mss per window acknowledged
        cwnd += static_cast<uint32_t>(std::max<uint64_t>(step, 1));
    }
    cwnd = std::min(cwnd, window_max);
}

uint32_t congestion_reduced_window(Endpoint ep, uint32_t flight) {
    return std::max(flight / 2, 2u * ep.hot.mss);
}

}  // namespace millrace::tcp
