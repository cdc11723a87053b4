// How outbound segments are begun: addresses, ports and options. Payload and the rest are the caller's. Internal to
// tcp/.
#pragma once

#include <algorithm>

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/secrets.h"

namespace millrace::tcp {

inline Tuple tuple_of(const wire::TcpSegment& inbound) {
    return {inbound.destination, inbound.source, inbound.destination_port, inbound.source_port};
}

/// A segment back to where `inbound` came from.
wire::OutboundSegment reply_to(const wire::TcpSegment& inbound, uint16_t local_id);

/// Our MSS for a peer's family: what we announce, and the most that our side of the path takes.
inline uint16_t local_mss(const Options& options, const IpAddress& peer) {
    return peer.is_v4() ? options.mss_v4 : options.mss_v6;
}

/// Which options a SYN offers, or a SYN-ACK agrees to, beside the MSS.
struct SynOffer {
    bool window_scale;
    bool timestamps;
    bool sack;
};

/// The first window of a SYN or SYN-ACK, and its options.
void fill_syn_options(const Context& ctx, wire::TcpSegment& header, const IpAddress& peer, const SynOffer& offer,
                      uint32_t ts_value, uint32_t ts_echo);

/// The window of a SYN or SYN-ACK, which is never scaled (RFC 7323 §2.2).
inline uint16_t syn_window(const Options& options) {
    return static_cast<uint16_t>(std::min<uint32_t>(options.receive_window_bytes, options.syn_window_bytes));
}

}  // namespace millrace::tcp
