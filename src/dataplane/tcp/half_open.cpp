#include "dataplane/tcp/half_open.h"

#include <algorithm>
#include <bit>

#include <millrace/assert.h>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/challenge.h"
#include "dataplane/tcp/close.h"
#include "dataplane/tcp/ecn.h"
#include "dataplane/tcp/handshake.h"
#include "dataplane/tcp/segment.h"
#include "dataplane/tcp/syn_cookie.h"

namespace millrace::tcp {
namespace {

using wire::OutboundSegment;
using wire::TcpSegment;

Tuple tuple_of(const HalfOpen& entry) {
    return {entry.local, entry.peer, entry.local_port, entry.peer_port};
}

bool matches(const HalfOpen& entry, const Tuple& tuple) {
    return entry.in_use != 0 && entry.peer_port == tuple.peer_port && entry.local_port == tuple.local_port &&
           entry.peer == tuple.peer && entry.local == tuple.local;
}

uint32_t age_us(const Context& ctx, const HalfOpen& entry) {
    return static_cast<uint32_t>(ctx.now) - entry.sent_at;
}

/// A segment of the entry with everything but flags and options of its kind.
OutboundSegment segment_from(const Context& ctx, const HalfOpen& entry, Seq seq) {
    OutboundSegment out;
    out.local_id = entry.local_id;
    TcpSegment& header = out.header;
    header.source = entry.local;
    header.destination = entry.peer;
    header.source_port = entry.local_port;
    header.destination_port = entry.peer_port;
    header.seq = seq.value;
    header.ack = (entry.irs + 1).value;
    ++ctx.counters.segments_out;
    return out;
}

uint32_t ts_value(const Context& ctx, const HalfOpen& entry) {
    if (!entry.terms.has_timestamps) return 0;
    return timestamp_value(timestamp_offset(ctx.secrets, tuple_of(entry)), ctx.now);
}

OutboundSegment syn_ack(const Context& ctx, const HalfOpen& entry) {
    OutboundSegment out = segment_from(ctx, entry, entry.iss);
    out.header.flags = wire::tcp_syn | wire::tcp_ack;
    if (entry.terms.has_ecn) out.header.flags |= ecn_setup_flags(true);
    const SynOffer offer{.window_scale = entry.terms.has_window_scale != 0,
                         .timestamps = entry.terms.has_timestamps != 0,
                         .sack = entry.terms.has_sack != 0};
    fill_syn_options(ctx, out.header, entry.peer, offer, ts_value(ctx, entry), entry.ts_recent);
    return out;
}

/// What a SYN asks for. `in_use` and the sequence number of our own are the caller's.
HalfOpen entry_of(const Context& ctx, const TcpSegment& syn, uint16_t local_id) {
    HalfOpen entry{};
    entry.local = syn.destination;
    entry.peer = syn.source;
    entry.local_port = syn.destination_port;
    entry.peer_port = syn.source_port;
    entry.local_id = local_id;
    entry.window = syn.window;
    entry.irs = Seq{syn.seq};
    entry.ts_recent = syn.options.ts_value;
    entry.sent_at = static_cast<uint32_t>(ctx.now);
    entry.terms = negotiate(ctx.options, syn);
    return entry;
}

OutboundSegment pure_ack(const Context& ctx, const HalfOpen& entry) {
    OutboundSegment out = segment_from(ctx, entry, entry.iss + 1);
    out.header.flags = wire::tcp_ack;
    const uint8_t scale = entry.terms.has_window_scale ? ctx.options.window_scale : uint8_t{0};
    out.header.window = static_cast<uint16_t>(syn_window(ctx.options) >> scale);
    out.header.options.has_timestamps = entry.terms.has_timestamps;
    out.header.options.ts_value = ts_value(ctx, entry);
    out.header.options.ts_echo = entry.ts_recent;
    return out;
}

}  // namespace

HalfOpenTable::HalfOpenTable(std::span<HalfOpen> entries) : entries_(entries) {
    MILLRACE_ASSERT(std::has_single_bit(entries.size()) && entries.size() >= bucket_entries);
    size_ =
        static_cast<size_t>(std::count_if(entries.begin(), entries.end(), [](const HalfOpen& e) { return e.in_use; }));
}

std::span<HalfOpen> HalfOpenTable::bucket(const Context& ctx, const Tuple& tuple) {
    const size_t buckets = entries_.size() / bucket_entries;
    return entries_.subspan((table_hash(ctx.secrets, tuple) & (buckets - 1)) * bucket_entries, bucket_entries);
}

HalfOpen* HalfOpenTable::find(const Context& ctx, const TcpSegment& segment) {
    const Tuple tuple = tcp::tuple_of(segment);
    for (HalfOpen& entry : bucket(ctx, tuple))
        if (matches(entry, tuple)) return &entry;
    return nullptr;
}

HalfOpen* HalfOpenTable::place_for(const Context& ctx, const Tuple& tuple) {
    if (ctx.options.syn_cookies == SynCookies::always) return nullptr;
    HalfOpen* stalest = nullptr;
    for (HalfOpen& entry : bucket(ctx, tuple)) {
        if (entry.in_use == 0) return &entry;
        if (entry.retransmissions == 0 || ctx.options.syn_cookies != SynCookies::off) continue;
        if (stalest == nullptr || entry.retransmissions > stalest->retransmissions ||
            (entry.retransmissions == stalest->retransmissions && age_us(ctx, entry) > age_us(ctx, *stalest)))
            stalest = &entry;
    }
    if (stalest != nullptr) {
        ++ctx.counters.half_open_evicted;
        remove(*stalest);
    }
    return stalest;
}

std::optional<OutboundSegment> HalfOpenTable::on_syn(const Context& ctx, const TcpSegment& syn, uint16_t local_id,
                                                     std::optional<Seq> iss) {
    ++ctx.counters.segments_in;
    if (HalfOpen* known = find(ctx, syn)) {
        OutboundSegment reply;
        if (on_known_segment(ctx, *known, syn, reply) != Verdict::reply) return std::nullopt;
        return reply;
    }
    const Tuple tuple = tcp::tuple_of(syn);
    HalfOpen* entry = place_for(ctx, tuple);
    if (entry == nullptr) {
        if (ctx.options.syn_cookies != SynCookies::off) return cookie_syn_ack(ctx, entry_of(ctx, syn, local_id));
        ++ctx.counters.half_open_overflow;
        return std::nullopt;
    }
    *entry = entry_of(ctx, syn, local_id);
    entry->iss = iss ? *iss : initial_sequence_number(ctx.secrets, tuple, ctx.now);
    entry->in_use = 1;
    ++size_;
    ++ctx.counters.passive_opens;
    return syn_ack(ctx, *entry);
}

OutboundSegment HalfOpenTable::cookie_syn_ack(const Context& ctx, const HalfOpen& asked) {
    HalfOpen answered = asked;
    answered.terms = cookie_terms(asked.terms);
    answered.iss = syn_cookie(ctx, tuple_of(asked), asked.irs, answered.terms);
    OutboundSegment out = syn_ack(ctx, answered);
    if (answered.terms.has_timestamps)
        out.header.options.ts_value = cookie_timestamp(out.header.options.ts_value, answered.terms);
    cookies_until_ = ctx.now + 2 * cookie_tick_us;
    ++ctx.counters.syn_cookies_sent;
    return out;
}

HalfOpenTable::Verdict HalfOpenTable::on_cookie_ack(const Context& ctx, const TcpSegment& segment, uint16_t local_id,
                                                    HalfOpen& agreed) {
    const bool completes = segment.has(wire::tcp_ack) && !segment.has(wire::tcp_syn) && !segment.has(wire::tcp_rst);
    if (!completes || ctx.now >= cookies_until_) return Verdict::unknown;
    const std::optional<HandshakeTerms> terms = check_syn_cookie(ctx, segment);
    if (!terms) {
        ++ctx.counters.syn_cookies_rejected;
        ++ctx.counters.segments_in;
        return Verdict::dropped;
    }
    ++ctx.counters.syn_cookies_accepted;
    agreed = entry_of(ctx, segment, local_id);
    agreed.iss = Seq{segment.ack} - 1;
    agreed.irs = Seq{segment.seq} - 1;
    agreed.terms = *terms;
    agreed.from_cookie = 1;
    agreed.in_use = 1;
    return Verdict::complete;
}

HalfOpenTable::Verdict HalfOpenTable::on_segment(const Context& ctx, HalfOpen& entry, const TcpSegment& segment,
                                                 OutboundSegment& reply) {
    const Verdict verdict = on_known_segment(ctx, entry, segment, reply);
    if (verdict != Verdict::complete) ++ctx.counters.segments_in;  // receive() will count that one
    return verdict;
}

/// RFC 9293 §3.10.7.4 for SYN-RECEIVED, with the checks of RFC 5961 and RFC 7323 in the order of receiver.cpp.
HalfOpenTable::Verdict HalfOpenTable::on_known_segment(const Context& ctx, HalfOpen& entry, const TcpSegment& segment,
                                                       OutboundSegment& reply) {
    const Seq rcv_nxt = entry.irs + 1;
    const Seq seq{segment.seq};
    const bool in_window = seq >= rcv_nxt && seq <= rcv_nxt + syn_window(ctx.options);
    const auto challenge = [&] {
        if (!challenge_allowed(ctx)) return Verdict::dropped;
        reply = pure_ack(ctx, entry);
        return Verdict::reply;
    };
    if (segment.has(wire::tcp_rst)) {
        if (!in_window) return Verdict::dropped;
        if (seq != rcv_nxt) return challenge();
        ++ctx.counters.half_open_reset;
        ++ctx.counters.resets_in;
        remove(entry);
        return Verdict::dropped;
    }
    if (segment.has(wire::tcp_syn)) {
        if (segment.has(wire::tcp_ack) || seq != entry.irs) return challenge();
        reply = syn_ack(ctx, entry);  // our SYN-ACK was lost, or is late
        return Verdict::reply;
    }
    if (entry.terms.has_timestamps) {
        if (!segment.options.has_timestamps) {
            ++ctx.counters.missing_timestamp;
            return Verdict::dropped;
        }
        if (static_cast<int32_t>(segment.options.ts_value - entry.ts_recent) < 0) {
            ++ctx.counters.paws_rejected;
            return challenge();
        }
    }
    if (!in_window) {
        ++ctx.counters.out_of_window_in;
        return challenge();
    }
    if (!segment.has(wire::tcp_ack)) return Verdict::dropped;
    if (Seq{segment.ack} != entry.iss + 1 && !fault(Fault::tcp_handshake_ack_unchecked)) {
        // The client may have been answered with a cookie before one of its SYNs, a late or repeated one, found room.
        const Verdict verdict = on_cookie_ack(ctx, segment, entry.local_id, entry);
        if (verdict != Verdict::unknown) return verdict;
        ++ctx.counters.bad_handshake_acks;
        ++ctx.counters.resets_out;
        ++ctx.counters.segments_out;
        reply = *reset_for_unknown(segment, entry.local_id);
        return Verdict::reply;
    }
    return Verdict::complete;
}

void HalfOpenTable::remove(HalfOpen& entry) {
    entry.in_use = 0;
    --size_;
}

uint32_t HalfOpenTable::poll(const Context& ctx, size_t entries_max, uint32_t segment_credit, Emit emit) {
    uint32_t emitted = 0;
    if (size_ == 0) return 0;
    for (size_t looked = 0; looked < std::min(entries_max, entries_.size()); ++looked) {
        HalfOpen& entry = entries_[scan_];
        const uint64_t timeout = uint64_t{ctx.options.rto_initial_us} << std::min<uint8_t>(entry.retransmissions, 16);
        const bool due = entry.in_use != 0 && age_us(ctx, entry) >= std::min<uint64_t>(timeout, ctx.options.rto_max_us);
        if (due && entry.retransmissions >= ctx.options.syn_ack_retries) {
            ++ctx.counters.half_open_expired;
            remove(entry);
        } else if (due) {
            if (emitted == segment_credit) return emitted;
            ++entry.retransmissions;
            ++ctx.counters.syn_retransmissions;
            entry.sent_at = static_cast<uint32_t>(ctx.now);
            ++emitted;
            OutboundSegment segment = syn_ack(ctx, entry);
            emit(segment);
        }
        scan_ = (scan_ + 1) & (entries_.size() - 1);
    }
    return emitted;
}

}  // namespace millrace::tcp
