// What a process leaves behind when it is ended at any instruction: an act on a slot runs one instruction at a time
// (the processor's trap flag, x86-64), and whenever the slot or the record has changed both are kept.
#pragma once

#include <array>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <ucontext.h>
#include <vector>

#include "tls/record/slot.h"

namespace millrace::tls {

inline constexpr size_t watched_bytes = 6;

struct Moment {
    Slot slot;
    std::array<uint8_t, watched_bytes> record;  ///< the first bytes of the watched place
};

class Stepper {
  public:
    /// Everything that is there between the instructions of `act`, in order, from before the first to behind the last.
    template <typename Act>
    static std::vector<Moment> moments(const Slot& slot, const uint8_t* record, Act&& act) {
        static_assert(sizeof(greg_t) == 8, "the trap flag of an x86-64");
        watch() = {.slot = &slot, .record = record, .moments = std::vector<Moment>(moments_max)};
        look();
        struct sigaction action {
        }, before{};
        action.sa_sigaction = on_step;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGTRAP, &action, &before);
        watch().on = true;
        asm volatile("int3" ::: "memory");  // the first trap; its handler asks for those that follow
        act();
        asm volatile("" ::: "memory");
        watch().on = false;
        sigaction(SIGTRAP, &before, nullptr);
        look();
        EXPECT_LT(watch().count, moments_max);
        EXPECT_GT(watch().steps, 100u) << "no instruction was trapped";
        watch().moments.resize(watch().count);
        return std::move(watch().moments);
    }

  private:
    static constexpr size_t moments_max = 1024;
    static constexpr greg_t trap_flag = 0x100;

    struct Watch {
        const Slot* slot = nullptr;
        const uint8_t* record = nullptr;
        std::vector<Moment> moments = {};
        size_t count = 0, steps = 0;
        volatile bool on = false;
    };

    static Watch& watch() {
        static Watch one;
        return one;
    }
    static void look() {
        Watch& w = watch();
        ++w.steps;
        const Moment* last = w.count == 0 ? nullptr : &w.moments[w.count - 1];
        const bool same = last != nullptr && std::memcmp(&last->slot, w.slot, sizeof(Slot)) == 0 &&
                          std::memcmp(last->record.data(), w.record, watched_bytes) == 0;
        if (same || w.count == moments_max) return;
        std::memcpy(&w.moments[w.count].slot, w.slot, sizeof(Slot));
        std::memcpy(w.moments[w.count].record.data(), w.record, watched_bytes);
        ++w.count;
    }
    static void on_step(int, siginfo_t*, void* context) {
        greg_t& flags = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL];
        flags = watch().on ? flags | trap_flag : flags & ~trap_flag;
        if (watch().on) look();
    }
};

}  // namespace millrace::tls
