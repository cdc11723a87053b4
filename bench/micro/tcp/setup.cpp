// What one passive connection costs in the stack until it is established, in TSC cycles (median of bursts of 32): the
// SYN in with its SYN-ACK made, and the ACK in that turns the half-open entry into an endpoint. The second case answers
// with cookies, since its table is full. No frames are parsed or written, and no relay record is found or made.
#include "dataplane/tcp/setup.h"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>
#include <x86intrin.h>

#include "dataplane/tcp/close.h"
#include "dataplane/tcp/half_open.h"
#include "dataplane/tcp/receiver.h"

namespace millrace::tcp {
namespace {

constexpr size_t burst = 32;
constexpr uint32_t peer_isn = 1000;

wire::TcpSegment from_client(uint32_t number, uint8_t flags) {
    wire::TcpSegment segment;
    segment.source = IpAddress::v4(198, 18, static_cast<uint8_t>(number >> 24), static_cast<uint8_t>(number >> 16));
    segment.source_port = static_cast<uint16_t>(number);
    segment.destination = IpAddress::v4(198, 18, 0, 1);
    segment.destination_port = 443;
    segment.seq = flags & wire::tcp_syn ? peer_isn : peer_isn + 1;
    segment.flags = flags;
    segment.window = 65535;
    segment.options.has_timestamps = true;
    segment.options.ts_value = 1;
    if (flags & wire::tcp_syn) {
        segment.options.has_mss = segment.options.has_window_scale = segment.options.sack_permitted = true;
        segment.options.mss = 1460;
        segment.options.window_scale = 7;
    }
    return segment;
}

double median_per_item(std::vector<uint64_t>& cycles) {
    const auto middle = cycles.begin() + static_cast<long>(cycles.size() / 2);
    std::nth_element(cycles.begin(), middle, cycles.end());
    return static_cast<double>(*middle) / burst;
}

void passive_setup(benchmark::State& state) {
    const bool cookies = state.range(0) != 0;
    constexpr size_t arena_bytes = 4 * store::ChunkStore::slab_bytes;
    std::unique_ptr<std::byte, void (*)(void*)> arena(
        static_cast<std::byte*>(std::aligned_alloc(store::ChunkStore::slab_bytes, arena_bytes)), std::free);
    std::memset(arena.get(), 0, arena_bytes);
    store::ChunkStore chunks = store::ChunkStore::format({arena.get(), arena_bytes});
    Options options;
    Counters counters;
    Secrets secrets{};
    Budgets budgets;
    TimeUs now = 1'000'000'000;
    std::vector<HalfOpen> memory(cookies ? HalfOpenTable::bucket_entries : 65536);
    HalfOpenTable table(memory);
    EndpointHot hot{};
    EndpointWarm warm{};
    uint32_t number = 0;
    uint64_t established = 0;
    std::vector<uint64_t> syn_in, ack_in;
    if (cookies)  // never answered, and younger than a retransmission for the whole run
        while (table.size() < table.capacity())
            table.on_syn({chunks, options, counters, secrets, budgets, now}, from_client(number++, wire::tcp_syn), 0);
    for (auto _ : state) {
        now += 20;
        const Context ctx{chunks, options, counters, secrets, budgets, now};
        wire::TcpSegment syns[burst], acks[burst];
        for (size_t i = 0; i < burst; ++i) {
            syns[i] = from_client(++number, wire::tcp_syn);
            acks[i] = from_client(number, wire::tcp_ack);
        }
        const uint64_t t0 = __rdtsc();
        for (size_t i = 0; i < burst; ++i) {
            if (const auto reply = table.on_syn(ctx, syns[i], 0)) {
                acks[i].ack = reply->header.seq + 1;
                acks[i].options.ts_echo = reply->header.options.ts_value;
            }
        }
        const uint64_t t1 = __rdtsc();
        for (size_t i = 0; i < burst; ++i) {
            HalfOpen agreed;
            HalfOpen* entry = table.find(ctx, acks[i]);
            wire::OutboundSegment reply;
            const auto verdict = entry != nullptr ? table.on_segment(ctx, *entry, acks[i], reply)
                                                  : table.on_cookie_ack(ctx, acks[i], 0, agreed);
            if (verdict != HalfOpenTable::Verdict::complete) continue;
            establish_passive(ctx, entry != nullptr ? *entry : agreed, {hot, warm});
            if (entry != nullptr) table.remove(*entry);
            receive(ctx, {hot, warm}, acks[i], [](std::span<const uint8_t>) -> size_t { return 0; });
            established += hot.state == State::established ? 1 : 0;
            release(ctx, {hot, warm});
        }
        const uint64_t t2 = __rdtsc();
        syn_in.push_back(t1 - t0);
        ack_in.push_back(t2 - t1);
    }
    state.counters["syn_in"] = median_per_item(syn_in);
    state.counters["ack_in"] = median_per_item(ack_in);
    state.counters["cycles"] = state.counters["syn_in"] + state.counters["ack_in"];
    if (established != syn_in.size() * burst) state.SkipWithError("not every connection was established");
}
BENCHMARK(passive_setup)->ArgName("cookies")->Arg(0)->Arg(1);

}  // namespace
}  // namespace millrace::tcp
