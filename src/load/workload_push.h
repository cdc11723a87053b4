// The workloads in which the servers send: `push` (an open loop at a rate: each push is measured from the moment at
// which it was to be sent, so that a balancer that falls behind can't hide it) and `bell` (one push to every connection
// at one moment). Connections are taken in random orders of all of them, each once in an order.
#pragma once

#include <optional>

#include "load/permutation.h"
#include "load/run.h"

namespace millrace::load {

/// Chooses whom to push to.
class PushOrder {
  public:
    /// Over the server's ends that are there now, or `subset` of them (0: all).
    PushOrder(Run& run, uint32_t subset);

    uint32_t size() const { return size_; }
    /// Whose turn it is.
    Ref current() const { return at(at_); }
    /// It is there, and takes pushes.
    bool takes_pushes(Ref ref) const;
    /// Goes on to the next one; behind the last one a new order begins.
    void advance();

  private:
    Ref at(uint32_t place) const { return Ref::of(Role::server, all_[order_[place]]); }

    Run& run_;
    Permutation all_;
    uint32_t size_;
    Permutation order_;
    uint32_t at_ = 0;
};

class Push final : public Workload {
  public:
    explicit Push(Run& run) : run_(run) {}

    void start(TimeUs now) override;
    bool poll(TimeUs now) override;
    bool sending(TimeUs now) const override;
    uint64_t outstanding() const override;
    void on_message(Ref ref, const Message& message) override;

  private:
    std::optional<TimeUs> next_due(TimeUs now) const;

    Run& run_;
    std::optional<PushOrder> order_;
    TimeUs began_ = 0, ends_at_ = 0;
    uint64_t planned_ = 0;  // with a rate: all pushes that fall due
    uint64_t pushed_ = 0, arrived_ = 0;
};

class Bell final : public Workload {
  public:
    explicit Bell(Run& run) : run_(run) {}

    void start(TimeUs now) override;
    bool poll(TimeUs now) override;
    bool sending(TimeUs now) const override;
    uint64_t outstanding() const override { return run_.settings().both() ? pushed_ - arrived_ : 0; }
    void on_message(Ref ref, const Message& message) override;

  private:
    Run& run_;
    std::optional<PushOrder> order_;
    TimeUs rung_at_ = 0, ends_at_ = 0;
    uint32_t visited_ = 0;
    uint64_t pushed_ = 0, arrived_ = 0;
};

}  // namespace millrace::load
