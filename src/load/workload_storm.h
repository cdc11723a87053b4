// `storm`: connections that are opened, upgraded and closed again, by FIN or by RST, at a rate or as fast as it goes,
// with a bounded number of them at once. `mix`: idle connections that are pushed to, with a storm beside them.
#pragma once

#include "load/workload_push.h"

namespace millrace::load {

class Storm final : public Workload {
  public:
    /// `rate`: sessions a second, 0: as fast as it goes; `at_once`: sessions that may be under way.
    Storm(Run& run, double rate, uint32_t at_once) : run_(run), rate_(rate), at_once_(at_once) {}

    void start(TimeUs now) override;
    bool poll(TimeUs now) override;
    bool sending(TimeUs now) const override { return now < ends_at_; }
    uint64_t outstanding() const override { return live_; }
    void on_upgraded(Ref ref) override;
    void on_end(Ref ref, Phase phase, End end) override;

  private:
    bool awaits_session(TimeUs now) const;

    Run& run_;
    double rate_;
    uint64_t at_once_;
    TimeUs began_ = 0, ends_at_ = 0;
    uint64_t opened_ = 0, live_ = 0;
};

class Mix final : public Workload {
  public:
    explicit Mix(Run& run);

    void start(TimeUs now) override;
    bool poll(TimeUs now) override;
    bool sending(TimeUs now) const override { return push_.sending(now) || storm_.sending(now); }
    uint64_t outstanding() const override { return push_.outstanding() + storm_.outstanding(); }
    void on_upgraded(Ref ref) override;
    void on_message(Ref ref, const Message& message) override { push_.on_message(ref, message); }
    void on_end(Ref ref, Phase phase, End end) override;

  private:
    Run& run_;
    Push push_;
    Storm storm_;
};

}  // namespace millrace::load
