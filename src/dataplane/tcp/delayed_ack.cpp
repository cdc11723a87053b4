#include "dataplane/tcp/delayed_ack.h"

#include "dataplane/base/fault.h"
#include "dataplane/tcp/receive_window.h"

namespace millrace::tcp {

void delay_ack(const Context& ctx, Endpoint ep, bool now) {
    const bool second = ep.hot.ack_delayed != 0;
    const bool window_short = receive_window(ep.hot) < 2u * ep.hot.mss;
    if (now || second || window_short || ctx.options.ack_delay_ms == 0) ep.hot.set(flag_ack_pending);
    ep.hot.ack_delayed = 1;
}

std::optional<TimeUs> delayed_ack_deadline(const Context& ctx, Endpoint ep) {
    if (ep.hot.ack_delayed == 0 || ep.hot.has(flag_ack_pending) || fault(Fault::tcp_delayed_ack_forgotten))
        return std::nullopt;
    const uint32_t waited_ms = arrival_clock_ms(ctx) - ep.warm.ts_recent_age;
    return (ctx.now / us_per_ms - waited_ms + ctx.options.ack_delay_ms) * us_per_ms;
}

}  // namespace millrace::tcp
