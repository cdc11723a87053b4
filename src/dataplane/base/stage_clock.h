// Where the cycles of a polling thread go, by stage. The device's calls are timed in every round; the finer stages in
// one round of many, since to read the clock around each copy would cost more than many a copy: in the other rounds a
// stage is a load and a branch. Stages nest, and each has what no stage inside of it took, and of its two readings of
// the clock about one, some 25 cycles.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <x86intrin.h>

namespace millrace {

enum class Stage : uint8_t {
    other,    ///< what no other stage is: headers, tables, TCP, relaying
    device,   ///< bursts of the device
    buffers,  ///< packet buffers taken from their pool and given back
    timers,   ///< turning the wheel, and what its timers do
    copies,   ///< of payload into chunks and out of them
    count
};

using StageCycles = std::array<uint64_t, static_cast<size_t>(Stage::count)>;

class StageClock {
  public:
    /// Every stage of this round is timed, not only the device's calls.
    bool in_full() const { return in_full_; }

    /// What follows belongs to `stage`; returns the stage that it interrupts, to be entered again.
    Stage enter(Stage stage) {
        const uint64_t now = __rdtsc();
        cycles_[static_cast<size_t>(stage_)] += now - since_;
        since_ = now;
        return std::exchange(stage_, stage);
    }

    /// Ends a round, outside of every stage, and says where its cycles went. What follows belongs to the next one.
    StageCycles end_round(bool next_in_full) {
        enter(Stage::other);
        in_full_ = next_in_full;
        return std::exchange(cycles_, {});
    }

  private:
    uint64_t since_ = 0;
    StageCycles cycles_{};
    Stage stage_ = Stage::other;
    bool in_full_ = false;
};

/// The thread's own.
inline constinit thread_local StageClock stage_clock;

/// The block that it stands in belongs to `stage`.
template <Stage stage>
class StageTime {
  public:
    StageTime() {
        if (timed()) interrupted_ = stage_clock.enter(stage);
    }
    ~StageTime() {
        if (timed()) stage_clock.enter(interrupted_);
    }
    StageTime(const StageTime&) = delete;
    StageTime& operator=(const StageTime&) = delete;

  private:
    static bool timed() { return stage == Stage::device || stage_clock.in_full(); }

    Stage interrupted_ = Stage::other;
};

}  // namespace millrace
