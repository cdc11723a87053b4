// The state of one connection's end: 64 hot bytes and 56 warm bytes, embedded in the owner's record, plus chunks that
// hang off it. Nothing of a connection lives elsewhere, so it survives the process (a region file). Owned by the worker
// of its shard; only that thread reads or writes it. RFC 9293 §3.3.1.
//
//   hot.send_tail ──► chunk ──next──► head chunk ──next──► ... ──► back to the tail     (what is not acknowledged)
//   hot.send_cursor ────────────────────────► the chunk that holds snd_nxt              (while something is unsent)
//   warm.extension ──► one 256 B chunk with struct Extension (extension.h), only while needed
//
//            snd_una          snd_nxt          end of the queue (snd_una + SYN + queued)
//   ────────────┼────────────────┼────────────────┼──
//     acked     │ sent           │ not sent yet   │ FIN stands here
//
// snd_nxt never goes back: a retransmission walks from snd_una beside it (recovery.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <millrace/address.h>

#include "dataplane/store/chunk_store.h"
#include "dataplane/tcp/seq.h"

namespace millrace::tcp {

/// RFC 9293 §3.3.2. `closed` also is the zeroed record. There is no `listen`: see half_open.h.
enum class State : uint8_t {
    closed,
    syn_sent,
    syn_received,  ///< simultaneous open, or between establish_passive() and the receive() of the completing ACK
    established,
    fin_wait_1,
    fin_wait_2,
    close_wait,
    closing,
    last_ack,
    time_wait,  ///< only until the owner has moved it to the TimeWaitTable
};

enum EndpointFlag : uint16_t {
    flag_ack_pending = 0x0001,        ///< something arrived that must be acknowledged
    flag_fin_queued = 0x0002,         ///< shutdown_send() was called
    flag_fin_sent = 0x0004,           ///< at least once: snd_nxt is behind the FIN
    flag_fin_received = 0x0008,       ///< in order: rcv_nxt is behind the peer's FIN
    flag_retransmit_wanted = 0x0010,  ///< the next flush sends the segment at snd_una (also the first SYN)
    flag_probe_wanted = 0x0020,       ///< the next flush sends a window probe
    flag_persist = 0x0040,            ///< the timer is the persist timer: nothing in flight, window (almost) closed
    flag_timestamps = 0x0080,         ///< negotiated (RFC 7323 §3.2); in syn_sent: offered
    flag_fast_recovery = 0x0100,      ///< RFC 6582; the extension holds the recovery point
    flag_rto_recovery = 0x0200,       ///< after a timeout, going through everything that was in flight
    flag_wscale = 0x0400,             ///< likewise, window scaling (RFC 7323 §2.2)
    flag_reset_wanted = 0x0800,  ///< syn_sent only: the next flush sends a RST at the sequence number kept in snd_wnd
    flag_sack = 0x1000,          ///< negotiated (RFC 2018 §2); in syn_sent: offered
    flag_ecn = 0x2000,           ///< negotiated (RFC 3168 §6.1.1); in syn_sent: offered
    flag_ece = 0x4000,           ///< congestion was experienced on the way to us: ECE in every ACK until CWR arrives
    flag_cwr = 0x8000,           ///< the congestion window was reduced for ECE: CWR in the next new data
};

struct EndpointHot {
    IpAddress peer;
    uint16_t peer_port;
    uint16_t local_port;
    uint16_t local_id;  ///< names the local address; the owner's index
    uint16_t mss;       ///< largest payload we send: SendMSS less the options of every segment
    Seq snd_una;
    Seq snd_nxt;       ///< highest sequence number sent + 1
    uint32_t snd_wnd;  ///< the peer's window in bytes, scaled
    Seq rcv_nxt;
    Seq rcv_adv;         ///< right edge of the window advertised; never goes back
    uint32_t ts_recent;  ///< RFC 7323 §4.3
    store::ChunkId send_tail;
    store::ChunkId send_cursor;
    State state : 4;
    /// Duplicate ACKs owed for out-of-order segments: bursts must not merge them, since the peer counts them (RFC 5681
    /// §3.2).
    uint8_t duplicate_acks_owed : 3;
    uint8_t ack_delayed : 1;  ///< rcv_nxt has moved since the last ACK (delayed_ack.h)
    uint8_t scales;           ///< low 4 bits: shift of the windows we receive; high 4 bits: of those we send
    uint16_t flags;
    uint32_t srtt_us;  ///< 0: not measured yet

