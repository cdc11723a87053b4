// What one relayed 128 B push costs in the stack, in TSC cycles (median): the segment in on one endpoint, its bytes
// into the send queue of another, the segment out, the ACK out, and the peer's ACK in. Work is done in bursts of 32
// connections, as a worker does it; the argument is how many connections take turns. No frames are parsed or written
// and no record is prefetched: with many connections the figures are those of cold records.
#include <algorithm>
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>
#include <x86intrin.h>

#include "dataplane/tcp/receiver.h"
#include "dataplane/tcp/sender.h"
#include "dataplane/tcp/setup.h"

namespace millrace::tcp {
namespace {

constexpr size_t burst = 32;
constexpr size_t push_bytes = 128;

/// As in a relay record: hot parts adjacent, warm parts adjacent.
struct alignas(64) Pair {
    EndpointHot hot[2];
    EndpointWarm warm[2];
    uint32_t next_seq;  ///< of the server's next push
    Endpoint end(int i) { return {hot[i], warm[i]}; }
};

struct Bench {
    explicit Bench(size_t connections)
        : arena(static_cast<std::byte*>(std::aligned_alloc(65536, arena_bytes)), std::free),
          chunks((std::memset(arena.get(), 0, arena_bytes), store::ChunkStore::format({arena.get(), arena_bytes}))),
          pairs(connections) {
        for (Pair& pair : pairs)
            for (int i = 0; i < 2; ++i) establish(pair, i);
    }

    Context context() { return {chunks, options, counters, secrets, budgets, now}; }

    void establish(Pair& pair, int i) {
        const Endpoint ep = pair.end(i);
        open_active(context(), ep, {IpAddress::v4(198, 18, 0, 1), IpAddress::v4(198, 18, 0, 2), 1, 2}, 0);
        flush(context(), ep, 65535, 1, [](const wire::OutboundSegment&) {});
        wire::TcpSegment reply;
        reply.source = ep.hot.peer;
        reply.seq = 1000;
        reply.ack = ep.hot.snd_nxt.value;
        reply.flags = wire::tcp_syn | wire::tcp_ack;
        reply.window = 65535;
        reply.options.has_mss = reply.options.has_timestamps = reply.options.has_window_scale = true;
        reply.options.sack_permitted = true;
        reply.options.mss = 1460;
        reply.options.window_scale = 7;
        reply.options.ts_value = static_cast<uint32_t>(now / 1000);
        receive(context(), ep, reply, [](std::span<const uint8_t>) -> size_t { return 0; });
        flush(context(), ep, 65535, 1, [](const wire::OutboundSegment&) {});
        pair.next_seq = 1001;
    }

    wire::TcpSegment from_peer(const Endpoint& ep, uint32_t seq) {
        wire::TcpSegment segment;
        segment.seq = seq;
        segment.ack = ep.hot.snd_nxt.value;
        segment.flags = wire::tcp_ack | wire::tcp_psh;
        segment.window = 512;
        segment.options.has_timestamps = true;
        segment.options.ts_value = static_cast<uint32_t>(now / 1000);
        segment.options.ts_echo = ep.hot.ts_recent;
        return segment;
    }

    static constexpr size_t arena_bytes = 64 * store::ChunkStore::slab_bytes;
    std::unique_ptr<std::byte, void (*)(void*)> arena;
    store::ChunkStore chunks;
    Options options;
    Counters counters;
    Secrets secrets{{1, 2}, {3, 4}, {5, 6}, {7, 8}};
    Budgets budgets;
    TimeUs now = 1'000'000'000;
    std::vector<Pair> pairs;
};

void relayed_push(benchmark::State& state) {
    Bench bench(static_cast<size_t>(state.range(0)));
    const std::vector<uint8_t> payload(push_bytes, 'x');
    std::vector<uint64_t> in, out, ack_out, ack_in;  // cycles of each burst
    size_t first = 0;
    std::vector<wire::TcpSegment> segments(burst);
    const auto count = [](const wire::OutboundSegment& segment) { benchmark::DoNotOptimize(segment.payload_length); };
    for (auto _ : state) {
        bench.now += 20;
        const Context ctx = bench.context();
        Pair* const pairs = &bench.pairs[first];
        for (size_t i = 0; i < burst; ++i) {
            segments[i] = bench.from_peer(pairs[i].end(0), pairs[i].next_seq);
            segments[i].payload = payload;
            pairs[i].next_seq += push_bytes;
        }
        const uint64_t t0 = __rdtsc();
        for (size_t i = 0; i < burst; ++i)
            receive(ctx, pairs[i].end(0), segments[i],
                    [&](std::span<const uint8_t> bytes) { return send(ctx, pairs[i].end(1), bytes); });
        const uint64_t t1 = __rdtsc();
        for (size_t i = 0; i < burst; ++i) flush(ctx, pairs[i].end(1), 65535, 64, count);
        const uint64_t t2 = __rdtsc();
        for (size_t i = 0; i < burst; ++i) flush(ctx, pairs[i].end(0), 65535, 64, count);
        const uint64_t t3 = __rdtsc();
        for (size_t i = 0; i < burst; ++i) segments[i] = bench.from_peer(pairs[i].end(1), 1001);
        const uint64_t t4 = __rdtsc();
        for (size_t i = 0; i < burst; ++i)
            receive(ctx, pairs[i].end(1), segments[i], [](std::span<const uint8_t>) -> size_t { return 0; });
        const uint64_t t5 = __rdtsc();
        in.push_back(t1 - t0);
        out.push_back(t2 - t1);
        ack_out.push_back(t3 - t2);
        ack_in.push_back(t5 - t4);
        first = (first + burst) % bench.pairs.size();
    }
    // The median, since other processes interrupt a burst now and then.
    const auto report = [&](const char* name, std::vector<uint64_t>& cycles) {
        const auto middle = cycles.begin() + static_cast<long>(cycles.size() / 2);
        std::nth_element(cycles.begin(), middle, cycles.end());
        const double median = static_cast<double>(*middle) / burst;
        state.counters[name] = median;
        return median;
    };
    const double total =
        report("segment_in", in) + report("segment_out", out) + report("ack_out", ack_out) + report("ack_in", ack_in);
    state.counters["cycles"] = total;
    if (bench.chunks.bytes_in_use() != 0) state.SkipWithError("chunks are left behind");
}
BENCHMARK(relayed_push)->Arg(32)->Arg(1024)->Arg(262144);

}  // namespace
}  // namespace millrace::tcp
