#include "dataplane/tcp/rack.h"

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/recovery.h"

namespace millrace::tcp {
namespace {

using store::ChunkHeader;

// warm.reordering: what the connection has learned of its path, kept over recoveries.
constexpr uint8_t reordering_seen = 0x80;
constexpr uint8_t window_steps_mask = 0x70;  // doublings of the window, a quarter of min_rtt at first
constexpr uint8_t window_steps_unit = 0x10;
constexpr uint8_t persist_mask = 0x0f;  // recoveries until the steps are forgotten

/// RFC 8985 §5.2, RACK_sent_after.
bool sent_after(uint32_t a_sent_at, Seq a_end, uint32_t b_sent_at, Seq b_end) {
    if (a_sent_at != b_sent_at) return static_cast<int32_t>(a_sent_at - b_sent_at) > 0;
    return a_end > b_end;
}

bool in_recovery(const EndpointHot& hot) {
    return hot.has(flag_fast_recovery) || hot.has(flag_rto_recovery);
}

/// RFC 8985 §6.2, step 4.
uint32_t reordering_window(Endpoint ep, uint32_t sacked_segments) {
    const bool sure = in_recovery(ep.hot) || sacked_segments >= duplicate_ack_threshold;
    if ((ep.warm.reordering & reordering_seen) == 0 && sure) return 0;
    const uint32_t doublings = (ep.warm.reordering & window_steps_mask) / window_steps_unit;
    return static_cast<uint32_t>(std::min(uint64_t{ep.warm.min_rtt_us / 4} << doublings, uint64_t{ep.hot.srtt_us}));
}

/// One block, if it lies within what is in flight (RFC 2018 §5; a D-SACK below snd_una does not).
bool usable(const EndpointHot& hot, const wire::SackBlock& block) {
    const Seq left{block.left}, right{block.right};
    return left < right && left >= hot.snd_una && right <= hot.snd_nxt;
}

/// for_each_sent_chunk for one ACK or timer, within its bounds. True when no bound ended it.
template <class Visit>
bool search(const Context& ctx, Endpoint ep, Visit&& visit) {
    SearchBudget& budget = ctx.budgets.searches;
    const TimeUs elapsed_us = std::min<TimeUs>(ctx.now - budget.renewed_at, us_per_s);
    budget.left =
        std::min(budget.left + static_cast<int64_t>(elapsed_us) * search_chunks_per_us, search_chunks_saved_max);
    budget.renewed_at = ctx.now;
    const uint32_t most = budget.left > 0 ? search_chunks_max : search_chunks_free;
    uint32_t seen = 0;
    for_each_sent_chunk(ctx, ep, most, [&](ChunkHeader& header) {
        ++seen;
        return visit(header);
    });
    charge_search(ctx, seen);
    if (seen == search_chunks_free && most == search_chunks_free) ++ctx.counters.sack_searches_cut;
    return seen < most;
}

/// Takes `bytes` off a sum.
void take_off(uint32_t& sum, uint32_t bytes) {
    sum -= std::min(sum, bytes);
}

/// Segments that were reported, from the times at which their chunks were sent.
struct SegmentCount {
    uint32_t segments = 0;
    uint32_t sent_at = 0;
    uint32_t bytes = 0;

