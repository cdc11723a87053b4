#include "dataplane/tcp/timers.h"

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/delayed_ack.h"
#include "dataplane/tcp/extension.h"
#include "dataplane/tcp/path_mtu.h"
#include "dataplane/tcp/receive_window.h"
#include "dataplane/tcp/recovery.h"
#include "dataplane/tcp/rtt.h"
#include "dataplane/tcp/send_window.h"

namespace millrace::tcp {
namespace {

void give_up(Endpoint ep, Events& events) {
    ep.hot.state = State::closed;
    events.bits |= event_timed_out;
}

void on_syn_timeout(const Context& ctx, Endpoint ep, Events& events) {
    const bool passive = ep.hot.state == State::syn_received;
    const uint8_t retries = passive ? ctx.options.syn_ack_retries : ctx.options.syn_retries;
    if (ep.warm.backoff >= std::min(retries, backoff_max)) {
        ++ctx.counters.open_timed_out;
        give_up(ep, events);
        return;
    }
    ++ep.warm.backoff;
    ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
    ep.hot.set(flag_retransmit_wanted);
}

/// The persist timer runs because the window is silly: when it expires, what fits is sent.
bool overriding(const EndpointHot& hot) {
    return hot.has(flag_persist) && hot.snd_wnd != 0;
}

/// Of the SYN, retransmission or persist timer.
std::optional<TimeUs> send_deadline(const Context& ctx, Endpoint ep) {
    if (in_flight(ep.hot) == 0 && !ep.hot.has(flag_persist)) return std::nullopt;
    const uint32_t elapsed = static_cast<uint32_t>(ctx.now) - ep.warm.timer_base;
    TimeUs timeout_us = rto_us(ctx.options, ep);
    if (overriding(ep.hot)) timeout_us = std::min(timeout_us, override_timeout_max_us);
    return std::min(ctx.now - elapsed + timeout_us, recovery_deadline(ctx, ep));
}

}  // namespace

std::optional<TimeUs> next_deadline(const Context& ctx, Endpoint ep) {
    if (ep.hot.state == State::closed || ep.hot.state == State::time_wait) return std::nullopt;
    const std::optional<TimeUs> own = send_deadline(ctx, ep);
    const std::optional<TimeUs> ack = delayed_ack_deadline(ctx, ep);
    return own && ack ? std::min(*own, *ack) : own ? own : ack;
}

Events on_deadline(const Context& ctx, Endpoint ep) {
    Events events;
    if (ep.hot.state == State::closed || ep.hot.state == State::time_wait) return events;
    if (const auto ack = delayed_ack_deadline(ctx, ep); ack && *ack <= ctx.now) ep.hot.set(flag_ack_pending);
    const std::optional<TimeUs> deadline = send_deadline(ctx, ep);
    if (!deadline || *deadline > ctx.now) return events;
    if (syn_unacknowledged(ep.hot)) {
        on_syn_timeout(ctx, ep, events);
        return events;
    }
    if (overriding(ep.hot)) {
        ep.hot.set(flag_probe_wanted);
        ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
        return events;
    }
    if (recovery_on_deadline(ctx, ep)) return events;
    const uint32_t retries = ctx.options.retries_max + (ep.hot.snd_wnd == 0 ? uint32_t{backoff_while_answered} : 0);
    if (ep.warm.backoff >= std::min<uint32_t>(retries, backoff_max)) {
        ++ctx.counters.connections_timed_out;
        give_up(ep, events);
        return events;
    }
    ++ep.warm.backoff;
    if (ep.hot.has(flag_persist)) {
        ep.hot.set(flag_probe_wanted);
        ep.warm.timer_base = static_cast<uint32_t>(ctx.now);
    } else {
        ++ctx.counters.rto_timeouts;
        path_mtu_on_timeout(ctx, ep);
        if (!fault(Fault::tcp_retransmission_forgotten)) recovery_on_timeout(ctx, ep);
    }
    return events;
}

void on_sweep(const Context& ctx, Endpoint ep) {
    receive_window_rest(ctx, ep);
    trim_extension(ctx, ep);
}

}  // namespace millrace::tcp
