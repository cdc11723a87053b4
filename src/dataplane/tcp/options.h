// Settings of one TCP stack, the same for all its connections. Set before the first segment and constant while the
// worker runs; the defaults are the values that the RFCs name. Not the options of a TCP header: wire/tcp_segment.h.
#pragma once

#include <cstdint>

#include <millrace/snapshot.h>

#include "dataplane/base/time.h"

namespace millrace::tcp {

using millrace::CongestionControl;

struct Options {
    uint32_t rto_initial_us = 1'000'000;  ///< before the first measurement (RFC 6298 §2.1)
    uint32_t rto_min_us = 200'000;        ///< RFC 6298 §2.4 says 1 s; 200 ms is what the field's stacks use
    uint32_t rto_max_us = 60'000'000;     ///< RFC 6298 §2.5
    uint8_t syn_retries = 7;      ///< SYN retransmissions before an active open fails: 183 s (RFC 9293, MUST-23)
    uint8_t syn_ack_retries = 5;  ///< SYN-ACK retransmissions before a half-open entry is dropped
    uint8_t retries_max = 15;     ///< R2 of RFC 9293 §3.8.3: timeouts in a row before the connection is dead
    uint8_t window_scale = 6;     ///< offered, 0…14 (RFC 7323 §2): windows up to 4 MiB in steps of 64 B
    /// When SYNs are answered with cookies (RFC 4987 §3.6): never, when there is no room for them, or all.
    SynCookies syn_cookies = SynCookies::on;
    bool timestamps = true;                 ///< offered and accepted (RFC 7323 §3)
    bool ecn = true;                        ///< offered and accepted (RFC 3168 §6.1.1)
    bool sack = true;                       ///< offered and accepted (RFC 2018 §2)
    uint16_t mss_v4 = 1460;                 ///< announced on IPv4: MTU less 40 (RFC 9293 §3.7.1)
    uint16_t mss_v6 = 1440;                 ///< announced on IPv6: MTU less 60
    uint16_t initial_window_segments = 10;  ///< RFC 6928
    bool restart_after_idle = true;         ///< lower the window after a pause (RFC 5681 §4.1)
    CongestionControl congestion_control = CongestionControl::cubic;  ///< RFC 9438 or RFC 5681
    uint16_t syn_window_bytes = 65535;      ///< most that a SYN or SYN-ACK advertises: what the peer may send at once
    uint32_t receive_window_bytes = 65535;  ///< largest window advertised on a path that needs no more
    uint32_t receive_window_max_bytes = 0;  ///< largest window ever advertised; a smaller value than above: that one
    uint16_t reassembly_chunks_max = 128;   ///< chunks that one connection may hold out of order, with a window of
                                            ///< receive_window_bytes; the more for larger ones
    uint16_t ack_delay_ms = 40;             ///< longest wait of an ACK, 0…500 (RFC 9293 §3.8.6.3)
    uint16_t path_mtu_min = 552;            ///< below it no message leads (path_mtu.h); IPv4, bytes of packet
    uint32_t time_wait_ms = 60'000;         ///< 2 MSL (RFC 9293 §3.4.2), MSL taken as 30 s
    uint16_t challenge_interval_ms = 500;   ///< between two challenge ACKs of one connection; 0: no limit
    uint32_t challenge_acks_per_second = 1000;  ///< per worker (RFC 5961 §7); the true budget varies around it
};

}  // namespace millrace::tcp
