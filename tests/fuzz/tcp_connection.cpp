// Fuzzes one established connection: the input is a program of segments from a hostile peer, writes, flushes with any
// credit and space, refusals, timer ticks and chunk exhaustion. The oracle: what is consumed is what the peer sent in
// order, invariants of the record hold after every step, and no chunk is left at the end.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/tcp/close.h"
#include "dataplane/tcp/extension.h"
#include "dataplane/tcp/receiver.h"
#include "dataplane/tcp/sender.h"
#include "dataplane/tcp/setup.h"
#include "dataplane/tcp/timers.h"

namespace {

using namespace millrace;
using namespace millrace::tcp;

void require(bool holds) {
    if (!holds) __builtin_trap();
}

/// Takes numbers from the input; zeros when it has ended.
struct Input {
    std::span<const uint8_t> bytes;
    bool ended() const { return bytes.empty(); }
    uint8_t u8() {
        if (bytes.empty()) return 0;
        const uint8_t value = bytes[0];
        bytes = bytes.subspan(1);
        return value;
    }
    uint16_t u16() { return static_cast<uint16_t>(u8() | u8() << 8); }
    /// Small most of the time, anything sometimes.
    uint32_t offset() {
        const uint8_t kind = u8();
        if (kind < 128) return kind;
        if (kind < 240) return u16();
        return static_cast<uint32_t>(u16()) << 16 | u16();
    }
};

/// Every byte of a stream is a function of its place, so any segment of it can be made and checked.
uint8_t stream_byte(uint32_t place) {
    return static_cast<uint8_t>(place * 167 + (place >> 8));
}

constexpr size_t arena_bytes = 9 * store::ChunkStore::slab_bytes;

class Fuzzed {
  public:
    Fuzzed(store::ChunkStore& chunks, bool timestamps, bool sack, uint8_t scale) : chunks_(chunks) {
        options_.timestamps = timestamps;
        options_.window_scale = scale % 15;
        open_active(context(), ep(), {IpAddress::v4(198, 18, 0, 1), IpAddress::v4(198, 18, 0, 2), 1, 2}, 0);
        flush(context(), ep(), 65535, 1, [](const wire::OutboundSegment&) {});
        wire::TcpSegment reply;
        reply.seq = irs_.value;
        reply.ack = hot_.snd_nxt.value;
        reply.flags = wire::tcp_syn | wire::tcp_ack;
        reply.window = 20'000;
        reply.options.has_mss = reply.options.has_window_scale = true;
        reply.options.mss = 500;
        reply.options.window_scale = scale / 16;
        reply.options.has_timestamps = timestamps;
        reply.options.sack_permitted = sack;
        receive(context(), ep(), reply, [](std::span<const uint8_t>) -> size_t { return 0; });
        require(hot_.state == State::established);
        una_ = hot_.snd_una;
        nxt_ = hot_.rcv_nxt;
        adv_ = hot_.rcv_adv;
    }

    void step(Input& input) {
        switch (input.u8() % 8) {
            case 0:
            case 1:
            case 2:
                segment(input);
                break;
            case 3:
                write(input.u16() % 5000);
                break;
            case 4:
                emit(input.u16(), input.u8() % 16);
                break;
            case 5:
                now_ += uint64_t{input.u16()} * 1000;
                on_deadline(context(), ep());
                break;
            case 6:
                if (input.u8() % 8 == 0) shutdown_send(context(), ep());
                accept_max_ = input.u8() < 200 ? SIZE_MAX : input.u8();
                break;
            case 7:
                if (hoard_.empty() && input.u8() % 4 == 0)
                    exhaust();
                else
                    give_back();
                break;
        }
        check();
    }

    void finish() {
        give_back();
        release(context(), ep());
        require(chunks_.bytes_in_use() == 0);
    }

  private:
    Context context() { return {chunks_, options_, counters_, secrets_, budgets_, now_}; }
    Endpoint ep() { return {hot_, warm_}; }

    void segment(Input& input) {
        wire::TcpSegment segment;
        segment.seq = (hot_.rcv_nxt + input.offset() - 64).value;
        segment.ack = (hot_.snd_nxt - input.offset() + 16).value;
        segment.flags = input.u8();
        if (input.u8() < 240) segment.flags = wire::tcp_ack | (segment.flags & wire::tcp_fin & -(segment.flags > 250));
        segment.window = input.u16();
        segment.options.has_timestamps = options_.timestamps && input.u8() < 250;
        segment.options.ts_value = static_cast<uint32_t>(now_ / 1000) + input.u8() - 8;
        segment.options.ts_echo = timestamp_value(warm_.ts_offset, now_) - input.u8();
        if (hot_.has(flag_sack)) segment.options.sack_count = static_cast<uint8_t>(input.u8() % 5);
        for (uint8_t i = 0; i < segment.options.sack_count; ++i) {
            const Seq left = hot_.snd_una + input.offset() - 16;
            segment.options.sack[i] = {left.value, (left + input.offset()).value};
        }
        std::vector<uint8_t> payload(input.u8() < 128 ? 0 : input.u16() % 1500);
        for (uint32_t i = 0; i < payload.size(); ++i) payload[i] = stream_byte(segment.seq + i);
        segment.payload = payload;
        receive(context(), ep(), segment, [this](std::span<const uint8_t> bytes) {
            const size_t taken = std::min(bytes.size(), accept_max_);
            for (size_t i = 0; i < taken; ++i) require(bytes[i] == stream_byte(place_++));
            return taken;
        });
    }

