// The state of one side of a relay's TCP, as an operator sees it: part of the answer to show_tcp (commands.h). A copy
// of a moment; the other fields of the endpoint and its sequence numbers stay in the dataplane, since whoever knows
// those could forge segments. Numbers are bytes unless their names say otherwise.
#pragma once

#include <cstdint>

namespace millrace {

/// RFC 9293 §3.3.2.
enum class TcpState : uint8_t {
    closed = 0,
    syn_sent = 1,
    syn_received = 2,
    established = 3,
    fin_wait_1 = 4,
    fin_wait_2 = 5,
    close_wait = 6,
    closing = 7,
    last_ack = 8,
    time_wait = 9,
};

/// What the connection's next deadline is for.
enum class TcpTimer : uint8_t { none = 0, syn = 1, retransmission = 2, persist = 3, delayed_ack = 4, keepalive = 5 };

enum TcpInfoFlag : uint16_t {
    tcp_info_timestamps = 0x01,
    tcp_info_sack = 0x02,
    tcp_info_ecn = 0x04,
    tcp_info_window_scaling = 0x08,
    tcp_info_fast_recovery = 0x10,
    tcp_info_timeout_recovery = 0x20,
    tcp_info_fin_queued = 0x40,
    tcp_info_fin_received = 0x80,
};

struct TcpInfo {
    static constexpr uint32_t unlimited = UINT32_MAX;

    TcpState state;
    TcpTimer timer;
    uint8_t send_scale;     ///< shift of the windows that the peer advertises
    uint8_t receive_scale;  ///< of those that we advertise
    uint8_t backoff;        ///< timeouts in a row without an answer: retransmissions, window or keepalive probes
    uint8_t reserved;
    uint16_t flags;  ///< TcpInfoFlag
    uint16_t mss;    ///< largest payload of a segment
    uint16_t pmtu;   ///< largest IP packet that is sent: what the path is believed to take
    uint16_t mss_of_handshake;
    uint16_t reserved1;
    uint32_t timer_ms;  ///< until the timer fires; 0 without one
    uint32_t cwnd;
    uint32_t ssthresh;  ///< unlimited: no loss yet
    uint32_t srtt_us;   ///< 0: not measured yet, like the next two
    uint32_t rttvar_us;
    uint32_t min_rtt_us;
    uint32_t rto_us;
    uint32_t send_window;     ///< what the peer takes, counted from the first byte in flight
    uint32_t receive_window;  ///< what we take
    uint32_t in_flight;       ///< snd_nxt - snd_una
    uint32_t unsent;
    uint32_t sacked;         ///< of those in flight: reported as received
    uint32_t lost;           ///< given up for lost and not sent again yet
    uint32_t retransmitted;  ///< sent more than once, and still in flight
    uint32_t out_of_order;   ///< received behind a gap
};
static_assert(sizeof(TcpInfo) == 76);

}  // namespace millrace
