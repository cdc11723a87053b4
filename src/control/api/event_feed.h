// Relay events of all workers as JSON objects: a bounded replay of what the rings still hold, and a feed that follows
// them over restarts of the dataplane. Reads the shared rings directly, on an API thread, without a lock.
#pragma once

#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include <millrace/event_ring.h>

#include "control/controller.h"

namespace millrace::control::api {

using Json = nlohmann::ordered_json;

inline constexpr uint32_t event_replay_max = 1000;

class EventFeed {
  public:
    /// Begins with the newest `replay` events that are still there, of all workers, in the order of their times.
    EventFeed(Controller& controller, uint32_t replay);

    /// Appends what is new, at most `max` objects. Lost events appear as {"kind": "missed", "worker", "count"}.
    void next(std::vector<Json>& out, size_t max);

  private:
    void join(std::shared_ptr<const EventsMapping> events, EventReader::From from);

    Controller& controller_;
    std::shared_ptr<const EventsMapping> events_;
    std::vector<EventReader> readers_;
    std::vector<uint64_t> missed_reported_;
    std::deque<Json> replay_;
};

}  // namespace millrace::control::api
