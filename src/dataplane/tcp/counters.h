// What the stack counts, per worker: monotonic, written by the worker only. The owner publishes them.
#pragma once

#include <cstdint>

namespace millrace::tcp {

struct Counters {
    // Segments
    uint64_t segments_in = 0;
    uint64_t segments_out = 0;
    uint64_t data_bytes_in = 0;   ///< handed to the consumer and accepted
    uint64_t data_bytes_out = 0;  ///< first transmissions
    uint64_t resets_in = 0;       ///< accepted RSTs
    uint64_t resets_out = 0;
    // Setup
    uint64_t active_opens = 0;
    uint64_t passive_opens = 0;  ///< SYNs that got a half-open entry
    uint64_t established = 0;    ///< both kinds
    uint64_t open_refused = 0;
    uint64_t open_timed_out = 0;
    uint64_t syn_retransmissions = 0;  ///< SYN and SYN-ACK
    uint64_t half_open_overflow = 0;   ///< SYNs dropped because their bucket was full and cookies are off
    uint64_t half_open_evicted = 0;    ///< stale entries that made room for a new SYN
    uint64_t half_open_expired = 0;    ///< entries whose SYN-ACK was never answered
    uint64_t half_open_reset = 0;      ///< entries that the peer reset
    uint64_t bad_handshake_acks = 0;   ///< ACKs of nothing we sent, answered with RST
    uint64_t syn_cookies_sent = 0;     ///< SYN-ACKs that are remembered nowhere
    uint64_t syn_cookies_accepted = 0;
    uint64_t syn_cookies_rejected = 0;  ///< segments of no connection that hold no good cookie while some may be out
    // Loss
    uint64_t retransmitted_segments = 0;
    uint64_t fast_retransmits = 0;     ///< recoveries entered by duplicate ACKs or SACKs
    uint64_t tail_loss_probes = 0;     ///< RFC 8985 §7
    uint64_t spurious_recoveries = 0;  ///< undone: nothing had been lost (RFC 3522, RFC 3708)
    uint64_t duplicate_sacks_in = 0;   ///< RFC 2883
    uint64_t sacks_ignored = 0;        ///< from peers whose SACKs tell nothing new, again and again
    uint64_t ecn_reductions = 0;       ///< of the window (RFC 3168 §6.1.2)
    uint64_t reneged = 0;              ///< peers that dropped what they had acknowledged selectively (RFC 2018 §8)
    uint64_t rto_timeouts = 0;
    uint64_t window_probes = 0;
    uint64_t connections_timed_out = 0;  ///< given up after retries_max
    uint64_t duplicate_acks_in = 0;
    uint64_t recovery_without_state = 0;  ///< no chunk for the recovery state: one segment per timeout instead
    // Receiver
    uint64_t out_of_order_in = 0;
    uint64_t duplicate_data_in = 0;   ///< segments with nothing new
    uint64_t reassembly_dropped = 0;  ///< out-of-order payload dropped: chunk budget or arena exhausted
    uint64_t payload_refused = 0;     ///< in-order payload that the consumer did not take in full
    uint64_t beyond_window_in = 0;    ///< segments trimmed at the right edge
    uint64_t out_of_window_in = 0;    ///< segments wholly outside the window
    uint64_t paws_rejected = 0;       ///< RFC 7323 §5
    uint64_t missing_timestamp = 0;   ///< RFC 7323 §3.2
    uint64_t bad_acks = 0;            ///< ACK of data not sent, or far too old (RFC 5961 §5)
    uint64_t challenge_acks = 0;
    uint64_t challenge_acks_limited = 0;  ///< not sent: budget used up
    // Sender
    uint64_t send_chunks_exhausted = 0;  ///< send() took less than asked
    // TIME_WAIT
    uint64_t time_wait_entered = 0;
    uint64_t time_wait_evicted = 0;  ///< live entries that made room for newer ones
    uint64_t time_wait_reused = 0;   ///< RFC 6191
};

}  // namespace millrace::tcp
