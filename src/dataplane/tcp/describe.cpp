#include "dataplane/tcp/describe.h"

#include "dataplane/tcp/extension.h"
#include "dataplane/tcp/keepalive.h"
#include "dataplane/tcp/receive_window.h"
#include "dataplane/tcp/rtt.h"
#include "dataplane/tcp/send_queue.h"
#include "dataplane/tcp/timers.h"

namespace millrace::tcp {
namespace {

constexpr uint32_t chunks_max = 4096;
constexpr uint16_t timestamps_bytes = 12;  // RFC 7323 appendix A
constexpr uint16_t tcp_header_bytes = 20;
constexpr uint32_t ssthresh_unset = 1u << 30;  // RFC 5681 §3.1: arbitrarily high at first; no window comes near this

static_assert(static_cast<uint8_t>(State::closed) == static_cast<uint8_t>(TcpState::closed) &&
              static_cast<uint8_t>(State::established) == static_cast<uint8_t>(TcpState::established) &&
              static_cast<uint8_t>(State::last_ack) == static_cast<uint8_t>(TcpState::last_ack) &&
              static_cast<uint8_t>(State::time_wait) == static_cast<uint8_t>(TcpState::time_wait));

uint16_t flags_of(const EndpointHot& hot) {
    unsigned flags = 0;
    const auto add = [&](EndpointFlag flag, TcpInfoFlag told) {
        if (hot.has(flag)) flags |= static_cast<unsigned>(told);
    };
    add(flag_timestamps, tcp_info_timestamps);
    add(flag_sack, tcp_info_sack);
    add(flag_ecn, tcp_info_ecn);
    add(flag_wscale, tcp_info_window_scaling);
    add(flag_fast_recovery, tcp_info_fast_recovery);
    add(flag_rto_recovery, tcp_info_timeout_recovery);
    add(flag_fin_queued, tcp_info_fin_queued);
    add(flag_fin_received, tcp_info_fin_received);
    return static_cast<uint16_t>(flags);
}

TcpTimer timer_of(Endpoint ep) {
    if (syn_unacknowledged(ep.hot)) return TcpTimer::syn;
    if (ep.hot.has(flag_persist)) return TcpTimer::persist;
    return in_flight(ep.hot) != 0 ? TcpTimer::retransmission : TcpTimer::delayed_ack;
}

void describe_queues(const Context& ctx, Endpoint ep, TcpInfo& info) {
    for_each_sent_chunk(ctx, ep, chunks_max, [&](const store::ChunkHeader& header) {
        if ((header.flags & chunk_retransmitted) != 0) info.retransmitted += chunk_in_flight(header, ep.hot);
        return true;
    });
    const Extension* state = extension(ctx, ep);
    if (state == nullptr) return;
    info.sacked = state->recovery.sacked;
    info.lost = state->recovery.lost;
    store::ChunkId id = state->reassembly;
    for (uint32_t left = state->reassembly_chunks; left > 0; --left) {
        const store::ChunkHeader& header = ctx.chunks.header(id);
        info.out_of_order += header.length;
        id = header.next;
    }
}

}  // namespace

TcpInfo describe(const Context& ctx, Endpoint ep) {
    const EndpointHot& hot = ep.hot;
    const EndpointWarm& warm = ep.warm;
    TcpInfo info{};
    info.state = static_cast<TcpState>(hot.state);
    if (hot.state == State::closed) return info;
    if (const std::optional<TimeUs> deadline = next_deadline(ctx, ep)) {
        info.timer = timer_of(ep);
        info.timer_ms = *deadline > ctx.now ? static_cast<uint32_t>((*deadline - ctx.now) / us_per_ms) : 0;
    } else if (hot.state == State::established && keepalive_probing(ep)) {
        info.timer = TcpTimer::keepalive;
    }
    info.send_scale = hot.has(flag_wscale) ? hot.send_scale() : uint8_t{0};
    info.receive_scale = hot.has(flag_wscale) ? hot.receive_scale() : uint8_t{0};
    info.backoff = warm.backoff;
    info.flags = flags_of(hot);
    info.mss = hot.mss;
    info.mss_of_handshake = warm.mss_full != 0 ? warm.mss_full : hot.mss;
    info.pmtu = static_cast<uint16_t>(hot.mss + (hot.has(flag_timestamps) ? timestamps_bytes : 0) + tcp_header_bytes +
                                      (hot.peer.is_v4() ? 20 : 40));
    info.cwnd = warm.cwnd;
    info.ssthresh = warm.ssthresh >= ssthresh_unset ? TcpInfo::unlimited : warm.ssthresh;
    info.srtt_us = hot.srtt_us;
    info.rttvar_us = warm.rttvar_us;
    info.min_rtt_us = hot.srtt_us == 0 ? 0 : warm.min_rtt_us;
    info.rto_us = rto_us(ctx.options, ep);
    info.send_window = hot.snd_wnd;
    info.receive_window = receive_window(hot);
    info.in_flight = in_flight(hot);
    const Seq end = send_queue_end(ep);
    info.unsent = end > hot.snd_nxt ? end - hot.snd_nxt : 0;
    describe_queues(ctx, ep, info);
    return info;
}

}  // namespace millrace::tcp
