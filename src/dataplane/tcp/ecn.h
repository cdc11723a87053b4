// Explicit Congestion Notification (RFC 3168 §6.1): which bits a connection sets and how it answers marks of the
// network. Whether it is used is agreed by the SYNs (setup.cpp, half_open.cpp) and kept in flag_ecn. What ECE does to
// the congestion window belongs to the sender, which sets flag_cwr when it has reacted. Internal to tcp/.
//
//   receiver:  CE on data ──► flag_ece: ECE in every segment ──► CWR on data: enough
//   sender:    new data ECT(0); retransmissions, probes and segments without data are not ECT (§6.1.4 - §6.1.6)
#pragma once

#include "dataplane/base/fault.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/wire/tcp_segment.h"

namespace millrace::tcp {

/// The ECN field of the IP header (RFC 3168 §5).
inline constexpr uint8_t ip_ect0 = 2, ip_ce = 3;

/// §6.1.1: whether a SYN asks for ECN, or a SYN-ACK agrees to it. Both bits in a SYN-ACK are a reflection of ours.
inline bool ecn_setup(const wire::TcpSegment& syn) {
    const bool cwr = syn.has(wire::tcp_cwr);
    return syn.has(wire::tcp_ece) && (syn.has(wire::tcp_ack) ? !cwr : cwr);
}

/// The flags that make a SYN or a SYN-ACK ask or agree.
inline uint8_t ecn_setup_flags(bool syn_ack) {
    return static_cast<uint8_t>(syn_ack ? wire::tcp_ece : wire::tcp_ece | wire::tcp_cwr);
}

/// An acceptable segment came (§6.1.3, and §6.1.5: none outside the window).
inline void ecn_on_segment(EndpointHot& hot, const wire::TcpSegment& segment) {
    if (!hot.has(flag_ecn) || segment.payload.empty()) return;
    if (segment.has(wire::tcp_cwr) && !fault(Fault::tcp_ece_never_cleared)) hot.clear(flag_ece);
    if (segment.ip_ecn == ip_ce) hot.set(flag_ece);
}

/// New data is about to be sent (§6.1.2).
inline void ecn_on_new_data(EndpointHot& hot, wire::TcpSegment& header) {
    if (!hot.has(flag_ecn)) return;
    header.ip_ecn = ip_ect0;
    if (!hot.has(flag_cwr)) return;
    header.flags |= wire::tcp_cwr;
    hot.clear(flag_cwr);
}

}  // namespace millrace::tcp
