// What the hashes of a packet's four-tuple cost: the RSS hash (Toeplitz) and the flow table's (SipHash-1-3), over
// different tuples, as a stream of packets has them. Reports TSC cycles per hash beside the time.
#include <array>
#include <benchmark/benchmark.h>
#include <random>
#include <vector>
#include <x86intrin.h>

#include "dataplane/base/port_classes.h"
#include "dataplane/base/siphash.h"
#include "dataplane/base/toeplitz.h"

namespace millrace {
namespace {

struct Tuple {
    IpAddress source, destination;
    uint16_t source_port, destination_port;
};

constexpr size_t tuple_count = 256;  // a power of two; fits the first-level cache, so that the hash is measured

std::vector<Tuple> tuples(bool v4) {
    std::mt19937_64 random(1);
    std::vector<Tuple> tuples(tuple_count);
    for (Tuple& tuple : tuples) {
        for (IpAddress* address : {&tuple.source, &tuple.destination}) {
            for (uint8_t& byte : address->bytes) byte = static_cast<uint8_t>(random());
            if (v4) *address = IpAddress::v4(198, 18, address->bytes[0], address->bytes[1]);
        }
        tuple.source_port = static_cast<uint16_t>(random());
        tuple.destination_port = 443;
    }
    return tuples;
}

Toeplitz random_toeplitz() {
    std::mt19937_64 random(2);
    std::array<uint8_t, Toeplitz::key_size> key;
    for (uint8_t& byte : key) byte = static_cast<uint8_t>(random());
    return Toeplitz(key);
}

/// Runs hash(tuple) over all tuples again and again.
template <typename Hash>
void run(benchmark::State& state, bool v4, const Hash& hash) {
    const auto list = tuples(v4);
    size_t i = 0;
    const uint64_t start = __rdtsc();
    for (auto _ : state) {
        const Tuple& t = list[i++ % tuple_count];
        auto value = hash(t);
        benchmark::DoNotOptimize(value);
    }
    state.counters["cycles"] = static_cast<double>(__rdtsc() - start) / static_cast<double>(state.iterations());
}

void toeplitz(benchmark::State& state, bool v4) {
    const Toeplitz hash = random_toeplitz();
    run(state, v4,
        [&](const Tuple& t) { return hash.hash(t.source, t.destination, t.source_port, t.destination_port); });
}

void flow(benchmark::State& state, bool v4) {
    SipKey key{0x0123456789abcdef, 0xfedcba9876543210};
    benchmark::DoNotOptimize(key);
    run(state, v4,
        [&](const Tuple& t) { return flow_hash(key, t.source, t.destination, t.source_port, t.destination_port); });
}

void port_class(benchmark::State& state, bool v4) {
    const Toeplitz hash = random_toeplitz();
    const PortClasses classes(hash, 16, 1024, 65535);
    run(state, v4, [&](const Tuple& t) { return classes.class_for(t.source, t.source_port, t.destination, 3).data(); });
}

void port_classes_build(benchmark::State& state) {
    const Toeplitz hash = random_toeplitz();
    for (auto _ : state) {
        PortClasses classes(hash, 16, 1024, 65535);
        benchmark::DoNotOptimize(classes);
    }
}

BENCHMARK_CAPTURE(toeplitz, v4, true);
BENCHMARK_CAPTURE(toeplitz, v6, false);
BENCHMARK_CAPTURE(flow, v4, true);
BENCHMARK_CAPTURE(flow, v6, false);
BENCHMARK_CAPTURE(port_class, v4, true);
BENCHMARK_CAPTURE(port_class, v6, false);
BENCHMARK(port_classes_build)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace millrace
