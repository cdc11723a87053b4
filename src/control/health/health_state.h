// What a server's probe verdicts in a row mean: the state machine behind the probe part of its state.
//
//                 pass                         rise passes
//   unknown ───────────────▶ up  ◀──────────────────────────── down
//      │                      │                                  ▲
//      │  fall failures       │  fall failures                   │
//      └──────────────────────┴──────────────────────────────────┘
//
// An unknown server is used until the first verdict; one pass confirms it, so that a start does not wait for `rise`
// intervals. A pass clears the failures counted and a failure the passes.
#pragma once

#include <cstdint>

#include <millrace/commands.h>

namespace millrace::control {

class HealthState {
  public:
    explicit HealthState(ProbeState state = ProbeState::unknown) : state_(state) {}

    ProbeState state() const { return state_; }

    /// Counts one verdict. True when the state changed. `rise` and `fall` are at least 1.
    bool take(bool pass, uint32_t rise, uint32_t fall) {
        in_a_row_ = pass == last_passed_ ? in_a_row_ + 1 : 1;
        last_passed_ = pass;
        const ProbeState before = state_;
        if (pass && (state_ == ProbeState::unknown || in_a_row_ >= rise)) state_ = ProbeState::up;
        if (!pass && in_a_row_ >= fall) state_ = ProbeState::down;
        return state_ != before;
    }

  private:
    ProbeState state_;
    bool last_passed_ = false;
    uint32_t in_a_row_ = 0;
};

}  // namespace millrace::control
