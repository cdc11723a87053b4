// The two ends of the lossy ring of relay events (<millrace/events.h>). The writer is a worker and never waits; a
// reader in another process copies what it can and counts what it missed. A reader never trusts the ring: a mad writer
// costs it events, no more than one pass over the slots a call, and nothing else.
//
// Each slot is a seqlock of its own: the writer clears the stamp, writes the words, then stores the stamp; a copy
// counts only when the stamp was the wanted sequence before and after.
#pragma once

#include <cstdint>

#include <millrace/events.h>

namespace millrace {

/// The worker's end. No system call, no allocation.
class EventWriter {
  public:
    EventWriter() = default;
    /// Goes on after the newest event of `events`, which must outlive the writer.
    explicit EventWriter(WorkerEvents* events) : events_(events) {}

    /// Publishes `event` as the next one; its `sequence` is filled in here. Overwrites the oldest when the ring is
    /// full.
    void push(RelayEvent event) noexcept;

  private:
    WorkerEvents* events_ = nullptr;
};

/// The reading end; any number of readers may read one ring.
class EventReader {
  public:
    enum class From { oldest, newest };

    EventReader() = default;
    /// Starts with the oldest event that is still there (those overwritten before do not count as missed), or with the
    /// next one to come. `events` must outlive the reader.
    EventReader(const WorkerEvents* events, From from) noexcept;

    /// Copies the next event. False when there is none now.
    bool next(RelayEvent& event) noexcept;

    /// Events that were overwritten before this reader came to them.
    uint64_t missed() const noexcept { return missed_; }

  private:
    const WorkerEvents* events_ = nullptr;
    uint64_t next_sequence_ = 1;
    uint64_t missed_ = 0;
};

}  // namespace millrace
