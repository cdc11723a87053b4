// Connections whose SYN was answered but whose handshake has not completed (RFC 9293 §3.10.7.2, SYN-RECEIVED). A SYN
// costs one 64 B entry here and no relay record. The table is a set-associative array in the owner's memory: a keyed
// hash picks a bucket of eight entries, so a peer can't choose whom it collides with, and nothing is ever moved.
//
// When a bucket is full, a new SYN is answered with a SYN cookie (syn_cookie.h) and remembered nowhere; ACKs are
// searched for cookies only while one that was sent can still be good. With cookies off, the SYN takes the place of the
// oldest entry whose SYN-ACK had to be retransmitted (half_open_evicted); if there is none, it is dropped
// (half_open_overflow) and the client will repeat it.
//
// One table per shard; handshakes are outside the promise to survive the process.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/handshake_terms.h"
#include "dataplane/tcp/seq.h"

namespace millrace::tcp {

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
    uint8_t from_cookie;  ///< made of a SYN cookie: when the SYN-ACK was sent, and how often, is not known
    uint8_t reserved;
};
static_assert(sizeof(HalfOpen) == 64);

class HalfOpenTable {
  public:
    static constexpr size_t bucket_entries = 8;

    /// `entries` is zeroed memory, a power of two of at least 8 entries; it must outlive the table.
    explicit HalfOpenTable(std::span<HalfOpen> entries);

    /// The entry of a segment's flow, or null.
    HalfOpen* find(const Context& ctx, const wire::TcpSegment& segment);

    /// A SYN (without ACK or RST) for a listener. Makes an entry, or finds that of a repeated SYN, or makes a cookie,
    /// and returns the SYN-ACK; empty when the bucket is full and cookies are off. `iss` overrides the initial sequence
    /// number (TIME_WAIT reuse), but not that of a cookie. Payload in a SYN is not taken: the peer sends it again.
    std::optional<wire::OutboundSegment> on_syn(const Context& ctx, const wire::TcpSegment& syn, uint16_t local_id,
                                                std::optional<Seq> iss = std::nullopt);

    enum class Verdict : uint8_t {
        unknown,   ///< belongs to no handshake: deserves a RST
        dropped,   ///< nothing to do
        reply,     ///< send `reply`
        complete,  ///< the handshake is done: establish_passive(), remove(), receive()
    };

    /// A segment for an existing entry, SYNs included.
    Verdict on_segment(const Context& ctx, HalfOpen& entry, const wire::TcpSegment& segment,
                       wire::OutboundSegment& reply);

    /// A segment of an unknown flow for a listener. `complete`: it acknowledges a cookie of ours, and `agreed` is the
    /// entry that was never made: establish_passive(), receive(). `dropped`: it does not, but as long as cookies are
    /// out it may follow one whose ACK was lost, and a RST would end a connection that the client thinks established.
    Verdict on_cookie_ack(const Context& ctx, const wire::TcpSegment& segment, uint16_t local_id, HalfOpen& agreed);

    void remove(HalfOpen& entry);

    /// Looks at the next `entries_max` entries, repeats at most `segment_credit` SYN-ACKs that are due and drops
    /// entries that were never answered. Call it so that the whole table is seen every 100 ms or so. Returns segments
    /// emitted.
    uint32_t poll(const Context& ctx, size_t entries_max, uint32_t segment_credit, Emit emit);

    size_t size() const { return size_; }
    size_t capacity() const { return entries_.size(); }

  private:
    std::span<HalfOpen> bucket(const Context& ctx, const Tuple& tuple);
    /// A free entry for the tuple, without cookies made so by eviction if need be; null when there is none.
    HalfOpen* place_for(const Context& ctx, const Tuple& tuple);
    wire::OutboundSegment cookie_syn_ack(const Context& ctx, const HalfOpen& asked);
    Verdict on_known_segment(const Context& ctx, HalfOpen& entry, const wire::TcpSegment& segment,
                             wire::OutboundSegment& reply);

    std::span<HalfOpen> entries_;
    size_t size_ = 0;
    size_t scan_ = 0;
    TimeUs cookies_until_ = 0;  // a cookie of ours can be good before then
};

}  // namespace millrace::tcp
