#include "dataplane/tcp/path_mtu.h"

#include <algorithm>

#include <millrace/config_rules.h>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/recovery.h"

namespace millrace::tcp {
namespace {

/// Sizes of packets that paths are made of, smallest first (RFC 1191 §7.1, brought up to date).
constexpr uint16_t steps[] = {296, 552, 1006, 1280, 1400, 1492, 1500, 2002, 4352, 9000};

/// Below this no message leads: IPv6 guarantees it; for IPv4 it keeps a forger from making us send crumbs.
uint32_t floor_of(const Context& ctx, const EndpointHot& hot) {
    return hot.peer.is_v4() ? ctx.options.path_mtu_min : mtu_min_ipv6;
}

/// Headers around the payload of every segment.
uint32_t overhead(const EndpointHot& hot) {
    return (hot.peer.is_v4() ? 40 : 60) + (hot.has(flag_timestamps) ? 12 : 0);
}

uint32_t packet_bytes(const EndpointHot& hot) {
    return hot.mss + overhead(hot);
}

uint32_t step_below(uint32_t bytes) {
    uint32_t best = steps[0];
    for (const uint16_t step : steps)
        if (step < bytes) best = step;
    return best;
}

uint32_t step_above(uint32_t bytes) {
    for (const uint16_t step : steps)
        if (step > bytes) return step;
    return 0xffff;
}

/// False when `bytes` is not less than what is sent now.
bool lower(const Context& ctx, Endpoint ep, uint32_t bytes) {
    const uint32_t mss = std::max(bytes, floor_of(ctx, ep.hot)) - overhead(ep.hot);
    if (mss >= ep.hot.mss) return false;
    if (ep.warm.mss_full == 0) ep.warm.mss_full = ep.hot.mss;
    ep.hot.mss = static_cast<uint16_t>(mss);
    return true;
}

/// RFC 1191 §6.5: what was too big is sent again at once, and it is not congestion.
void send_all_again(const Context& ctx, Endpoint ep) {
    const CongestionState before = congestion_save(ep.warm);
    recovery_on_timeout(ctx, ep);
    if (Extension* extended = extension(ctx, ep)) extended->recovery.frto = Frto::none;
    congestion_restore(ep.warm, before);
}

void on_too_big(const Context& ctx, Endpoint ep, uint32_t mtu) {
    if (syn_unacknowledged(ep.hot) || (!ep.hot.peer.is_v4() && mtu < mtu_min_ipv6)) {
        ++ctx.counters.icmp_ignored;  // RFC 8201 §4
        return;
    }
    if (!lower(ctx, ep, mtu == 0 ? step_below(packet_bytes(ep.hot)) : mtu)) return;
    ++ctx.counters.path_mtu_lowered;
    send_all_again(ctx, ep);
}

/// RFC 1122 §3.2.2.1 and §4.2.3.9, RFC 4443 §3.1, RFC 5461 §2.
IcmpReport::Kind kind_of(const wire::IcmpError& error) {
    using Kind = IcmpReport::Kind;
    if (error.kind == wire::IcmpErrorKind::packet_too_big) return Kind::too_big;
    if (error.kind != wire::IcmpErrorKind::unreachable) return Kind::soft;
    constexpr uint8_t protocol_v4 = 2, port_v4 = 3, prohibited_v6 = 1, port_v6 = 4;
    const bool hard = error.embedded_source.is_v4() ? error.code == protocol_v4 || error.code == port_v4
                                                    : error.code == prohibited_v6 || error.code == port_v6;
    return hard ? Kind::hard : Kind::soft;
}

}  // namespace

IcmpReport icmp_report(const wire::IcmpError& error) {
    return {.kind = kind_of(error), .mtu = error.mtu, .seq = Seq{error.embedded_seq}};
}

Events on_icmp_error(const Context& ctx, Endpoint ep, const IcmpReport& report) {
    Events events;
    const bool in_flight_now = report.seq >= ep.hot.snd_una && report.seq < ep.hot.snd_nxt;
    if (ep.hot.state == State::closed || (!in_flight_now && !fault(Fault::tcp_icmp_unvalidated))) {
        ++ctx.counters.icmp_ignored;
        return events;
    }
    switch (report.kind) {
        case IcmpReport::Kind::too_big:
            on_too_big(ctx, ep, report.mtu);
            break;
        case IcmpReport::Kind::hard:
            if (ep.hot.state == State::syn_sent || fault(Fault::tcp_icmp_kills_established)) {
                ep.hot.state = State::closed;
                ++ctx.counters.open_refused;
                events.bits |= event_refused;
                break;
            }
            [[fallthrough]];  // RFC 5927 §5.2: of an established connection all errors are soft
        case IcmpReport::Kind::soft:
            ++ctx.counters.icmp_soft_errors;
            break;
    }
    return events;
}

void path_mtu_on_timeout(const Context& ctx, Endpoint ep) {
    constexpr uint8_t timeouts_of_a_black_hole = 3;
    if (ep.warm.backoff < timeouts_of_a_black_hole || ep.hot.snd_wnd == 0) return;
    // The end of the data may be less than a full segment, and still more than the path takes.
    const uint32_t vanished = std::min<uint32_t>(in_flight(ep.hot), ep.hot.mss) + overhead(ep.hot);
    if (vanished <= floor_of(ctx, ep.hot)) return;
    if (lower(ctx, ep, step_below(vanished))) ++ctx.counters.path_mtu_black_holes;
}

void path_mtu_raise(const Context& ctx, Endpoint ep) {
    if (ep.warm.mss_full == 0) return;
    const uint32_t mss = step_above(packet_bytes(ep.hot)) - overhead(ep.hot);
    ep.hot.mss = static_cast<uint16_t>(std::min<uint32_t>(mss, ep.warm.mss_full));
    if (ep.hot.mss == ep.warm.mss_full) ep.warm.mss_full = 0;
    ++ctx.counters.path_mtu_raised;
}

}  // namespace millrace::tcp
