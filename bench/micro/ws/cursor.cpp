// What the frame cursor adds to a relayed segment: one small push per segment, and a full segment of small pushes.
// Reports TSC cycles per segment beside the time.
#include "dataplane/ws/cursor.h"

#include <benchmark/benchmark.h>
#include <vector>
#include <x86intrin.h>

namespace millrace::ws {
namespace {

void push_segments(benchmark::State& state) {
    const size_t payload = static_cast<size_t>(state.range(0)), frames = static_cast<size_t>(state.range(1));
    std::vector<uint8_t> segment;
    for (size_t i = 0; i < frames; ++i) {
        uint8_t header[frame_header_bytes_max];
        const size_t size = write_frame_header(Opcode::binary, true, payload, nullptr, header);
        segment.insert(segment.end(), header, header + size);
        segment.resize(segment.size() + payload);
    }
    FrameCursor cursor;
    const uint64_t start = __rdtsc();
    for (auto _ : state) {
        cursor.advance(segment);
        benchmark::DoNotOptimize(cursor);
    }
    state.counters["cycles"] = static_cast<double>(__rdtsc() - start) / static_cast<double>(state.iterations());
}
BENCHMARK(push_segments)->ArgNames({"payload", "frames"})->Args({128, 1})->Args({256, 1})->Args({128, 10});

}  // namespace
}  // namespace millrace::ws
