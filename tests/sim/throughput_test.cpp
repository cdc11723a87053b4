// The golden throughput table: goodput of one connection as a share of its link, over impairment × round trip × window,
// in virtual time, so that every change of it is a change of ours. When one is meant, write the table anew and commit
// it with the reason:   MILLRACE_GOLDEN=write build/tests/sim/sim-tcp --gtest_filter='Throughput.*'
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <vector>

#include "tests/sim/two_hosts.h"

namespace millrace::sim {
namespace {

constexpr uint64_t link_bits_per_second = 20'000'000;
constexpr TimeUs measured_seconds = 5;  // from the client's SYN on

struct Impairment {
    const char* name;
    LinkOptions link;
};

const Impairment impairments[] = {
    {"clean", {}},
    {"loss-0.1%", {.loss = 0.001}},
    {"loss-1%", {.loss = 0.01}},
    {"loss-5%", {.loss = 0.05}},
    {"bursts", {.burst = 0.001, .burst_us = 5000}},
    {"reorder-25%", {.reorder = 0.25, .reorder_delay_us = 5000}},
    {"duplicate-1%", {.duplicate = 0.01}},
};
constexpr TimeUs round_trips_ms[] = {2, 20, 100};
constexpr uint32_t windows_kib[] = {64, 256, 1024};

/// Share of the link that one bulk stream gets, 0…1.
double goodput(const LinkOptions& impairment, TimeUs round_trip_ms, uint32_t window_bytes) {
    World world(1);
    world.link = impairment;
    world.link.delay_us = round_trip_ms * 500;
    world.link.bits_per_second = link_bits_per_second;
    world.link.queue_bytes = 64 * 1024;
    for (HostOptions* options : {&world.client_options, &world.server_options}) {
        options->arena_bytes = 8 << 20;
        options->tcp.receive_window_bytes = window_bytes;
        options->receive_buffer_bytes = window_bytes;
        options->send_queue_bytes = window_bytes;
    }
    world.set_sizes(UINT64_MAX, 0);
    world.to_server.write_bytes = 16 * 1024;
    world.start();
    world.network.set_observer({});
    world.run(measured_seconds, [] { return false; });
    world.expect_sound();
    return static_cast<double>(world.server_application->received) * 8 /
           static_cast<double>(measured_seconds * link_bits_per_second);
}

std::string table() {
    std::string text =
        "# Goodput of one bulk connection as a share of its link of 20 Mbit/s (queue 64 KiB), first 5 s, in\n"
        "# virtual time. Regenerate: MILLRACE_GOLDEN=write build/tests/sim/sim-tcp --gtest_filter='Throughput.*'\n"
        "# impairment   rtt_ms   64KiB  256KiB    1MiB   of window\n";
    char cell[64];
    for (const Impairment& impairment : impairments) {
        for (const TimeUs round_trip_ms : round_trips_ms) {
            std::snprintf(cell, sizeof cell, "%-14s %6u", impairment.name, static_cast<unsigned>(round_trip_ms));
            text += cell;
            for (const uint32_t window_kib : windows_kib) {
                std::snprintf(cell, sizeof cell, "  %6.3f", goodput(impairment.link, round_trip_ms, window_kib << 10));
                text += cell;
            }
            text += '\n';
        }
    }
    return text;
}

std::vector<std::string> lines(const std::string& text) {
    std::vector<std::string> all;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) all.push_back(line);
    return all;
}

TEST(Throughput, IsThatOfTheGoldenTable) {
    // A planted fault is to be found by a test that says what is wrong.
    if (std::getenv("MILLRACE_FAULT") != nullptr) return;
    const std::string now = table();
    const char* mode = std::getenv("MILLRACE_GOLDEN");
    if (mode != nullptr && std::string(mode) == "write") {
        std::ofstream(THROUGHPUT_TABLE) << now;
        return;
    }
    std::ostringstream file;
    file << std::ifstream(THROUGHPUT_TABLE).rdbuf();
    const std::vector<std::string> had = lines(file.str()), has = lines(now);
    std::string difference;
    for (size_t i = 0; i < std::max(had.size(), has.size()); ++i) {
        const std::string before = i < had.size() ? had[i] : "", after = i < has.size() ? has[i] : "";
        if (before != after) difference += "- " + before + "\n+ " + after + "\n";
    }
    EXPECT_EQ(difference, "") << "see the head of this test for how to write " THROUGHPUT_TABLE " anew\n" << difference;
}

}  // namespace
}  // namespace millrace::sim
