#include "dataplane/tcp/congestion.h"

#include <algorithm>
#include <cmath>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/rtt.h"

namespace millrace::tcp {
namespace {

constexpr uint32_t window_max = 1u << 30;        // the largest that a scaled window can use (RFC 7323 §2.3)
constexpr uint32_t slow_start_segments_max = 8;  // one ACK may acknowledge many (RFC 3465 §2.3, RFC 9406 §4.2: L)

// RFC 9438 §4.1, §4.6, §5: per mille, and segments per cubic second.
constexpr uint64_t cubic_beta = 700;
constexpr double cubic_c = 0.4;
constexpr double cubic_alpha = 3.0 * 0.3 / 1.7;  // §4.3
/// Longer epochs begin anew: their start is kept in 32 bits.
constexpr uint32_t epoch_max_us = 1u << 31;

// What warm.cubic holds; bytes, but for the start, which is microseconds and 0 outside of an epoch.
enum CubicField : uint8_t { w_max, epoch_start, cwnd_epoch };

/// W_est of RFC 9438 §4.3 in closed form: alpha segments a round trip up to the old maximum, then one.
double reno_window(const EndpointWarm& warm, double mss, double rounds) {
    const double start = warm.cubic[cwnd_epoch];
    const double reached = start + cubic_alpha * mss * rounds;
    const double prior = warm.cubic[w_max];
    if (reached <= prior) return reached;
    return prior + (reached - prior) / cubic_alpha;
}

/// RFC 9438 §4.2–§4.5.
void grow_cubic(const Context& ctx, Endpoint ep, uint32_t acked) {
    uint32_t* const cubic = ep.warm.cubic;
    uint32_t& cwnd = ep.warm.cwnd;
    const uint32_t now = static_cast<uint32_t>(ctx.now);
    if (cubic[epoch_start] == 0 || now - cubic[epoch_start] > epoch_max_us) {
        cubic[epoch_start] = now == 0 ? UINT32_MAX : now;  // 0 stands for none
        cubic[cwnd_epoch] = cwnd;
        cubic[w_max] = std::max(cubic[w_max], cwnd);
    }
    const double mss = ep.hot.mss;
    const double elapsed_s = static_cast<double>(now - cubic[epoch_start]) * 1e-6;
    const double rtt_s = static_cast<double>(std::max(ep.hot.srtt_us, 1u)) * 1e-6;
    const double k = std::cbrt((cubic[w_max] - cubic[cwnd_epoch]) / mss / cubic_c);
    const auto window_at = [&](double t) { return cubic_c * (t - k) * (t - k) * (t - k) * mss + cubic[w_max]; };

    const double reno = reno_window(ep.warm, mss, elapsed_s / rtt_s);
    if (window_at(elapsed_s) < reno && !fault(Fault::tcp_cubic_not_reno_friendly)) {
        if (reno > cwnd) cwnd = static_cast<uint32_t>(std::min<double>(reno, cwnd + acked));
        return;
    }
    const double target = std::clamp<double>(window_at(elapsed_s + rtt_s), cwnd, 1.5 * cwnd);
    cwnd += static_cast<uint32_t>((target - cwnd) * std::min(acked, cwnd) / cwnd);
}

}  // namespace

void congestion_start(Endpoint ep, uint32_t segments) {
    if (fault(Fault::tcp_initial_window_unlimited)) segments = 1000;
    ep.warm.cwnd = segments * ep.hot.mss;
    ep.warm.ssthresh = window_max;
}

void congestion_grow(const Context& ctx, Endpoint ep, uint32_t acked, uint32_t flight_before) {
    const uint32_t mss = ep.hot.mss;
    uint32_t& cwnd = ep.warm.cwnd;
    const bool limited = fault(Fault::tcp_unused_window_grows);
    if (cwnd < ep.warm.ssthresh) {
        if (uint64_t{flight_before} * 2 < cwnd && !limited) return;
        cwnd += std::min(acked, slow_start_segments_max * mss);
    } else if (flight_before + mss < cwnd && !limited) {
        ep.warm.cubic[epoch_start] = 0;  // time in which the window was not in use does not count (RFC 9438 §4.2)
        return;
    } else if (ctx.options.congestion_control == CongestionControl::cubic) {
        grow_cubic(ctx, ep, acked);
    } else {
        const uint64_t step = uint64_t{mss} * std::min(acked, cwnd) / cwnd;  // one mss per window acknowledged
        cwnd += static_cast<uint32_t>(std::max<uint64_t>(step, 1));
    }
    cwnd = std::min(cwnd, window_max);
}

void congestion_on_loss(const Context& ctx, Endpoint ep, uint32_t flight) {
    uint32_t remaining = flight / 2;
    if (ctx.options.congestion_control == CongestionControl::cubic) {
        const uint32_t cwnd = ep.warm.cwnd;
        uint32_t* const cubic = ep.warm.cubic;
        // Fast convergence (RFC 9438 §4.7): a maximum below the last one leaves room for a newcomer.
        const bool shrinking = cwnd < cubic[w_max];
        cubic[w_max] = shrinking ? static_cast<uint32_t>(uint64_t{cwnd} * (1000 + cubic_beta) / 2000) : cwnd;
        cubic[epoch_start] = 0;
        const uint64_t beta = fault(Fault::tcp_cubic_beta_wrong) ? 950 : cubic_beta;
        remaining = static_cast<uint32_t>(std::min(flight, cwnd) * beta / 1000);
    }
    if (fault(Fault::tcp_window_kept_at_loss)) remaining = ep.warm.cwnd;
    ep.warm.ssthresh = std::max(remaining, 2u * ep.hot.mss);
}

void congestion_after_idle(const Context& ctx, Endpoint ep, uint32_t idle_us) {
    uint32_t& cwnd = ep.warm.cwnd;
    const uint32_t restart = std::min(cwnd, uint32_t{ctx.options.initial_window_segments} * ep.hot.mss);
    const uint32_t rto = rto_us(ctx.options, ep);
    if (idle_us <= rto || fault(Fault::tcp_idle_window_kept)) return;
    ep.warm.ssthresh = std::max(ep.warm.ssthresh, cwnd - cwnd / 4);
    for (uint32_t left = idle_us; left > rto && cwnd > restart; left -= rto) cwnd /= 2;
    cwnd = std::max(cwnd, restart);
    ep.warm.cubic[epoch_start] = 0;
}

CongestionState congestion_save(const EndpointWarm& warm) {
    return {warm.cwnd, warm.ssthresh, {warm.cubic[0], warm.cubic[1], warm.cubic[2]}};
}

void congestion_restore(EndpointWarm& warm, const CongestionState& before) {
    warm.cwnd = std::max(warm.cwnd, before.cwnd);
    warm.ssthresh = before.ssthresh;
    std::copy(std::begin(before.cubic), std::end(before.cubic), warm.cubic);
}

}  // namespace millrace::tcp