    bool has(EndpointFlag flag) const { return (flags & flag) != 0; }
    void set(EndpointFlag flag) { flags = static_cast<uint16_t>(flags | flag); }
    void clear(EndpointFlag flag) { flags = static_cast<uint16_t>(flags & ~flag); }
    uint8_t send_scale() const { return scales & 15; }  ///< applies to windows in the peer's segments
    uint8_t receive_scale() const { return static_cast<uint8_t>(scales >> 4); }
};
static_assert(sizeof(EndpointHot) == 64 && std::is_trivially_copyable_v<EndpointHot> &&
              std::is_standard_layout_v<EndpointHot>);
static_assert(offsetof(EndpointHot, snd_una) == 24 && offsetof(EndpointHot, send_tail) == 48 &&
              offsetof(EndpointHot, srtt_us) == 60);

inline constexpr uint8_t backoff_max = 30;

struct EndpointWarm {
    uint32_t rttvar_us;
    uint32_t cwnd;      ///< bytes
    uint32_t ssthresh;  ///< bytes
    uint32_t min_rtt_us;
    uint32_t cubic[3];    ///< reserved for RFC 9438's epoch
    Seq wl1;              ///< SEG.SEQ of the last window update
    uint32_t timer_base;  ///< when the SYN, retransmission or persist timer was started; low 32 bits of microseconds
    union {
        uint32_t ts_offset;  ///< with timestamps: added to our clock in TSval
        uint32_t
            rto_doublings;  ///< without, once established: timeouts before the latest progress, none measured since
    };
    uint32_t ts_recent_age;  ///< when ts_recent was set (RFC 7323 §5.5), or without timestamps would have been; low 32
                             ///< bits of milliseconds
    store::ChunkId extension;
    uint32_t queued;      ///< payload bytes in the send queue: sent and not acknowledged, or not sent
    uint16_t mss_full;    ///< what hot.mss was before the path was found to take less (path_mtu.h); 0: it is that
    uint8_t backoff : 5;  ///< timeouts in a row without progress, at most backoff_max
    uint8_t largest_window : 3;  ///< that the peer has advertised (send_window.h)
    union {
        uint8_t duplicate_acks;  ///< without SACK: in a row
        uint8_t reordering;      ///< with SACK: what is known of the path (rack.cpp)
    };
};
static_assert(sizeof(EndpointWarm) == 56 && std::is_trivially_copyable_v<EndpointWarm> &&
              std::is_standard_layout_v<EndpointWarm>);

/// The view that functions take: the two parts need not be adjacent. Pass by value.
struct Endpoint {
    EndpointHot& hot;
    EndpointWarm& warm;
};

/// Our SYN is out but not acknowledged, so snd_una stands on it.
inline bool syn_unacknowledged(const EndpointHot& hot) {
    return hot.state == State::syn_sent || hot.state == State::syn_received;
}

/// Bytes in the send queue: not acknowledged or not sent. What the owner's limit on buffering counts.
inline uint32_t send_queue_bytes(const EndpointWarm& warm) {
    return warm.queued;
}

/// Sequence number behind the last queued byte, where the FIN stands.
inline Seq send_queue_end(Endpoint ep) {
    const bool fin_acknowledged = ep.hot.state == State::fin_wait_2 || ep.hot.state == State::time_wait;
    return ep.hot.snd_una + ep.warm.queued + (syn_unacknowledged(ep.hot) ? 1 : 0) - (fin_acknowledged ? 1 : 0);
}

/// Bytes of the send queue that were never sent.
inline uint32_t unsent_bytes(Endpoint ep) {
    if (syn_unacknowledged(ep.hot)) return ep.warm.queued;
    const Seq end = send_queue_end(ep);
    return end > ep.hot.snd_nxt ? end - ep.hot.snd_nxt : 0;
}

inline uint32_t in_flight(const EndpointHot& hot) {
    return hot.snd_nxt - hot.snd_una;
}

/// The peer may still send to us.
inline bool can_receive(const EndpointHot& hot) {
    return hot.state != State::closed && hot.state != State::time_wait && !hot.has(flag_fin_received);
}

}  // namespace millrace::tcp
