// Connections in TIME_WAIT (RFC 9293 §3.3.2, §3.10.7.4): 32 B each, so that the record is free at once. A
// set-associative array in the owner's memory, keyed by a 64-bit keyed hash of the tuple. Entries expire by their time
// stamp: there is no timer and no scan. When a bucket of eight is full, the entry nearest to its end makes room
// (time_wait_evicted); its connection is then unknown, as if 2 MSL were over.
//
// One table per worker, in the region: it survives the process.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

struct TimeWait {
    uint64_t key;  ///< table_hash of the tuple; 0: empty
    Seq snd_nxt;
    Seq rcv_nxt;
    uint32_t ts_recent;
    uint32_t expires_at;  ///< low 32 bits of milliseconds
    uint32_t has_timestamps;
    uint32_t reserved;
};
static_assert(sizeof(TimeWait) == 32);

class TimeWaitTable {
  public:
    static constexpr size_t bucket_entries = 8;

    /// `entries` is a power of two of at least 8 entries, zeroed or left by an earlier process; it must outlive the
    /// table.
    explicit TimeWaitTable(std::span<TimeWait> entries);

    /// Takes over an endpoint in time_wait whose local address is `local`; release() it afterwards.
    void insert(const Context& ctx, Endpoint ep, const IpAddress& local);

    enum class Verdict : uint8_t {
        unknown,  ///< the flow is not here
        dropped,  ///< nothing to do
        reply,    ///< send `reply`
        reuse,    ///< a SYN may open it anew (RFC 6191): give it to HalfOpenTable::on_syn with `iss`; the entry is gone
    };
    struct Answer {
        Verdict verdict = Verdict::unknown;
        Seq iss;  ///< with reuse: an initial sequence number ahead of the old connection
    };

    /// A segment that matched no endpoint and no half-open entry.
    Answer on_segment(const Context& ctx, const wire::TcpSegment& segment, uint16_t local_id,
                      wire::OutboundSegment& reply);

    /// Whether the tuple is here and its 2 MSL are not over: for the choice of a local port.
    bool contains(const Context& ctx, const Tuple& tuple) const;

    /// Removes the tuple because we open it anew; returns the least initial sequence number for it.
    std::optional<Seq> take(const Context& ctx, const Tuple& tuple);

  private:
    std::span<TimeWait> bucket(uint64_t key) const;
    TimeWait* find(const Context& ctx, uint64_t key) const;

    std::span<TimeWait> entries_;
};

}  // namespace millrace::tcp
