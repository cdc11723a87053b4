// Lookups of a burst of 32 flows in random order, as a worker does them (prefetch all, then find each), against finding
// each at once; hits and misses, by table size and page size. Insertion grows the table from empty.
#include "dataplane/store/flow_table.h"

#include <algorithm>

#include "bench_memory.h"

namespace millrace::store {
namespace {

constexpr size_t burst = 32;

std::vector<uint32_t> make_hashes(size_t count) {
    Random32 random(11);
    std::vector<uint32_t> hashes(count);
    for (uint32_t& hash : hashes) hash = random();
    return hashes;
}

void find(benchmark::State& state, bool hit, bool prefetch) {
    const size_t entries = static_cast<size_t>(state.range(0));
    const std::vector<uint32_t> hashes = make_hashes(entries);
    BenchMemory memory(FlowTable::bytes_for(entries), state.range(1) != 0);
    FlowTable table(memory.span());
    for (uint32_t i = 0; i < entries; ++i) table.insert(hashes[i], i);

    Random32 random(12);
    std::vector<uint32_t> asked(std::max(entries, size_t{1} << 16) / burst * burst);  // as many flows as there are
    for (uint32_t& hash : asked) hash = hit ? hashes[random() % entries] : random();
    size_t at = 0;
    Cycles cycles(state);
    for (auto _ : state) {
        const uint32_t* flows = asked.data() + at;
        if (prefetch)
            for (size_t i = 0; i < burst; ++i) table.prefetch(flows[i]);
        for (size_t i = 0; i < burst; ++i)
            benchmark::DoNotOptimize(table.find(flows[i], [](uint32_t) { return true; }));
        at = (at + burst) % asked.size();
    }
    const double items = static_cast<double>(state.iterations() * burst);
    cycles.stop(items);
    state.SetItemsProcessed(static_cast<int64_t>(items));
    state.counters["B/entry"] = static_cast<double>(memory.resident()) / static_cast<double>(entries);
}

void flow_find_hit_burst(benchmark::State& state) {
    find(state, true, true);
}
void flow_find_hit_single(benchmark::State& state) {
    find(state, true, false);
}
void flow_find_miss_burst(benchmark::State& state) {
    find(state, false, true);
}

void sizes(benchmark::internal::Benchmark* benchmark) {
    benchmark->ArgNames({"entries", "huge"});
    for (int64_t entries : {1'000, 1'000'000, 10'000'000})
        for (int64_t huge : {0, 1}) benchmark->Args({entries, huge});
}
BENCHMARK(flow_find_hit_burst)->Apply(sizes);
BENCHMARK(flow_find_hit_single)->Apply(sizes);
BENCHMARK(flow_find_miss_burst)->Apply(sizes);

void flow_insert_growing(benchmark::State& state) {
    const size_t entries = static_cast<size_t>(state.range(0));
    const std::vector<uint32_t> hashes = make_hashes(entries);
    BenchMemory memory(FlowTable::bytes_for(entries), true);
    Cycles cycles(state);
    for (auto _ : state) {
        FlowTable table(memory.span());
        for (uint32_t i = 0; i < entries; ++i) table.insert(hashes[i], i);
    }
    cycles.stop(static_cast<double>(state.iterations()) * static_cast<double>(entries));
}
BENCHMARK(flow_insert_growing)->ArgName("entries")->Arg(1'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

void flow_insert_erase(benchmark::State& state) {
    const size_t entries = static_cast<size_t>(state.range(0));
    const std::vector<uint32_t> hashes = make_hashes(entries);
    BenchMemory memory(FlowTable::bytes_for(entries), true);
    FlowTable table(memory.span());
    for (uint32_t i = 0; i < entries; ++i) table.insert(hashes[i], i);
    uint32_t i = 0;
    Cycles cycles(state);
    for (auto _ : state) {
        table.erase(hashes[i], i);
        table.insert(hashes[i], i);
        i = (i + 1) % static_cast<uint32_t>(entries);
    }
    cycles.stop(static_cast<double>(state.iterations()));
}
BENCHMARK(flow_insert_erase)->ArgName("entries")->Arg(1'000)->Arg(1'000'000);

}  // namespace
}  // namespace millrace::store
