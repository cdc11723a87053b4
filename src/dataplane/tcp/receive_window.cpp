#include "dataplane/tcp/receive_window.h"

#include <algorithm>

#include "dataplane/base/fault.h"

namespace millrace::tcp {
namespace {

constexpr uint32_t measured_us_min = 10'000;
constexpr uint32_t silence_us_min = 500'000;
/// On shorter paths the first window is enough for what a connection can carry.
constexpr uint32_t measured_rtt_us_min = 1'000;

}  // namespace

void receive_window_measure(const Context& ctx, Endpoint ep, bool bulk) {
    Extension* state = extension(ctx, ep);
    const bool measuring = state != nullptr && state->measuring != 0;
    const uint32_t floor = ctx.options.receive_window_bytes, bound = ctx.options.receive_window_max_bytes;
    const uint32_t rtt_us = ep.warm.min_rtt_us;
    const uint32_t now_us = static_cast<uint32_t>(ctx.now);
    if (!measuring) {
        if (!bulk || bound <= floor || rtt_us < measured_rtt_us_min || !ctx.buffers_may_grow) return;
        state = ensure_extension(ctx, ep);
        if (state == nullptr) return;  // memory is short: no time to grow
        state->measuring = 1;
    } else {
        const uint32_t interval_us = std::max(rtt_us, measured_us_min);
        const uint32_t elapsed_us = now_us - state->measured_since;
        if (elapsed_us < interval_us) return;
        const uint64_t carried = uint64_t{ep.hot.rcv_nxt - state->measured_from} * rtt_us / elapsed_us;
        // A sender in slow start sends twice as much while this window is told, and by the ACKs for that as much again.
        const bool rising = carried > uint64_t{state->carried} * 3 / 2;
        const auto wanted = static_cast<uint32_t>(std::min<uint64_t>((rising ? 4 : 2) * carried, bound));
        state->carried = static_cast<uint32_t>(std::min<uint64_t>(carried, bound));
        const uint32_t limit = std::max(state->receive_limit, floor);
        if (wanted > limit && ctx.buffers_may_grow) {
            state->receive_limit = std::min(wanted, 4 * limit);
        } else if (wanted < state->receive_limit) {
            state->receive_limit -= (state->receive_limit - wanted) / 8;
        }
    }
    state->measured_since = now_us;
    state->measured_from = ep.hot.rcv_nxt;
}

void receive_window_rest(const Context& ctx, Endpoint ep) {
    Extension* state = extension(ctx, ep);
    if (state == nullptr || state->measuring == 0) return;
    const uint32_t silence_us = std::max(8 * ep.warm.min_rtt_us, silence_us_min);
    if (static_cast<uint32_t>(ctx.now) - state->measured_since < silence_us) return;
    state->measuring = state->quick_acks = 0;
    state->receive_limit = state->carried = 0;
}

Seq receive_window_edge(const Context& ctx, Endpoint ep, uint32_t receive_space) {
    const EndpointHot& hot = ep.hot;
    const uint32_t limit = std::min(receive_limit(ctx, ep), 65535u << hot.receive_scale());
    const uint32_t space = std::min(receive_space, limit);
    if (fault(Fault::tcp_window_shrinks)) return hot.rcv_nxt + space;
    const uint32_t promised = receive_window(hot);
    const uint32_t step =
        fault(Fault::tcp_silly_window) ? 1 : std::min<uint32_t>(hot.mss, ctx.options.receive_window_bytes / 2);
    return space >= promised + step ? hot.rcv_nxt + space : hot.rcv_adv;
}

bool receive_window_update_due(const Options& options, const EndpointHot& hot, Seq edge) {
    if (edge <= hot.rcv_adv) return false;
    const uint32_t gain = edge - hot.rcv_adv;
    const uint32_t step = std::min<uint32_t>(2u * hot.mss, options.receive_window_bytes / 2);
    return gain >= step && receive_window(hot) <= (edge - hot.rcv_nxt) / 2;
}

}  // namespace millrace::tcp
