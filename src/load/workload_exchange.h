// The workloads in which the clients ask: `idle` (hold, then prove every connection alive by one exchange) and `echo`
// (a closed loop of so many exchanges at once on each connection).
#pragma once

#include "load/run.h"

namespace millrace::load {

class Idle final : public Workload {
  public:
    explicit Idle(Run& run) : run_(run) {}

    void start(TimeUs now) override;
    bool poll(TimeUs now) override;
    bool sending(TimeUs now) const override;
    uint64_t outstanding() const override { return asked_ - answered_; }
    void on_message(Ref ref, const Message& message) override;
    void on_end(Ref ref, Phase phase, End end) override;

  private:
    static constexpr uint64_t outstanding_max = 1024;

    bool holding(TimeUs now) const { return now < hold_until_ && !run_.hold_ended(); }

    Run& run_;
    TimeUs hold_until_ = 0;
    uint32_t at_ = 0;  // the next record to prove
    uint64_t asked_ = 0, answered_ = 0;
};

class Echo final : public Workload {
  public:
    explicit Echo(Run& run) : run_(run) {}

    void start(TimeUs now) override;
    bool poll(TimeUs now) override;
    bool sending(TimeUs now) const override { return now < ends_at_; }
    uint64_t outstanding() const override { return asked_ - answered_; }
    void on_message(Ref ref, const Message& message) override;

  private:
    bool ask(Ref ref, TimeUs now);

    Run& run_;
    TimeUs ends_at_ = 0;
    uint32_t at_ = 0;     // the next record whose loop begins
    uint32_t begun_ = 0;  // exchanges begun on it
    uint64_t asked_ = 0, answered_ = 0;
};

/// A server's end alone: answers by itself until its clients have been gone for a while.
class Serve final : public Workload {
  public:
    explicit Serve(Run& run) : run_(run) {}

    void start(TimeUs now) override { seen_at_ = now; }
    bool poll(TimeUs now) override;
    bool sending(TimeUs now) const override { return now - seen_at_ < 2 * us_per_s; }

  private:
    Run& run_;
    TimeUs seen_at_ = 0;
};

}  // namespace millrace::load
