// What loss recovery remembers of one connection beside the marks on the chunks of its send queue (send_queue.h): a
// part of the extension (extension.h), so it exists only while something is lost, reported out of order, probed for, or
// may yet be undone. All zero: nothing of it is in use. RFC 6675, RFC 8985, RFC 9937, RFC 3522.
#pragma once

#include <type_traits>

#include "dataplane/store/chunk_store.h"
#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/seq.h"

namespace millrace::tcp {

/// The tail loss probe (RFC 8985 §7).
enum class Probe : uint8_t {
    none,
    wanted,    ///< the next flush sends it
    new_data,  ///< out, and it was new data
    repeated,  ///< out, and it repeated the last segment
};

/// F-RTO (RFC 5682 §2.1): where a timeout on a connection without timestamps has got to.
enum class Frto : uint8_t {
    none,
    head_again,  ///< the first segment was sent again; the next ACK decides
    new_data,    ///< that one was acknowledged and new data went out; the next ACK decides
};

struct RecoveryState {
    Seq recover;                ///< snd_nxt when recovery began
    Seq rtx_nxt;                ///< how far a chunk larger than a segment has been sent again
    store::ChunkId rtx_cursor;  ///< no lost chunk lies before it; no_chunk: look from the head
    uint32_t sacked;            ///< bytes of chunks marked sacked
    uint32_t lost;              ///< bytes of chunks marked lost

    // RACK (RFC 8985 §5.2): the most recently sent chunk that was delivered.
    uint32_t rack_sent_at;
    uint32_t rack_rtt_us;  ///< 0: none was
    Seq rack_end;
    Seq fack;               ///< end of the highest chunk delivered; counts with rack_rtt_us
    Seq duplicate_round;    ///< one D-SACK per round trip widens the reordering window (§6.2, step 4)
    uint32_t reo_deadline;  ///< when the next chunk counts as lost; counts with reo_armed

    // Proportional rate reduction (RFC 9937 §6).
    uint32_t prr_delivered;
    uint32_t prr_out;
    uint32_t recover_fs;

    // What it takes to notice a recovery without a loss, and to undo it (RFC 3522, RFC 4015, RFC 3708).
    CongestionState before;
    uint32_t undo_bytes;  ///< sent again and not yet reported as received twice
    uint32_t first_rtx_ts;
    Seq undo_end;  ///< once this is acknowledged, nothing is undone any more; counts outside of recovery

    Seq probe_end;
    Seq ecn_end;  ///< until this is acknowledged, a further ECE changes nothing; counts with ecn_reduced

    Probe probe;
    uint8_t reo_armed : 1;
    uint8_t undo_armed : 1;
    uint8_t rtx_ts_known : 1;
    uint8_t partial_acks : 1;  ///< after the first partial ACK of this fast recovery (RFC 6582 §3.2)
    uint8_t duplicate_round_known : 1;
    uint8_t ecn_reduced : 1;
    Frto frto;

    /// Chunks carry marks, or the above is waiting for something.
    bool in_use() const {
        return sacked != 0 || lost != 0 || probe != Probe::none || undo_armed != 0 || ecn_reduced != 0 ||
               duplicate_round_known != 0;
    }
};
static_assert(sizeof(RecoveryState) == 100 && std::is_trivially_copyable_v<RecoveryState>);

}  // namespace millrace::tcp
