// `bulk`: large messages both ways on every connection, as fast as TCP takes them: each end keeps --depth messages in
// its send queue.
#pragma once

#include "load/run.h"

namespace millrace::load {

class Bulk final : public Workload {
  public:
    explicit Bulk(Run& run) : run_(run) {}

    void start(TimeUs now) override;
    bool poll(TimeUs now) override;
    bool sending(TimeUs now) const override { return now < ends_at_; }
    uint64_t outstanding() const override;
    void on_message(Ref ref, const Message& message) override;
    void on_acknowledged(Ref ref) override;

  private:
    void fill(Ref ref);

    Run& run_;
    TimeUs ends_at_ = 0;
    uint32_t at_[2] = {0, 0};  // the next record of each role whose stream begins
    uint64_t sent_ = 0, arrived_ = 0;
};

}  // namespace millrace::load
