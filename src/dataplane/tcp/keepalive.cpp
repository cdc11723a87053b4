#include "dataplane/tcp/keepalive.h"

#include "dataplane/tcp/delayed_ack.h"

namespace millrace::tcp {
namespace {

/// States in which a peer that is alive may be silent for ever.
bool may_be_silent(State state) {
    return state == State::established || state == State::close_wait || state == State::fin_wait_2;
}

}  // namespace

KeepaliveStep keepalive_step(const Context& ctx, Endpoint ep, const KeepaliveRecord& settings) {
    if (settings.idle_s == 0 || !may_be_silent(ep.hot.state) || in_flight(ep.hot) != 0 || ep.hot.has(flag_persist))
        return KeepaliveStep::none;
    if (keepalive_probing(ep)) {
        const uint32_t waited_us = static_cast<uint32_t>(ctx.now) - ep.warm.timer_base;
        if (waited_us < settings.interval_s * us_per_s) return KeepaliveStep::none;
        if (ep.warm.backoff >= settings.count) {
            ++ctx.counters.keepalive_timeouts;
            return KeepaliveStep::dead;
        }
    } else if (arrival_clock_ms(ctx) - ep.warm.ts_recent_age < settings.idle_s * 1000u) {
        return KeepaliveStep::none;
    }
    ++ep.warm.backoff;
    ++ctx.counters.keepalive_probes;
    ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
    ep.hot.set(flag_probe_wanted);
    return KeepaliveStep::probe;
}

}  // namespace millrace::tcp
