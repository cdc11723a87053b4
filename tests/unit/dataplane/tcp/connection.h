// The bench for the TCP tests: one endpoint under test, its chunk store and virtual time, and the hand of its peer.
// Peer segments are given with sequence numbers relative to the peer's first data byte (seq) and to ours (ack), so that
// a test reads like the drawings of the RFCs. What the endpoint emits is copied, with its payload put together.
#pragma once

#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/store/chunk_store.h"
#include "dataplane/tcp/close.h"
#include "dataplane/tcp/extension.h"
#include "dataplane/tcp/half_open.h"
#include "dataplane/tcp/receiver.h"
#include "dataplane/tcp/sender.h"
#include "dataplane/tcp/setup.h"
#include "dataplane/tcp/timers.h"

namespace millrace::tcp {

inline std::span<const uint8_t> bytes_of(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/// A segment that was emitted, with its payload as text.
struct Sent {
    wire::TcpSegment header;
    std::string payload;

    bool has(wire::TcpFlag flag) const { return header.has(flag); }
};

inline Sent copy_of(const wire::OutboundSegment& segment) {
    Sent sent{segment.header, {}};
    for (uint8_t i = 0; i < segment.piece_count; ++i)
        sent.payload.append(reinterpret_cast<const char*>(segment.pieces[i].data()), segment.pieces[i].size());
    if (sent.payload.size() != segment.payload_length) std::abort();
    return sent;
}

/// Chunk store, settings, counters and clock: what a Context refers to.
struct Stack {
    explicit Stack(size_t arena_bytes = 9 * store::ChunkStore::slab_bytes)
        : arena(static_cast<std::byte*>(std::aligned_alloc(store::ChunkStore::slab_bytes, arena_bytes)), std::free),
          chunks((std::memset(arena.get(), 0, arena_bytes), store::ChunkStore::format({arena.get(), arena_bytes}))) {}

    Context context() {
        return {chunks, options, counters, secrets, budgets, now, buffers_may_grow, out_of_order_held};
    }

    /// Takes every chunk there is, so that the next allocation fails.
    void exhaust_chunks() {
        for (uint32_t bytes : store::chunk_class_bytes)
            while (true) {
                const store::ChunkId id = chunks.allocate(bytes - static_cast<uint32_t>(sizeof(store::ChunkHeader)));
                if (id == store::no_chunk) break;
                hoard.push_back(id);
            }
    }
    void give_chunks_back() {
        for (store::ChunkId id : hoard) chunks.free(id);
        hoard.clear();
    }

    std::unique_ptr<std::byte, void (*)(void*)> arena;
    store::ChunkStore chunks;
    Options options;
    Counters counters;
    Secrets secrets{{1, 2}, {3, 4}, {5, 6}, {7, 8}};
    Budgets budgets;
    TimeUs now = 5'000'000'000;
    bool buffers_may_grow = true;
    bool out_of_order_held = true;
    std::vector<store::ChunkId> hoard;
};

/// What the peer may vary in a segment.
struct Wire {
    uint16_t window = 65535;
    std::optional<uint32_t> ts_value = std::nullopt;  ///< default: the peer's clock, which is ours in milliseconds
    std::optional<uint32_t> ts_echo = std::nullopt;   ///< default: what we sent last
    bool without_timestamps = false;
    std::vector<std::pair<uint32_t, uint32_t>> sack = {};  ///< blocks, relative to our first data byte
};

struct Connection : Stack {
    static constexpr IpAddress local = IpAddress::v4(198, 18, 0, 1);
    static constexpr IpAddress peer = IpAddress::v4(198, 18, 0, 2);
    static constexpr uint16_t local_port = 50000, peer_port = 443;

    explicit Connection(size_t arena_bytes = 9 * store::ChunkStore::slab_bytes) : Stack(arena_bytes) {
        options.window_scale = 0;
    }

    Endpoint ep() { return {hot, warm}; }
    Tuple tuple() const { return {local, peer, local_port, peer_port}; }

    void open() {
        open_active(context(), ep(), tuple(), 7);
        iss = hot.snd_una;
    }

    /// The SYN-ACK, as the peer's options want it.
    wire::TcpSegment syn_ack(uint16_t mss = 1460) {
        wire::TcpSegment segment = from_peer(wire::tcp_syn | wire::tcp_ack, 0, 0, "", {});
        segment.seq = irs.value;
        segment.options.has_mss = true;
        segment.options.mss = mss;
        segment.options.has_window_scale = true;
        segment.options.sack_permitted = peer_sack;
        return segment;
    }

    /// An established connection with an initial window of ten segments of `mss` bytes and an RTT of `rtt_us`.
    void establish(uint16_t mss = 1000, TimeUs rtt_us = 10'000) {
        open();
        flush_all();
        advance(rtt_us);
        wire::TcpSegment reply = syn_ack(static_cast<uint16_t>(mss + (peer_timestamps && options.timestamps ? 12 : 0)));
        give(reply);
        flush_all();
        sent.clear();
    }

    wire::TcpSegment from_peer(int flags, uint32_t seq, uint32_t ack, std::string_view payload, const Wire& extra) {
        wire::TcpSegment segment;
        segment.source = peer;
        segment.destination = local;
        segment.source_port = peer_port;
        segment.destination_port = local_port;
        segment.seq = (irs + 1 + seq).value;
        segment.ack = (iss + 1 + ack).value;
        segment.flags = static_cast<uint8_t>(flags);
        segment.window = extra.window;
        segment.payload = bytes_of(payload);
        for (const auto& [left, right] : extra.sack)
            segment.options.sack[segment.options.sack_count++] = {(iss + 1 + left).value, (iss + 1 + right).value};
        if (peer_timestamps && !extra.without_timestamps) {
            segment.options.has_timestamps = true;
            segment.options.ts_value = extra.ts_value ? *extra.ts_value : static_cast<uint32_t>(now / us_per_ms);
            segment.options.ts_echo = extra.ts_echo ? *extra.ts_echo : last_ts_value;
        }
        return segment;
    }

    Events give(const wire::TcpSegment& segment) {
        const auto consume = [this](std::span<const uint8_t> bytes) {
            const size_t taken = accept_when && !accept_when() ? 0 : std::min(bytes.size(), accept_max);
            received.append(reinterpret_cast<const char*>(bytes.data()), taken);
            return taken;
        };
        return receive(context(), ep(), segment, consume);
    }

    /// A segment from the peer, ACK flag included; seq and ack are relative.
    Events in(uint32_t seq, uint32_t ack, std::string_view payload = "", int flags = 0, const Wire& extra = {}) {
        return give(from_peer(flags | wire::tcp_ack, seq, ack, payload, extra));
    }

    size_t send_text(std::string_view text) { return send(context(), ep(), bytes_of(text)); }

    FlushResult flush_with(uint32_t credit) {
        return flush(context(), ep(), receive_space, credit, [this](const wire::OutboundSegment& segment) {
            sent.push_back(copy_of(segment));
            if (segment.header.options.has_timestamps) last_ts_value = segment.header.options.ts_value;
        });
    }

    /// Flushes without a bound and returns what came out of this call.
    std::vector<Sent> flush_all() {
        const size_t before = sent.size();
        flush_with(1000);
        return {sent.begin() + static_cast<long>(before), sent.end()};
    }

    void advance(TimeUs us) { now += us; }

    /// Lets time pass until the endpoint's deadline and acts on it. Asserts that there is one.
    Events expire() {
        const auto deadline = next_deadline(context(), ep());
        if (!deadline) std::abort();
        now = std::max(now, *deadline);
        return on_deadline(context(), ep());
    }

    uint32_t seq_of(const Sent& segment) const { return Seq{segment.header.seq} - (iss + 1); }
    uint32_t ack_of(const Sent& segment) const { return Seq{segment.header.ack} - (irs + 1); }

    EndpointHot hot{};
    EndpointWarm warm{};
    Seq iss, irs{7'000};
    bool peer_timestamps = true;
    bool peer_sack = false;
    uint32_t last_ts_value = 0;
    uint32_t receive_space = 65535;
    size_t accept_max = SIZE_MAX;
    std::function<bool()> accept_when;  ///< when set: the consumer takes nothing while this says no
    std::string received;
    std::vector<Sent> sent;
};

/// `length` bytes that differ from their neighbours.
inline std::string pattern(size_t length, size_t start = 0) {
    std::string text(length, ' ');
    for (size_t i = 0; i < length; ++i) text[i] = static_cast<char>((start + i) * 31 + (start + i) / 256);
    return text;
}

}  // namespace millrace::tcp