    void add(const ChunkHeader& header, uint32_t mss) {
        if (segments == 0 || header.sent_at != sent_at || bytes + header.length > mss) {
            ++segments;
            bytes = 0;
        }
        sent_at = header.sent_at;
        bytes += header.length;
    }
};

}  // namespace

void charge_search(const Context& ctx, uint32_t chunks) {
    if (chunks > search_chunks_free) ctx.budgets.searches.left -= chunks - search_chunks_free;
}

void rack_released(RecoveryState& state, const Released& released) {
    take_off(state.sacked, released.sacked_bytes);
    take_off(state.lost, released.lost_bytes);
}

void rack_delivered(const Context& ctx, Endpoint ep, RecoveryState& state, uint32_t sent_at, Seq end,
                    bool retransmitted, const wire::TcpSegment& segment) {
    const bool first = state.rack_rtt_us == 0;
    const uint32_t rtt_us = std::max(1u, static_cast<uint32_t>(ctx.now) - sent_at);
    if (first || end > state.fack) state.fack = end;
    if (retransmitted) {
        // The first transmission may have been what arrived; then this one says nothing.
        if (rtt_us < ep.warm.min_rtt_us) return;
        if (ep.hot.has(flag_timestamps)) {
            const uint32_t ts_sent = timestamp_value(ep.warm.ts_offset, ctx.now - rtt_us);
            if (static_cast<int32_t>(segment.options.ts_echo - ts_sent) < 0) return;
        }
    }
    if (!first && !sent_after(sent_at, end, state.rack_sent_at, state.rack_end)) return;
    state.rack_rtt_us = rtt_us;
    state.rack_sent_at = sent_at;
    state.rack_end = end;
}

void rack_note_reordering(Endpoint ep) {
    ep.warm.reordering |= reordering_seen;
}

bool rack_mark_sacked(const Context& ctx, Endpoint ep, RecoveryState& state, const wire::TcpSegment& segment) {
    wire::SackBlock blocks[4];
    uint32_t count = 0;
    Seq highest = ep.hot.snd_una;
    for (unsigned i = 0; i < segment.options.sack_count; ++i) {
        if (!usable(ep.hot, segment.options.sack[i])) continue;
        blocks[count++] = segment.options.sack[i];
        highest = max(highest, Seq{segment.options.sack[i].right});
    }
    if (count == 0 || fault(Fault::tcp_sack_unused)) return false;
    bool news = false;
    const bool known = state.rack_rtt_us != 0;
    const Seq fack_before = state.fack;
    search(ctx, ep, [&](ChunkHeader& header) {
        const Seq end = chunk_end(header);
        if (end > highest) return false;
        if ((header.flags & chunk_sacked) != 0) return true;
        const Seq begin = max(Seq{header.seq}, ep.hot.snd_una);
        const bool covered = std::any_of(blocks, blocks + count, [&](const wire::SackBlock& block) {
            return Seq{block.left} <= begin && end <= Seq{block.right};
        });
        if (!covered) return true;
        const bool retransmitted = (header.flags & chunk_retransmitted) != 0;
        if (known && !retransmitted && end < fack_before) rack_note_reordering(ep);
        const uint32_t bytes = chunk_in_flight(header, ep.hot);
        if ((header.flags & chunk_lost) != 0) take_off(state.lost, bytes);
        state.sacked += bytes;
        header.flags = static_cast<uint8_t>((header.flags | chunk_sacked) & ~chunk_lost);
        rack_delivered(ctx, ep, state, header.sent_at, end, retransmitted, segment);
        news = true;
        return true;
    });
    return news;
}

uint32_t rack_detect_loss(const Context& ctx, Endpoint ep, RecoveryState& state) {
    SegmentCount reported;
    search(ctx, ep, [&](const ChunkHeader& header) {
        if ((header.flags & chunk_sacked) != 0) reported.add(header, ep.hot.mss);
        return reported.segments < duplicate_ack_threshold && chunk_end(header) < state.fack;
    });
    const uint32_t window = fault(Fault::tcp_rack_marks_too_early) ? 0 : reordering_window(ep, reported.segments);
    const uint32_t patience_us = state.rack_rtt_us + window;
    uint32_t newly_lost = 0, wait_us = 0, sacked = 0, lost = 0;
    state.rtx_cursor = store::no_chunk;
    const bool whole = search(ctx, ep, [&](ChunkHeader& header) {
        const uint32_t bytes = chunk_in_flight(header, ep.hot);
        if ((header.flags & chunk_sacked) != 0) {
            sacked += bytes;
        } else if ((header.flags & chunk_lost) != 0) {
            lost += bytes;
        } else if (state.rack_rtt_us != 0 &&
                   sent_after(state.rack_sent_at, state.rack_end, header.sent_at, chunk_end(header))) {
            const uint32_t age_us = static_cast<uint32_t>(ctx.now) - header.sent_at;
            if (age_us >= patience_us) {
                header.flags |= chunk_lost;
                lost += bytes;
                newly_lost += bytes;
            } else {
                wait_us = std::max(wait_us, patience_us - age_us);
            }
        }
        return true;
    });
    state.sacked = whole ? sacked : state.sacked;
    state.lost = whole ? lost : state.lost + newly_lost;
    state.reo_armed = wait_us != 0;
    state.reo_deadline = static_cast<uint32_t>(ctx.now) + wait_us;
    return newly_lost;
}

void rack_mark_lost_on_timeout(const Context& ctx, Endpoint ep, RecoveryState& state) {
    const bool sack = ep.hot.has(flag_sack);
    const uint32_t rtt_us = state.rack_rtt_us != 0 ? state.rack_rtt_us : ep.hot.srtt_us;
    const uint32_t patience_us = sack ? rtt_us + reordering_window(ep, 0) : 0;
    // The peer must have acknowledged a head that it holds: it dropped what it reported (RFC 2018 §8).
    const store::ChunkId head = send_queue_head(ctx, ep);
    const bool reneged = head != store::no_chunk && !fault(Fault::tcp_reneging_ignored) &&
                         (ctx.chunks.header(head).flags & chunk_sacked) != 0;
    if (reneged) ++ctx.counters.reneged;
    state.sacked = state.lost = 0;
    state.rtx_cursor = store::no_chunk;
    state.rtx_nxt = ep.hot.snd_una;
    state.reo_armed = 0;
    for_each_sent_chunk(ctx, ep, UINT32_MAX, [&](ChunkHeader& header) {
        const uint32_t bytes = chunk_in_flight(header, ep.hot);
        if (reneged) header.flags &= static_cast<uint8_t>(~chunk_sacked);
        const bool first = Seq{header.seq} <= ep.hot.snd_una;
        const bool old = static_cast<uint32_t>(ctx.now) - header.sent_at >= patience_us;
        if ((header.flags & chunk_sacked) != 0) {
            state.sacked += bytes;
        } else if (first || old) {
            header.flags |= chunk_lost;
            state.lost += bytes;
        }
        return true;
    });
}

void rack_unmark_lost(const Context& ctx, Endpoint ep, RecoveryState& state) {
    for_each_sent_chunk(ctx, ep, UINT32_MAX, [](ChunkHeader& header) {
        header.flags &= static_cast<uint8_t>(~chunk_lost);
        return true;
    });
    state.lost = 0;
}

uint32_t duplicate_sack_bytes(const EndpointHot& hot, const wire::TcpSegment& segment) {
    if (segment.options.sack_count == 0) return 0;
    const wire::SackBlock& first = segment.options.sack[0];
    const Seq left{first.left}, right{first.right};
    if (!(left < right) || right > hot.snd_nxt || right - left > hot.snd_wnd) return 0;
    bool duplicate = right <= Seq{segment.ack};
    if (segment.options.sack_count > 1) {
        const wire::SackBlock& second = segment.options.sack[1];
        duplicate |= left >= Seq{second.left} && right <= Seq{second.right};
    }
    return duplicate ? right - left : 0;
}

void rack_on_duplicate_sack(Endpoint ep, RecoveryState* state) {
    if (state != nullptr) {
        if (state->duplicate_round_known != 0 && ep.hot.snd_una < state->duplicate_round) return;
        state->duplicate_round_known = 1;
        state->duplicate_round = ep.hot.snd_nxt;
    }
    uint8_t& reordering = ep.warm.reordering;
    if ((reordering & window_steps_mask) != window_steps_mask)
        reordering = static_cast<uint8_t>(reordering + window_steps_unit);
    reordering |= persist_mask;
}

void rack_on_recovery_end(Endpoint ep) {
    uint8_t& reordering = ep.warm.reordering;
    if ((reordering & persist_mask) == 0) return;
    --reordering;
    if ((reordering & persist_mask) == 0) reordering &= static_cast<uint8_t>(~window_steps_mask);
}

}  // namespace millrace::tcp
