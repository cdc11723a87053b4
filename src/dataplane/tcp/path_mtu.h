// What ICMP and silence say of a connection's path: path MTU discovery (RFC 1191, RFC 8201), its way around routers
// that say nothing (RFC 4821 §7, without probe segments of its own), and ICMP errors (RFC 1122 §4.2.3.9, RFC 5927).
// Anyone can forge ICMP, so a message counts only when it quotes a segment that is in flight now. Internal to tcp/ but
// for icmp_report() and on_icmp_error().
//
//   MSS by the SYNs ──Fragmentation Needed / Packet Too Big──► what the router names, never below 552 or 1280
//        ▲      └──── third timeout in a row ──► the step below the segment
//        └────── every ten minutes or so, a step up (path_mtu_raise) ──┘
//
// A changed MSS holds for what is sent from then on, retransmissions included: the send queue is bytes, not segments.
// It is kept for a connection, not for a destination.
#pragma once

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/wire/frame.h"

namespace millrace::tcp {

/// What of an ICMP error concerns a connection.
struct IcmpReport {
    enum class Kind : uint8_t {
        soft,     ///< may pass: never ends a connection
        hard,     ///< port or protocol unreachable, communication prohibited (RFC 1122 §4.2.3.9, RFC 5461)
        too_big,  ///< `mtu` is the next hop's
    };
    Kind kind = Kind::soft;
    uint32_t mtu = 0;  ///< 0 from routers older than RFC 1191
    Seq seq;           ///< of the segment that it quotes
};

/// `error` quotes TCP.
IcmpReport icmp_report(const wire::IcmpError& error);

/// An ICMP error about a segment of this connection. event_refused when it ends an open; flush() afterwards, since
/// segments may be sent again.
Events on_icmp_error(const Context& ctx, Endpoint ep, const IcmpReport& report);

/// A retransmission timeout, `warm.backoff` in a row: perhaps the path drops large segments and says nothing.
void path_mtu_on_timeout(const Context& ctx, Endpoint ep);

/// Tries the next larger size where the path was found small. The owner calls it about ten minutes after the last time
/// (RFC 1191 §6.3, RFC 8201 §4).
void path_mtu_raise(const Context& ctx, Endpoint ep);

}  // namespace millrace::tcp
