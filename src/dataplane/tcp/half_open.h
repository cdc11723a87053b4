// Connections whose SYN was answered but whose handshake has not completed (RFC 9293 §3.10.7.2, SYN-RECEIVED). A SYN
// costs one 64 B entry here and no relay record. The table is a set-associative array in the owner's memory: a keyed
// hash picks a bucket of eight entries, so a peer can't choose whom it collides with, and nothing is ever moved.
//
// When a bucket is full, a new SYN takes the place of the oldest entry whose SYN-ACK had to be retransmitted
// (half_open_evicted); if there is none, the SYN is dropped (half_open_overflow) and the client will repeat it.
// SYN cookies will take over at exactly that point.
//
// One table per worker; handshakes are outside the promise to survive the process.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/seq.h"

namespace millrace::tcp {

/// Terms that a SYN proposed and we accepted.
struct HandshakeTerms {
    uint16_t peer_mss;             ///< as announced, or the default of RFC 9293 §3.7.1
    uint8_t send_scale;            ///< the peer's shift; 0 without has_window_scale
    uint8_t has_window_scale : 1;  ///< both sides sent it
    uint8_t has_timestamps : 1;    ///< both sides sent it
    uint8_t has_sack : 1;          ///< both sides permit it
};

struct HalfOpen {
    IpAddress local;
    IpAddress peer;
    uint16_t local_port;
    uint16_t peer_port;
    uint16_t local_id;
    uint16_t window;  ///< of the SYN: never scaled
    Seq iss;
    Seq irs;
    uint32_t ts_recent;
    uint32_t sent_at;  ///< of the last SYN-ACK; low 32 bits of microseconds
    HandshakeTerms terms;
    uint8_t retransmissions;
    uint8_t in_use;
    uint16_t reserved;
};
static_assert(sizeof(HalfOpen) == 64);

class HalfOpenTable {
  public:
    static constexpr size_t bucket_entries = 8;

    /// `entries` is zeroed memory, a power of two of at least 8 entries; it must outlive the table.
    explicit HalfOpenTable(std::span<HalfOpen> entries);

    /// The entry of a segment's flow, or null.
    HalfOpen* find(const Context& ctx, const wire::TcpSegment& segment);

    /// A SYN (without ACK or RST) for a listener. Makes an entry, or finds that of a repeated SYN, and returns the
    /// SYN-ACK; empty when the bucket is full. `iss` overrides the initial sequence number (TIME_WAIT reuse). Payload
    /// in a SYN is not taken: the peer sends it again.
    std::optional<wire::OutboundSegment> on_syn(const Context& ctx, const wire::TcpSegment& syn, uint16_t local_id,
                                                std::optional<Seq> iss = std::nullopt);

    enum class Verdict : uint8_t {
        dropped,   ///< nothing to do
        reply,     ///< send `reply`
        complete,  ///< the handshake is done: establish_passive(), remove(), receive()
    };

    /// A segment for an existing entry, SYNs included.
    Verdict on_segment(const Context& ctx, HalfOpen& entry, const wire::TcpSegment& segment,
                       wire::OutboundSegment& reply);

    void remove(HalfOpen& entry);

    /// Looks at the next `entries_max` entries, repeats at most `segment_credit` SYN-ACKs that are due and drops
    /// entries that were never answered. Call it so that the whole table is seen every 100 ms or so. Returns segments
    /// emitted.
    uint32_t poll(const Context& ctx, size_t entries_max, uint32_t segment_credit, Emit emit);

    size_t size() const { return size_; }
    size_t capacity() const { return entries_.size(); }

  private:
    std::span<HalfOpen> bucket(const Context& ctx, const Tuple& tuple);
    /// A free entry for the tuple, made so by eviction if need be; null when the bucket is full of fresh ones.
    HalfOpen* place_for(const Context& ctx, const Tuple& tuple);
    Verdict on_known_segment(const Context& ctx, HalfOpen& entry, const wire::TcpSegment& segment,
                             wire::OutboundSegment& reply);

    std::span<HalfOpen> entries_;
    size_t size_ = 0;
    size_t scan_ = 0;
};

}  // namespace millrace::tcp
