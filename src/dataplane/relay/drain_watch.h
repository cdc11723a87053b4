// How fast some of those relays drain that hold much of a shard's chunk memory. A relay record has no room for that, so
// a limited number is watched at a time, each in the place that its index has; the next one gets the place when the
// relay before has been judged. Not a policy: engine_memory.cpp decides whom to watch and who gives way. Belongs to the
// shard's worker; costs nothing but its memory while no memory is short.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/time.h"
#include "dataplane/relay/record.h"

namespace millrace::relay {

class DrainWatch {
  public:
    static constexpr uint32_t places = 1024;

    struct Entry {
        TimeUs since = 0;  ///< 0: nobody is watched here
        uint32_t index = 0;
        uint32_t generation = 0;
        tcp::Seq acknowledged{};  ///< the endpoint's snd_una at that time
        Side side = Side::client;

        /// Bytes a second that the peer has acknowledged on average. `now` is later than `since`.
        uint64_t rate(tcp::Seq acknowledged_now, TimeUs now) const {
            return uint64_t{acknowledged_now - acknowledged} * us_per_s / (now - since);
        }
    };

    DrainWatch() : entries_(places) {}

    /// Watches a side of a relay from now on, unless its place is taken. `now` is not 0.
    void add(const Entry& entry) {
        Entry& place = entries_[entry.index % places];
        if (place.since != 0) return;
        place = entry;
        watching_ = true;
    }

    /// All places. Who is not to be watched any more gets `since` 0.
    std::span<Entry> entries() { return watching_ ? std::span(entries_) : std::span<Entry>{}; }

    void clear() {
        for (Entry& entry : entries()) entry.since = 0;
        watching_ = false;
    }

  private:
    std::vector<Entry> entries_;
    bool watching_ = false;
};

}  // namespace millrace::relay
