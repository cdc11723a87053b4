#include "dataplane/tcp/keepalive.h"

namespace millrace::tcp {
namespace {

constexpr uint32_t us(uint16_t seconds) {
    return static_cast<uint32_t>(seconds * us_per_s);
}

/// States in which a peer that is alive may be silent for ever.
bool may_be_silent(State state) {
    return state == State::established || state == State::close_wait || state == State::fin_wait_2;
}

}  // namespace

KeepaliveStep keepalive_step(const Context& ctx, Endpoint ep, const KeepaliveRecord& settings, uint32_t silent_ms) {
    if (settings.idle_s == 0 || !may_be_silent(ep.hot.state) || in_flight(ep.hot) != 0 || ep.hot.has(flag_persist) ||
        silent_ms < settings.idle_s * 1000u)
        return KeepaliveStep::none;
    const uint32_t waited = static_cast<uint32_t>(ctx.now) - ep.warm.timer_base;
    if (!keepalive_probing(ep)) {
        if (waited < us(settings.idle_s)) return KeepaliveStep::none;  // the last probe was answered since
    } else if (waited < us(settings.interval_s)) {
        return KeepaliveStep::none;
    } else if (ep.warm.backoff >= settings.count) {
        ++ctx.counters.keepalive_timeouts;
        return KeepaliveStep::dead;
    }
    ++ep.warm.backoff;
    ++ctx.counters.keepalive_probes;
    ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
    ep.hot.set(flag_probe_wanted);
    return KeepaliveStep::probe;
}

}  // namespace millrace::tcp
