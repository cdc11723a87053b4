// What the stack counts, per worker: monotonic, written by the worker only. The owner publishes them.
#pragma once

#include "dataplane/base/counter.h"

namespace millrace::tcp {

struct Counters {
    // Segments
    Counter segments_in = 0;
    Counter segments_out = 0;
    Counter data_bytes_in = 0;   ///< handed to the consumer and accepted
    Counter data_bytes_out = 0;  ///< first transmissions
    Counter resets_in = 0;       ///< accepted RSTs
    Counter resets_out = 0;
    // Setup
    Counter active_opens = 0;
    Counter passive_opens = 0;  ///< SYNs that got a half-open entry
    Counter established = 0;    ///< both kinds
    Counter open_refused = 0;
    Counter open_timed_out = 0;
    Counter syn_retransmissions = 0;  ///< SYN and SYN-ACK
    Counter half_open_overflow = 0;   ///< SYNs dropped because their bucket was full and cookies are off
    Counter half_open_evicted = 0;    ///< stale entries that made room for a new SYN
    Counter half_open_expired = 0;    ///< entries whose SYN-ACK was never answered
    Counter half_open_reset = 0;      ///< entries that the peer reset
    Counter bad_handshake_acks = 0;   ///< ACKs of nothing we sent, answered with RST
    Counter syn_cookies_sent = 0;     ///< SYN-ACKs that are remembered nowhere
    Counter syn_cookies_accepted = 0;
    Counter syn_cookies_rejected = 0;  ///< segments of no connection that hold no good cookie while some may be out
    // Loss
    Counter retransmitted_segments = 0;
    Counter fast_retransmits = 0;     ///< recoveries entered by duplicate ACKs or SACKs
    Counter tail_loss_probes = 0;     ///< RFC 8985 §7
    Counter spurious_recoveries = 0;  ///< undone: nothing had been lost (RFC 3522, RFC 3708)
    Counter duplicate_sacks_in = 0;   ///< RFC 2883
    Counter sack_searches_cut = 0;    ///< of large flights, when the worker had searched enough
    Counter ecn_reductions = 0;       ///< of the window (RFC 3168 §6.1.2)
    Counter reneged = 0;              ///< peers that dropped what they had acknowledged selectively (RFC 2018 §8)
    Counter rto_timeouts = 0;
    Counter window_probes = 0;
    Counter connections_timed_out = 0;  ///< given up after retries_max
    Counter duplicate_acks_in = 0;
    Counter recovery_without_state = 0;  ///< no chunk for the recovery state: one segment per timeout instead
    // Receiver
    Counter out_of_order_in = 0;
    Counter duplicate_data_in = 0;   ///< segments with nothing new
    Counter reassembly_dropped = 0;  ///< out-of-order payload dropped: chunk budget or arena exhausted
    Counter payload_refused = 0;     ///< in-order payload that the consumer did not take in full
    Counter beyond_window_in = 0;    ///< segments trimmed at the right edge
    Counter out_of_window_in = 0;    ///< segments wholly outside the window
    Counter paws_rejected = 0;       ///< RFC 7323 §5
    Counter missing_timestamp = 0;   ///< RFC 7323 §3.2
    Counter bad_acks = 0;            ///< ACK of data not sent, or far too old (RFC 5961 §5)
    Counter challenge_acks = 0;
    Counter challenge_acks_limited = 0;  ///< not sent: budget used up
    // Sender
    Counter send_chunks_exhausted = 0;  ///< send() took less than asked
    // The peer and the path to it
    Counter keepalive_probes = 0;
    Counter keepalive_timeouts = 0;    ///< connections ended because no probe was answered
    Counter path_mtu_lowered = 0;      ///< by an ICMP message
    Counter path_mtu_black_holes = 0;  ///< by timeouts: full segments vanish without a message
    Counter path_mtu_raised = 0;       ///< a larger size is tried again
    Counter icmp_ignored = 0;          ///< ICMP errors of no connection, or about nothing in flight
    Counter icmp_soft_errors = 0;      ///< counted, and no more
    // TIME_WAIT
    Counter time_wait_entered = 0;
    Counter time_wait_evicted = 0;  ///< live entries that made room for newer ones
    Counter time_wait_reused = 0;   ///< RFC 6191
};

}  // namespace millrace::tcp