    void write(size_t length) {
        std::vector<uint8_t> bytes(length);
        const uint32_t start = send_queue_end(ep()).value;
        for (uint32_t i = 0; i < length; ++i) bytes[i] = stream_byte(start + i);
        require(send(context(), ep(), bytes) <= length);
    }

    void emit(uint32_t space, uint32_t credit) {
        uint32_t emitted = 0;
        const FlushResult result = flush(context(), ep(), space, credit, [&](const wire::OutboundSegment& out) {
            ++emitted;
            uint32_t place = out.header.seq;
            for (uint8_t i = 0; i < out.piece_count; ++i)
                for (uint8_t byte : out.pieces[i]) require(byte == stream_byte(place++));
            require(place - out.header.seq == out.payload_length && out.payload_length <= hot_.mss);
            require(Seq{place} <= hot_.snd_nxt);
            check_sack(out.header);
        });
        require(result.segments == emitted && emitted <= credit);
    }

    /// RFC 2018 §3, §4: blocks lie between the ACK and the window's edge and are disjoint, but for a D-SACK in front.
    void check_sack(const wire::TcpSegment& header) {
        const wire::TcpOptions& options = header.options;
        require(options.sack_count <= (options.has_timestamps ? 3 : 4));
        for (uint8_t i = 0; i < options.sack_count; ++i) {
            const Seq left{options.sack[i].left}, right{options.sack[i].right};
            require(left < right && right <= hot_.rcv_adv);
            for (uint8_t j = 1; j < i; ++j)
                require(right < Seq{options.sack[j].left} || Seq{options.sack[j].right} < left);
            if (i > 0) require(left > Seq{header.ack});
        }
    }

    void exhaust() {
        for (uint32_t bytes : store::chunk_class_bytes)
            while (true) {
                const store::ChunkId id = chunks_.allocate(bytes - static_cast<uint32_t>(sizeof(store::ChunkHeader)));
                if (id == store::no_chunk) break;
                hoard_.push_back(id);
            }
    }
    void give_back() {
        for (store::ChunkId id : hoard_) chunks_.free(id);
        hoard_.clear();
    }

    void check() {
        require(place_ + (hot_.has(flag_fin_received) ? 1 : 0) == hot_.rcv_nxt.value);
        require(una_ <= hot_.snd_una && hot_.snd_una <= hot_.snd_nxt);
        require(nxt_ <= hot_.rcv_nxt && hot_.rcv_nxt <= hot_.rcv_adv && adv_ <= hot_.rcv_adv);
        una_ = hot_.snd_una;
        nxt_ = hot_.rcv_nxt;
        adv_ = hot_.rcv_adv;
        require(hot_.state == State::closed ||
                hot_.snd_nxt <= send_queue_end(ep()) + (hot_.has(flag_fin_sent) ? 1 : 0));
        require(warm_.cwnd >= hot_.mss);
        if (const auto deadline = next_deadline(context(), ep()); deadline)
            require(*deadline <= now_ + options_.rto_max_us);
    }

    Options options_;
    store::ChunkStore& chunks_;
    Counters counters_;
    Secrets secrets_{{1, 2}, {3, 4}, {5, 6}, {7, 8}};
    Budgets budgets_;
    EndpointHot hot_{};
    EndpointWarm warm_{};
    TimeUs now_ = 1'000'000'000;
    Seq irs_{0xffffff00};
    uint32_t place_ = (irs_ + 1).value;
    Seq una_, nxt_, adv_;
    size_t accept_max_ = SIZE_MAX;
    std::vector<store::ChunkId> hoard_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    // One store for all runs: each leaves it empty.
    static std::byte* const arena =
        static_cast<std::byte*>(std::aligned_alloc(store::ChunkStore::slab_bytes, arena_bytes));
    static store::ChunkStore chunks =
        (std::memset(arena, 0, arena_bytes), store::ChunkStore::format({arena, arena_bytes}));
    Input input{{data, size}};
    const uint8_t settings = input.u8();
    Fuzzed connection(chunks, (settings & 1) != 0, (settings & 2) != 0, settings);
    while (!input.ended()) connection.step(input);
    connection.finish();
    return 0;
}
