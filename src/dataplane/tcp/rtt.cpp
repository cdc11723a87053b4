#include "dataplane/tcp/rtt.h"

#include <algorithm>

#include "dataplane/base/fault.h"

namespace millrace::tcp {
namespace {

/// G of RFC 6298: the coarsest clock behind a sample.
constexpr uint32_t clock_granularity_us = 1000;

/// Echoes older than this are the peer's mistake, not a round trip.
constexpr uint32_t echo_age_max_ms = 600'000;

constexpr uint32_t doublings_max = 16;

}  // namespace

void rtt_sample(Endpoint ep, uint32_t rtt_us) {
    rtt_us = std::clamp(rtt_us, 1u, echo_age_max_ms * 1000);
    if (ep.hot.srtt_us == 0) {
        ep.hot.srtt_us = rtt_us;
        ep.warm.rttvar_us = rtt_us / 2;
        ep.warm.min_rtt_us = rtt_us;
        return;
    }
    const uint32_t srtt = ep.hot.srtt_us;
    const uint32_t error = srtt > rtt_us ? srtt - rtt_us : rtt_us - srtt;
    ep.warm.rttvar_us = ep.warm.rttvar_us - ep.warm.rttvar_us / 4 + error / 4;
    ep.hot.srtt_us = fault(Fault::tcp_rtt_unsmoothed) ? rtt_us : std::max(1u, srtt - srtt / 8 + rtt_us / 8);
    ep.warm.min_rtt_us = std::min(ep.warm.min_rtt_us, rtt_us);
}

uint32_t rtt_from_echo(const Context& ctx, Endpoint ep, uint32_t ts_echo) {
    const uint32_t age_ms = timestamp_value(ep.warm.ts_offset, ctx.now) - ts_echo;
    if (age_ms > echo_age_max_ms) return 0;
    return std::max(age_ms * 1000, clock_granularity_us / 2);
}

void rtt_after_lost_syn(Endpoint ep) {
    ep.hot.srtt_us = 0;
    ep.warm.rttvar_us = 750'000;
}

void rto_on_progress(Endpoint ep, bool measured) {
    if (!ep.hot.has(flag_timestamps)) {
        const bool forget = measured || fault(Fault::tcp_karn_backoff_forgotten);
        ep.warm.rto_doublings = forget ? 0 : std::min(ep.warm.rto_doublings + ep.warm.backoff, doublings_max);
    }
    ep.warm.backoff = 0;
}

uint32_t rto_us(const Options& options, Endpoint ep) {
    uint64_t rto = options.rto_initial_us;
    if (ep.hot.srtt_us != 0 || ep.warm.rttvar_us != 0) {
        rto = uint64_t{ep.hot.srtt_us} + std::max(clock_granularity_us, 4 * ep.warm.rttvar_us);
        if (!fault(Fault::tcp_rto_without_minimum)) rto = std::max<uint64_t>(rto, options.rto_min_us);
    }
    const uint32_t doublings = ep.warm.backoff + (ep.hot.has(flag_timestamps) ? 0 : ep.warm.rto_doublings);
    if (!fault(Fault::tcp_rto_never_backs_off)) rto <<= std::min(doublings, doublings_max);
    return static_cast<uint32_t>(std::min<uint64_t>(rto, options.rto_max_us));
}

}  // namespace millrace::tcp
