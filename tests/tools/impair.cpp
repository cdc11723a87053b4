// impair: an Ethernet bridge between two interfaces of this namespace that treats TCP badly, for kernels without netem.
// Both directions alike, each with a thread of its own, until SIGTERM; then one JSON object with the counters of each
// direction. Says "ready" when it carries frames. The peers of both interfaces must not leave segmentation or checksums
// to the device: ethtool -K IFACE tx off tso off gso off gro off.

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iterator>
#include <sys/prctl.h>
#include <thread>

#include "impair_path.h"

namespace {

std::atomic<bool> stop = false;

void print(const char* name, const impair::Counters& counters) {
    const std::pair<const char*, uint64_t> fields[] = {{"frames_in", counters.frames_in},
                                                       {"segments_in", counters.segments_in},
                                                       {"frames_out", counters.frames_out},
                                                       {"bytes_out", counters.bytes_out},
                                                       {"lost", counters.lost},
                                                       {"lost_in_bursts", counters.lost_in_bursts},
                                                       {"queue_drops", counters.queue_drops},
                                                       {"duplicated", counters.duplicated},
                                                       {"corrupted", counters.corrupted},
                                                       {"reordered", counters.reordered},
                                                       {"oversized", counters.oversized},
                                                       {"wrong_vlan", counters.wrong_vlan},
                                                       {"missed", counters.missed},
                                                       {"send_refused", counters.send_refused},
                                                       {"late_us_max", counters.late_us_max}};
    std::printf("\"%s\": {", name);
    for (const auto& field : fields)
        std::printf("%s\"%s\": %llu", &field == std::begin(fields) ? "" : ", ", field.first,
                    static_cast<unsigned long long>(field.second));
    std::printf("}");
}

}  // namespace

int main(int argc, char** argv) {
    std::string a, b;
    impair::Settings settings;
    double delay_ms = 0, jitter_ms = 0, reorder_ms = 2, megabits = 0;
    uint64_t queue_kib = settings.queue_bytes >> 10;

    CLI::App app("Bridge between two interfaces that loses, repeats, reorders, damages, delays and slows TCP segments");
    const CLI::Range probability(0.0, 1.0);
    app.add_option("a", a, "an interface")->required();
    app.add_option("b", b, "the other")->required();
    app.add_option("--seed", settings.seed, "of all that is random");
    app.add_option("--loss", settings.loss, "share of segments lost, 0 to 1")->check(probability);
    app.add_option("--burst", settings.burst, "chance that a burst of losses begins with a segment")
        ->check(probability);
    app.add_option("--burst-length", settings.burst_length, "mean segments of a burst")->check(CLI::Range(1.0, 1e6));
    app.add_option("--duplicate", settings.duplicate, "share of segments that arrive twice")->check(probability);
    app.add_option("--corrupt", settings.corrupt, "share of segments with one bit flipped")->check(probability);
    app.add_option("--reorder", settings.reorder, "share of segments held back")->check(probability);
    app.add_option("--reorder-ms", reorder_ms, "at most, of those")->check(CLI::NonNegativeNumber);
    app.add_option("--delay-ms", delay_ms, "one way")->check(CLI::NonNegativeNumber);
    app.add_option("--jitter-ms", jitter_ms, "at most, on top")->check(CLI::NonNegativeNumber);
    app.add_option("--mbit", megabits, "rate of each direction; 0: unlimited")->check(CLI::NonNegativeNumber);
    app.add_option("--queue-kib", queue_kib, "that wait before a limited line");
    uint16_t vlan = 0;
    app.add_option("--vlan", vlan, "802.1Q tag of every frame on b, which a knows nothing of")
        ->check(CLI::Range(1, 4094));
    CLI11_PARSE(app, argc, argv);
    settings.delay_us = static_cast<uint64_t>(delay_ms * 1000);
    settings.jitter_us = static_cast<uint64_t>(jitter_ms * 1000);
    settings.reorder_us = static_cast<uint64_t>(reorder_ms * 1000);
    settings.bits_per_second = static_cast<uint64_t>(megabits * 1e6);
    settings.queue_bytes = queue_kib << 10;

    std::signal(SIGTERM, [](int) { stop = true; });
    std::signal(SIGINT, [](int) { stop = true; });
    prctl(PR_SET_TIMERSLACK, 1000);  // threads inherit it: departures keep their time within microseconds
    try {
        impair::Settings tagging = settings, untagging = settings;
        tagging.vlan_out = untagging.vlan_in = vlan;
        impair::Path forth(tagging, a, b, 0), back(untagging, b, a, 1);
        std::puts("ready");
        std::fflush(stdout);
        std::thread other([&] { back.run(stop); });
        forth.run(stop);
        other.join();
        std::printf("{");
        print("a_to_b", forth.counters());
        std::printf(", ");
        print("b_to_a", back.counters());
        std::printf("}\n");
    } catch (const std::exception& error) {
        std::fprintf(stderr, "impair: %s\n", error.what());
        return 2;
    }
    return 0;
}
