// A workload: what is sent on the connections, and when. Run (run.h) opens them, asks the workload in every round, and
// waits in the end until everything that is under way has come. One thread; time is an argument.
#pragma once

#include <cstdint>
#include <memory>

#include "load/engine.h"

namespace millrace::load {

class Run;

class Workload {
  public:
    virtual ~Workload() = default;

    /// The connections that the run asked for are open.
    virtual void start(TimeUs) {}
    /// Sends what is due. True when there was something.
    virtual bool poll(TimeUs) { return false; }
    /// More will be sent.
    virtual bool sending(TimeUs now) const = 0;
    /// Messages or sessions that are under way and have to come to an end.
    virtual uint64_t outstanding() const { return 0; }

    virtual void on_upgraded(Ref) {}
    virtual void on_message(Ref, const Message&) {}
    virtual void on_acknowledged(Ref) {}
    /// `phase` is what the connection was in.
    virtual void on_end(Ref, Phase, End) {}
};

/// The workload of the run's settings.
std::unique_ptr<Workload> make_workload(Run& run);

}  // namespace millrace::load
