// What choosing a server costs, per algorithm and number of servers (all eligible, weights 1…10), and what building a
// Maglev table of 65,537 entries costs. Reports TSC cycles per choice beside the time.
#include <benchmark/benchmark.h>
#include <vector>
#include <x86intrin.h>

#include "dataplane/balance/picker.h"

namespace millrace::balance {
namespace {

constexpr size_t maglev_size = 65537;

std::vector<Server> make_servers(size_t count) {
    std::vector<Server> servers;
    for (size_t i = 0; i < count; ++i)
        servers.push_back({.slot = static_cast<uint16_t>(i),
                           .weight = static_cast<uint16_t>(1 + i % 10),
                           .usable = true,
                           .open = static_cast<uint32_t>(i * 37 % 100)});
    return servers;
}

std::vector<MaglevServer> maglev_servers(const std::vector<Server>& servers) {
    std::vector<MaglevServer> list;
    for (const Server& server : servers) list.push_back({.identity = mix(1, server.slot), .weight = server.weight});
    return list;
}

void pick_server(benchmark::State& state, Algorithm algorithm) {
    const auto servers = make_servers(static_cast<size_t>(state.range(0)));
    std::vector<int32_t> credits(servers.size());
    std::vector<uint16_t> table(maglev_size);
    maglev_build(maglev_servers(servers), table);
    const Pool pool{.servers = servers, .credits = credits, .maglev_table = table};
    uint64_t n = 0;
    const uint64_t start = __rdtsc();
    for (auto _ : state) {
        ++n;
        auto slot = pick(algorithm, pool, {.hash = mix(2, n), .random = mix(3, n), .excluded = {}});
        benchmark::DoNotOptimize(slot);
    }
    state.counters["cycles"] = static_cast<double>(__rdtsc() - start) / static_cast<double>(state.iterations());
}

void build_maglev(benchmark::State& state) {
    const auto servers = maglev_servers(make_servers(static_cast<size_t>(state.range(0))));
    std::vector<uint16_t> table(maglev_size);
    for (auto _ : state) {
        maglev_build(servers, table);
        benchmark::DoNotOptimize(table.data());
    }
}

BENCHMARK_CAPTURE(pick_server, round_robin, Algorithm::round_robin)->Arg(3)->Arg(30)->Arg(300);
BENCHMARK_CAPTURE(pick_server, least_conn, Algorithm::least_conn)->Arg(3)->Arg(30)->Arg(300);
BENCHMARK_CAPTURE(pick_server, maglev, Algorithm::maglev)->Arg(3)->Arg(30)->Arg(300);
BENCHMARK_CAPTURE(pick_server, ip_hash, Algorithm::ip_hash)->Arg(3)->Arg(30)->Arg(300);
BENCHMARK(build_maglev)->Arg(3)->Arg(100)->Arg(1000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace millrace::balance
