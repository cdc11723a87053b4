// Where the cycles of a polling loop go, counted around useful work: a round that found nothing to do is idle, whatever
// it looked at; one that did something is told apart by stage (base/stage_clock.h). For the loop of the thread that
// calls it, and one in a thread.
#pragma once

#include <cstdint>
#include <numeric>

#include "dataplane/base/stage_clock.h"

namespace millrace::port {

class CycleMeter {
  public:
    /// Rounds to one that is timed in full, whose cycles stand for those of all.
    static constexpr uint32_t sampled = 64;

    /// Begins the first round.
    void start() { stage_clock.end_round(false); }

    /// Ends a round; what follows belongs to the next one.
    void end_round(bool busy) {
        const bool in_full = stage_clock.in_full();
        const StageCycles round = stage_clock.end_round(++rounds_ % sampled == 0);
        const uint64_t all = std::accumulate(round.begin(), round.end(), uint64_t{0});
        if (!busy) {
            idle_ += all;
            return;
        }
        const uint64_t device = round[static_cast<size_t>(Stage::device)];
        device_ += device;
        busy_ += all - device;
        if (!in_full) return;
        for (size_t i = 0; i < round.size(); ++i) stages_[i] += sampled * round[i];
    }

    uint64_t busy() const { return busy_; }      ///< without the device's calls
    uint64_t device() const { return device_; }  ///< its calls, in rounds that did something
    uint64_t idle() const { return idle_; }

    /// One of the finer stages, in rounds that did something: an estimate from those that were timed in full.
    uint64_t stage(Stage stage) const { return stages_[static_cast<size_t>(stage)]; }

  private:
    uint32_t rounds_ = 0;
    uint64_t busy_ = 0, device_ = 0, idle_ = 0;
    StageCycles stages_{};
};

}  // namespace millrace::port
