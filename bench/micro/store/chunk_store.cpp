// Allocating and freeing chunks: one at a time (the hot edge), and in random order with many held.
#include "dataplane/store/chunk_store.h"

#include "bench_memory.h"

namespace millrace::store {
namespace {

void chunk_allocate_free(benchmark::State& state) {
    BenchMemory memory(size_t{64} << 20, true);
    ChunkStore store = ChunkStore::format(memory.span());
    Cycles cycles(state);
    for (auto _ : state) {
        const ChunkId id = store.allocate(static_cast<uint32_t>(state.range(0)));
        benchmark::DoNotOptimize(id);
        store.free(id);
    }
    cycles.stop(static_cast<double>(state.iterations()));
}
BENCHMARK(chunk_allocate_free)->ArgName("payload")->Arg(100)->Arg(1400)->Arg(16000);

// Each step frees a random one of `held` chunks and allocates another, so that most touches are cold.
void chunk_churn(benchmark::State& state) {
    const uint32_t held = static_cast<uint32_t>(state.range(0));
    BenchMemory memory(size_t{1} << 30, true);
    ChunkStore store = ChunkStore::format(memory.span());
    Random32 random(5);
    std::vector<ChunkId> ids(held);
    for (ChunkId& id : ids) id = store.allocate(1 + random() % 500);
    Cycles cycles(state);
    for (auto _ : state) {
        const uint32_t drawn = random();
        ChunkId& id = ids[drawn % held];
        store.free(id);
        id = store.allocate(1 + (drawn >> 20) % 500);
    }
    cycles.stop(static_cast<double>(state.iterations()));
    state.counters["slab/used"] =
        static_cast<double>(store.bytes_of_slabs()) / static_cast<double>(store.bytes_in_use());
}
BENCHMARK(chunk_churn)->ArgName("held")->Arg(1'000)->Arg(1'000'000);

}  // namespace
}  // namespace millrace::store
