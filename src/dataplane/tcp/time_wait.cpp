#include "dataplane/tcp/time_wait.h"

#include <bit>

#include <millrace/assert.h>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/segment.h"

namespace millrace::tcp {
namespace {

/// How far ahead of the old connection the new one begins: more than a window without scaling.
constexpr uint32_t reuse_distance = 65535 + 2;

uint32_t clock_ms(const Context& ctx) {
    return static_cast<uint32_t>(ctx.now / us_per_ms);
}

/// Milliseconds until the entry ends; not positive when it has ended.
int32_t time_left_ms(const Context& ctx, const TimeWait& entry) {
    return static_cast<int32_t>(entry.expires_at - clock_ms(ctx));
}

uint64_t key_of(const Context& ctx, const Tuple& tuple) {
    const uint64_t hash = table_hash(ctx.secrets, tuple);
    return hash == 0 ? 1 : hash;
}

void fill_ack(const Context& ctx, const TimeWait& entry, const wire::TcpSegment& segment, uint16_t local_id,
              wire::OutboundSegment& reply) {
    reply = reply_to(segment, local_id);
    reply.header.seq = entry.snd_nxt.value;
    reply.header.ack = entry.rcv_nxt.value;
    reply.header.flags = wire::tcp_ack;
    if (entry.has_timestamps != 0) {
        reply.header.options.has_timestamps = true;
        reply.header.options.ts_value = timestamp_value(timestamp_offset(ctx.secrets, tuple_of(segment)), ctx.now);
        reply.header.options.ts_echo = entry.ts_recent;
    }
    ++ctx.counters.segments_out;
}

/// RFC 6191 §2: a larger timestamp, or without timestamps a larger sequence number.
bool reusable(const TimeWait& entry, const wire::TcpSegment& syn) {
    if (entry.has_timestamps != 0 && syn.options.has_timestamps) {
        const int32_t newer = static_cast<int32_t>(syn.options.ts_value - entry.ts_recent);
        return newer > 0 || (newer == 0 && Seq{syn.seq} > entry.rcv_nxt);
    }
    return Seq{syn.seq} > entry.rcv_nxt;
}

}  // namespace

TimeWaitTable::TimeWaitTable(std::span<TimeWait> entries) : entries_(entries) {
    MILLRACE_ASSERT(std::has_single_bit(entries.size()) && entries.size() >= bucket_entries);
}

std::span<TimeWait> TimeWaitTable::bucket(uint64_t key) const {
    const size_t buckets = entries_.size() / bucket_entries;
    return entries_.subspan((key & (buckets - 1)) * bucket_entries, bucket_entries);
}

TimeWait* TimeWaitTable::find(const Context& ctx, uint64_t key) const {
    for (TimeWait& entry : bucket(key))
        if (entry.key == key && time_left_ms(ctx, entry) > 0) return &entry;
    return nullptr;
}

void TimeWaitTable::insert(const Context& ctx, Endpoint ep, const IpAddress& local) {
    const uint64_t key = key_of(ctx, {local, ep.hot.peer, ep.hot.local_port, ep.hot.peer_port});
    TimeWait* place = find(ctx, key);
    if (place == nullptr) {
        for (TimeWait& entry : bucket(key)) {
            if (entry.key == 0 || time_left_ms(ctx, entry) <= 0) {
                place = &entry;
                break;
            }
            if (place == nullptr || time_left_ms(ctx, entry) < time_left_ms(ctx, *place)) place = &entry;
        }
        if (place->key != 0 && time_left_ms(ctx, *place) > 0) ++ctx.counters.time_wait_evicted;
    }
    ++ctx.counters.time_wait_entered;
    *place = {};
    place->snd_nxt = ep.hot.snd_nxt;
    place->rcv_nxt = ep.hot.rcv_nxt;
    place->ts_recent = ep.hot.ts_recent;
    place->expires_at = clock_ms(ctx) + ctx.options.time_wait_ms / (fault(Fault::tcp_time_wait_too_short) ? 2 : 1);
    place->has_timestamps = ep.hot.has(flag_timestamps);
    place->key = key;
}

TimeWaitTable::Answer TimeWaitTable::on_segment(const Context& ctx, const wire::TcpSegment& segment, uint16_t local_id,
                                                wire::OutboundSegment& reply) {
    TimeWait* entry = find(ctx, key_of(ctx, tuple_of(segment)));
    if (entry == nullptr) return {};
    const bool opens = segment.has(wire::tcp_syn) && !segment.has(wire::tcp_ack) && !segment.has(wire::tcp_rst);
    if (opens && (reusable(*entry, segment) || fault(Fault::tcp_time_wait_reused_by_old_syn))) {
        ++ctx.counters.time_wait_reused;
        entry->key = 0;
        return {Verdict::reuse, entry->snd_nxt + reuse_distance};
    }
    ++ctx.counters.segments_in;
    if (segment.has(wire::tcp_rst)) return {Verdict::dropped, {}};  // RFC 1337 §3: it would end the wait too early
    const bool expected = segment.length() == 0 && Seq{segment.seq} == entry->rcv_nxt && segment.has(wire::tcp_ack);
    if (expected) return {Verdict::dropped, {}};
    // The peer's FIN again: our ACK was lost, and 2 MSL begin anew (RFC 9293 §3.10.7.4).
    if (segment.has(wire::tcp_fin) && !fault(Fault::tcp_time_wait_never_anew))
        entry->expires_at = clock_ms(ctx) + ctx.options.time_wait_ms;
    fill_ack(ctx, *entry, segment, local_id, reply);
    return {Verdict::reply, {}};
}

bool TimeWaitTable::contains(const Context& ctx, const Tuple& tuple) const {
    return find(ctx, key_of(ctx, tuple)) != nullptr;
}

std::optional<Seq> TimeWaitTable::take(const Context& ctx, const Tuple& tuple) {
    TimeWait* entry = find(ctx, key_of(ctx, tuple));
    if (entry == nullptr) return std::nullopt;
    entry->key = 0;
    ++ctx.counters.time_wait_reused;
    return entry->snd_nxt + reuse_distance;
}

}  // namespace millrace::tcp
