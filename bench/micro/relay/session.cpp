// What a whole session costs in a worker, frames in and frames out but no device, in TSC cycles: a client connects,
// asks for the upgrade, a server is chosen and connected, its 101 is passed on, and the client ends it by FIN (which
// goes both ways) or by RST; with all parsing, checksums, tables and timers. Sessions begin in bursts of 32,
// `sessions_per_second` in virtual time; nothing else is open. Cycles are means of a batch of bursts, and the median of
// the batches is reported.
#include <algorithm>
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include "bench/micro/relay/rig.h"

namespace millrace::relay {
namespace {

constexpr uint64_t sessions_per_second = 100'000;
constexpr TimeUs burst_us = Rig::burst * us_per_s / sessions_per_second;
constexpr TimeUs turn_us = 20;  // between what one side sends and what the other answers
constexpr uint32_t relays = 1u << 16;
constexpr uint32_t warm_up = 256;
constexpr size_t bursts_of_a_batch = 128;

/// Lets everybody say what there is to say. Returns the worker's cycles.
uint64_t converse(Rig& rig) {
    uint64_t cycles = 0;
    while (rig.has_frames()) {
        rig.pass_time(turn_us);
        const uint64_t began = __rdtsc();
        rig.deliver();
        cycles += __rdtsc() - began;
        rig.answer();
    }
    return cycles;
}

double median(std::vector<double>& values) {
    const auto middle = values.begin() + static_cast<long>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

void session(benchmark::State& state) {
    const bool by_reset = state.range(0) != 0;
    Rig rig(relays);
    rig.establish(warm_up);
    for (uint32_t relay = 0; relay < warm_up; ++relay) rig.make_end(relay, by_reset);
    converse(rig);
    std::vector<double> open, end;
    uint32_t first = 0;
    for (auto _ : state) {
        uint64_t open_cycles = 0, end_cycles = 0;
        for (size_t i = 0; i < bursts_of_a_batch; ++i, first = (first + Rig::burst) % relays) {
            for (uint32_t relay = first; relay < first + Rig::burst; ++relay) rig.make_syn(relay);
            open_cycles += converse(rig);
            for (uint32_t relay = first; relay < first + Rig::burst; ++relay) rig.make_end(relay, by_reset);
            end_cycles += converse(rig);
            rig.pass_time(burst_us);
        }
        open.push_back(static_cast<double>(open_cycles) / (bursts_of_a_batch * Rig::burst));
        end.push_back(static_cast<double>(end_cycles) / (bursts_of_a_batch * Rig::burst));
    }
    state.counters["open"] = median(open);
    state.counters["end"] = median(end);
    state.counters["cycles"] = median(open) + median(end);
    if (rig.stats().worker.relays_open != 0) state.SkipWithError("not every session came to its end");
    if (rig.stats().listeners[0].upgrades != warm_up + state.iterations() * bursts_of_a_batch * Rig::burst)
        state.SkipWithError("not every session was upgraded");
}
BENCHMARK(session)->ArgName("by_reset")->Arg(0)->Arg(1)->Iterations(64)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace millrace::relay
