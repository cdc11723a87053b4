// What one relayed push of 128 B costs in a whole worker, frames in and frames out but no device, in TSC cycles: the
// server's segment in, the segment out to the client, the client's ACK in, the ACK out to the server (merged or
// delayed, whatever the stack does), with all parsing, checksums, look-ups and timers. Pushes go to all relays in one
// random order after the other, in bursts of 32, `pushes_per_second` in virtual time, so that delayed ACKs come by
// their timers as they would. Cycles are means of a batch of bursts, and the median of the batches is reported.
#include <algorithm>
#include <benchmark/benchmark.h>
#include <numeric>
#include <x86intrin.h>

#include "bench/micro/relay/rig.h"

namespace millrace::relay {
namespace {

constexpr uint64_t pushes_per_second = 640'000;
constexpr TimeUs burst_us = Rig::burst * us_per_s / pushes_per_second;
constexpr size_t message_bytes = 128;
constexpr size_t bursts_of_a_batch = 512;

double median(std::vector<double>& values) {
    const auto middle = values.begin() + static_cast<long>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

void relayed_push(benchmark::State& state) {
    Rig rig(static_cast<uint32_t>(state.range(0)));
    rig.establish(static_cast<uint32_t>(state.range(0)));
    std::vector<uint32_t> order(static_cast<size_t>(state.range(0)));
    std::iota(order.begin(), order.end(), 0u);
    std::mt19937 random(1);
    std::shuffle(order.begin(), order.end(), random);
    std::vector<double> push, ack;
    size_t next = 0;
    uint64_t sent = 0, arrived = 0;
    for (auto _ : state) {
        uint64_t push_cycles = 0, ack_cycles = 0;
        for (size_t i = 0; i < bursts_of_a_batch; ++i) {
            rig.make_pushes(std::span(order).subspan(next, Rig::burst), message_bytes);
            next += Rig::burst;
            if (next + Rig::burst > order.size()) next = 0;
            rig.pass_time(burst_us / 2);
            const uint64_t t0 = __rdtsc();
            rig.deliver();
            const uint64_t t1 = __rdtsc();
            arrived += rig.answer();
            rig.pass_time(burst_us / 2);
            const uint64_t t2 = __rdtsc();
            rig.deliver();
            const uint64_t t3 = __rdtsc();
            arrived += rig.answer();
            push_cycles += t1 - t0;
            ack_cycles += t3 - t2;
        }
        sent += bursts_of_a_batch * Rig::burst;
        push.push_back(static_cast<double>(push_cycles) / (bursts_of_a_batch * Rig::burst));
        ack.push_back(static_cast<double>(ack_cycles) / (bursts_of_a_batch * Rig::burst));
    }
    state.counters["push"] = median(push);
    state.counters["client_ack"] = median(ack);
    state.counters["cycles"] = median(push) + median(ack);
    if (arrived != sent) state.SkipWithError("not every push came through");
}
BENCHMARK(relayed_push)
    ->ArgName("relays")
    ->Arg(1024)
    ->Arg(32768)
    ->Arg(1u << 20)
    ->Iterations(64)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace millrace::relay
