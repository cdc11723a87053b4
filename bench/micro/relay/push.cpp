// What one relayed push of 128 B costs in a whole worker, frames in and frames out but no device, in TSC cycles: the
// server's segment in, the segment out to the client, the client's ACK in, the ACK out to the server (merged or
// delayed, whatever the stack does), with all parsing, checksums, look-ups and timers. Pushes go to all relays in one
// random order after the other, in bursts of 32, `pushes_per_second` in virtual time, so that delayed ACKs come by
// their timers as they would. With TLS (1.3, AES-128-GCM) the client's part is sealed under keys that lie where the
// last push to that client left them. Cycles are means of a batch of bursts, and the median of the batches is reported.
#include <algorithm>
#include <benchmark/benchmark.h>
#include <functional>
#include <numeric>
#include <random>
#include <x86intrin.h>

#include "bench/micro/relay/rig.h"
#include "dataplane/base/stage_clock.h"

namespace millrace::relay {
namespace {

constexpr uint64_t pushes_per_second = 640'000;
constexpr TimeUs burst_us = Rig::burst * us_per_s / pushes_per_second;
constexpr size_t message_bytes = 128;
constexpr size_t bursts_of_a_batch = 512;
constexpr int batches_by_stage = 8;

double median(std::vector<double>& values) {
    const auto middle = values.begin() + static_cast<long>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/// Pushes to all relays in a random order, again and again.
class Pushes {
  public:
    Pushes(uint32_t relays, bool tls) : rig_(relays, tls), order_(relays) {
        rig_.establish(relays);
        std::iota(order_.begin(), order_.end(), 0u);
        std::shuffle(order_.begin(), order_.end(), std::mt19937(1));
    }

    /// A batch of bursts, each followed by the clients' ACKs; `deliver(rig, is_ack)` delivers the one and the other.
    template <typename Deliver>
    void batch(Deliver&& deliver) {
        for (size_t i = 0; i < bursts_of_a_batch; ++i) {
            rig_.make_pushes(std::span(order_).subspan(next_, Rig::burst), message_bytes);
            next_ += Rig::burst;
            if (next_ + Rig::burst > order_.size()) next_ = 0;
            sent_ += Rig::burst;
            for (const bool is_ack : {false, true}) {
                rig_.pass_time(burst_us / 2);
                deliver(rig_, is_ack);
                arrived_ += rig_.answer();
            }
        }
    }
    bool all_arrived() const { return arrived_ == sent_; }

  private:
    Rig rig_;
    std::vector<uint32_t> order_;
    size_t next_ = 0;
    uint64_t sent_ = 0, arrived_ = 0;
};

void relayed_push(benchmark::State& state) {
    Pushes pushes(static_cast<uint32_t>(state.range(0)), state.range(1) != 0);
    constexpr double pushes_of_a_batch = bursts_of_a_batch * Rig::burst;
    std::vector<double> push, ack;
    for (auto _ : state) {
        uint64_t cycles[2] = {};
        pushes.batch([&](Rig& rig, bool is_ack) {
            const uint64_t began = __rdtsc();
            rig.deliver();
            cycles[is_ack] += __rdtsc() - began;
        });
        push.push_back(static_cast<double>(cycles[false]) / pushes_of_a_batch);
        ack.push_back(static_cast<double>(cycles[true]) / pushes_of_a_batch);
    }
    state.counters["push"] = median(push);
    state.counters["client_ack"] = median(ack);
    state.counters["cycles"] = median(push) + median(ack);
    // What these stages take of it; a little too much, since here every one of them reads the clock.
    std::vector<double> timers, copies;
    for (int i = 0; i < batches_by_stage; ++i) {
        StageCycles stages{};
        pushes.batch([&](Rig& rig, bool) {
            stage_clock.end_round(true);
            rig.deliver();
            const StageCycles delivered = stage_clock.end_round(false);
            std::ranges::transform(stages, delivered, stages.begin(), std::plus());
        });
        timers.push_back(static_cast<double>(stages[static_cast<size_t>(Stage::timers)]) / pushes_of_a_batch);
        copies.push_back(static_cast<double>(stages[static_cast<size_t>(Stage::copies)]) / pushes_of_a_batch);
    }
    state.counters["timers"] = median(timers);
    state.counters["copies"] = median(copies);
    if (!pushes.all_arrived()) state.SkipWithError("not every push came through");
}
BENCHMARK(relayed_push)
    ->ArgNames({"relays", "tls"})
    ->ArgsProduct({{1024, 32768, 1u << 20}, {0, 1}})
    ->Iterations(64)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace millrace::relay
