#include "dataplane/tcp/sack_blocks.h"

#include <algorithm>
#include <array>

#include "dataplane/base/fault.h"

namespace millrace::tcp {
namespace {

using wire::SackBlock;

/// Calls `visit(left, right)` for each run of bytes that touch each other, in ascending order, but for one that begins
/// at rcv_nxt: what the consumer refused counts as never received.
template <typename Visit>
void for_each_block(const Context& ctx, Seq rcv_nxt, const Extension& state, Visit visit) {
    store::ChunkId id = state.reassembly;
    while (id != store::no_chunk) {
        const Seq left{ctx.chunks.header(id).seq};
        Seq right = left;
        while (id != store::no_chunk && Seq{ctx.chunks.header(id).seq} == right) {
            right += ctx.chunks.header(id).length;
            id = ctx.chunks.header(id).next;
        }
        if (left > rcv_nxt) visit(left, right);
    }
}

/// The blocks where the latest segments landed, latest first, each once. Those that have been delivered are gone.
struct RecentBlocks {
    std::array<SackBlock, Extension::recent_max> blocks;
    uint32_t count = 0;

    RecentBlocks(const Context& ctx, Seq rcv_nxt, const Extension& state) {
        std::array<SackBlock, Extension::recent_max> found{};
        for_each_block(ctx, rcv_nxt, state, [&](Seq left, Seq right) {
            for (uint32_t i = 0; i < state.recent_count; ++i)
                if (left <= state.recent[i] && state.recent[i] < right) found[i] = {left.value, right.value};
        });
        for (uint32_t i = 0; i < state.recent_count; ++i)
            if (found[i].left != found[i].right) blocks[count++] = found[i];
    }
};

class Option {
  public:
    Option(wire::TcpOptions& options) : options_(options), room_(options.has_timestamps ? 3 : 4) {}

    void add(SackBlock block) {
        for (uint8_t i = first_; i < options_.sack_count; ++i)
            if (options_.sack[i].left == block.left) return;
        if (options_.sack_count < room_) options_.sack[options_.sack_count++] = block;
    }

    /// A D-SACK repeats bytes that another block or the ACK covers.
    void add_duplicate(SackBlock block) {
        add(block);
        first_ = options_.sack_count;
    }

  private:
    wire::TcpOptions& options_;
    uint8_t room_;
    uint8_t first_ = 0;
};

}  // namespace

void note_block(const Context& ctx, Endpoint ep, Extension& state, Seq seq) {
    if (!ep.hot.has(flag_sack)) return;
    Seq block_left = seq, block_right = seq;
    for_each_block(ctx, ep.hot.rcv_nxt, state, [&](Seq left, Seq right) {
        if (left <= seq && seq < right) {
            block_left = left;
            block_right = right;
        }
    });
    if (block_left == block_right) return;  // it was not stored
    Seq* const end = std::remove_if(state.recent, state.recent + state.recent_count,
                                    [&](Seq other) { return block_left <= other && other < block_right; });
    const auto kept = std::min<uint32_t>(static_cast<uint32_t>(end - state.recent), Extension::recent_max - 1);
    std::copy_backward(state.recent, state.recent + kept, state.recent + kept + 1);
    state.recent[0] = seq;
    state.recent_count = static_cast<uint8_t>(kept + 1);
}

void note_duplicate(const Context& ctx, Endpoint ep, Seq left, Seq right) {
    if (!ep.hot.has(flag_sack) || left == right || fault(Fault::tcp_no_dsack)) return;
    if (left > ep.hot.rcv_adv) return;  // so old that it would read as new
    Extension* state = ensure_extension(ctx, ep);
    if (state == nullptr) return;  // the ACK itself says enough
    const bool touches = duplicate_noted(*state) && left <= state->duplicate_right && state->duplicate_left <= right;
    state->duplicate_left = touches ? min(left, state->duplicate_left) : left;
    state->duplicate_right = touches ? max(right, state->duplicate_right) : right;
    if (ep.hot.duplicate_acks_owed == 0) ep.hot.duplicate_acks_owed = 1;
}

void fill_sack(const Context& ctx, Endpoint ep, uint32_t back, wire::TcpOptions& options) {
    Extension* state = extension(ctx, ep);
    if (state == nullptr || !ep.hot.has(flag_sack)) return;
    Option option(options);
    const RecentBlocks recent(ctx, ep.hot.rcv_nxt, *state);
    if (duplicate_noted(*state)) {
        const SackBlock duplicate{state->duplicate_left.value, state->duplicate_right.value};
        option.add_duplicate(duplicate);
        state->duplicate_left = state->duplicate_right = Seq{};
        // RFC 2883 §4: the block that holds the duplicate comes next.
        for_each_block(ctx, ep.hot.rcv_nxt, *state, [&](Seq left, Seq right) {
            if (left <= Seq{duplicate.left} && Seq{duplicate.right} <= right) option.add({left.value, right.value});
        });
    }
    const uint32_t start = recent.count == 0 ? 0 : std::min(back, recent.count - 1);
    for (uint32_t i = start; i < recent.count; ++i) option.add(recent.blocks[i]);
    for (uint32_t i = 0; i < start; ++i) option.add(recent.blocks[i]);
    for_each_block(ctx, ep.hot.rcv_nxt, *state, [&](Seq left, Seq right) { option.add({left.value, right.value}); });
    if (fault(Fault::tcp_sack_order_reversed)) std::reverse(options.sack, options.sack + options.sack_count);
    trim_extension(ctx, ep);
}

}  // namespace millrace::tcp
