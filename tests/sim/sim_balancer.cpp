// Runs seeds of the relay simulation: sim-balancer --seeds N [--seed FIRST]. Prints each failure with its seed and ends
// with a line of totals; exit code 1 when a seed failed. A failure is reproduced by --seeds 1 --seed S, and --trace 1
// prints every segment of it.
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/sim/hostile_world.h"
#include "tests/sim/relay_world.h"

namespace {

constexpr millrace::TimeUs moves_us = 20'000;  // in the worlds of every fifth seed

[[noreturn]] void usage() {
    std::fprintf(stderr, "usage: sim-balancer --seeds N [--seed FIRST] [--trace 1]\n");
    std::exit(2);
}

uint64_t number(const char* text) {
    char* end = nullptr;
    const uint64_t value = text == nullptr ? 0 : std::strtoull(text, &end, 10);
    if (text == nullptr || *text == '\0' || *end != '\0') usage();
    return value;
}

void print(const millrace::sim::RelayTotals& totals, double seconds) {
    const millrace::sim::NetworkTotals& net = totals.network;
    std::printf("%" PRIu64 " seeds, %" PRIu64 " connections, %" PRIu64 " bytes up, %" PRIu64 " down; packets: %" PRIu64
                " sent, %" PRIu64 " lost, %" PRIu64 " in bursts, %" PRIu64 " while a link was down, %" PRIu64
                " by full queues, %" PRIu64 " reordered, %" PRIu64 " duplicated, %" PRIu64 " corrupted; %" PRIu64
                " moves of shards; %.0f s simulated in %.1f s; %" PRIu64 " failures\n",
                totals.seeds, totals.sessions, totals.bytes_up, totals.bytes_down, net.sent, net.lost,
                net.lost_in_bursts, net.lost_while_down, net.queue_drops, net.reordered, net.duplicated, net.corrupted,
                totals.moved.shards, static_cast<double>(totals.virtual_us) / 1e6, seconds, totals.failures);
}

}  // namespace

int main(int argc, char** argv) {
    uint64_t seeds = 0, first = 1, trace = 0;
    for (int i = 1; i < argc; i += 2) {
        if (std::strcmp(argv[i], "--seeds") == 0)
            seeds = number(argv[i + 1]);
        else if (std::strcmp(argv[i], "--seed") == 0)
            first = number(argv[i + 1]);
        else if (std::strcmp(argv[i], "--trace") == 0)
            trace = number(argv[i + 1]);
        else
            usage();
    }
    if (seeds == 0) usage();
    const auto began = std::chrono::steady_clock::now();
    millrace::sim::RelayTotals totals;
    millrace::sim::HostileTotals hostile;
    for (uint64_t seed = first; seed < first + seeds; ++seed) {
        millrace::sim::RelayWorld world(seed, seed % 5 == 0 ? moves_us : 0);
        if (trace != 0) world.trace();
        const std::string failure = world.run();
        world.add_to(totals);
        millrace::sim::HostileWorld among_hostile(seed);
        if (trace != 0) among_hostile.trace();
        const std::string broken = among_hostile.run();
        among_hostile.add_to(hostile);
        if (!broken.empty()) std::printf("seed %" PRIu64 ", hostile peers: %s\n", seed, broken.c_str());
        if (failure.empty()) continue;
        std::printf("seed %" PRIu64 ": %s\n", seed, failure.c_str());
        std::fflush(stdout);
    }
    print(totals, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    std::printf("%" PRIu64 " hostile peers, %" PRIu64 " acts, %" PRIu64 " bytes up, %" PRIu64 " down; %" PRIu64
                " failures\n",
                hostile.peers, hostile.actions, hostile.bytes_up, hostile.bytes_down, hostile.failures);
    return totals.failures + hostile.failures == 0 ? 0 : 1;
}
