// The wheel's cost per entry from schedule to fire, and what a million idle relays cost a worker every millisecond.
#include "dataplane/store/timer_wheel.h"

#include <algorithm>

#include "bench_memory.h"

namespace millrace::store {
namespace {

// `held` entries with deadlines up to `spread` ms ahead; each that fires is scheduled again. Time moves 1 ms a step.
void timer_schedule_fire(benchmark::State& state) {
    const uint32_t held = static_cast<uint32_t>(state.range(0));
    const uint32_t spread = static_cast<uint32_t>(state.range(1));
    BenchMemory memory(TimerWheel::bytes_for(held), true);
    TimerWheel wheel(memory.span(), 0);
    Random32 random(5);
    for (uint32_t i = 0; i < held; ++i) wheel.schedule(i, 1, 1 + random() % spread);
    uint64_t now = 0, fired = 0;
    Cycles cycles(state);
    for (auto _ : state) {
        ++now;
        wheel.advance(now, ~0u, [&](uint32_t index, uint32_t generation) {
            ++fired;
            wheel.schedule(index, generation, now + 1 + random() % spread);
        });
    }
    cycles.stop(static_cast<double>(fired));
    state.SetItemsProcessed(static_cast<int64_t>(fired));
}
BENCHMARK(timer_schedule_fire)->ArgNames({"held", "spread"})->Args({10'000, 200})->Args({1'000'000, 60'000});

// A million deadlines over one hour, 10 s of virtual time in 1 ms steps; each that fires is put off by an hour.
void timer_idle_million_10s(benchmark::State& state) {
    constexpr uint32_t held = 1'000'000;
    constexpr uint32_t hour_ms = 3'600'000;
    constexpr uint64_t steps = 10'000;
    BenchMemory memory(TimerWheel::bytes_for(held), true);
    TimerWheel wheel(memory.span(), 0);
    Random32 random(5);
    for (uint32_t i = 0; i < held; ++i) wheel.schedule(i, 1, 1 + random() % hour_ms);
    uint64_t now = 0;
    std::vector<uint64_t> taken;
    Cycles cycles(state);
    for (auto _ : state) {
        for (const uint64_t end = now + steps; now < end;) {
            ++now;
            const uint64_t start = __rdtsc();
            wheel.advance(now, 256, [&](uint32_t index, uint32_t generation) {
                wheel.schedule(index, generation, now + hour_ms);
            });
            taken.push_back(__rdtsc() - start);
        }
    }
    cycles.stop(static_cast<double>(state.iterations()) * steps);
    // A step is 1 ms: what it takes of that is the share of a core. The budget is 1 %.
    state.counters["core_percent"] = static_cast<double>(state.counters["cycles"]) / (cycles_per_ns() * 1e6) * 100;
    // Not the longest, which on a shared machine is another process's turn.
    std::nth_element(taken.begin(), taken.end() - static_cast<ptrdiff_t>(taken.size() / 1000), taken.end());
    state.counters["p99.9"] = static_cast<double>(*(taken.end() - static_cast<ptrdiff_t>(taken.size() / 1000)));
    state.counters["B/entry"] = static_cast<double>(wheel.bytes_in_use()) / held;
}
BENCHMARK(timer_idle_million_10s)->Unit(benchmark::kMicrosecond);

void timer_empty_advance(benchmark::State& state) {
    BenchMemory memory(TimerWheel::bytes_for(1000), false);
    TimerWheel wheel(memory.span(), 0);
    wheel.schedule(1, 1, 4'000'000'000);
    uint64_t now = 0;
    Cycles cycles(state);
    for (auto _ : state) benchmark::DoNotOptimize(wheel.advance(++now, 256, [](uint32_t, uint32_t) {}));
    cycles.stop(static_cast<double>(state.iterations()));
}
BENCHMARK(timer_empty_advance);

}  // namespace
}  // namespace millrace::store
