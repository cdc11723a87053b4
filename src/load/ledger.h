// The account of all messages: what was sent, what came, and everything that was not as it should be. TCP and a relay
// that does nothing but pass bytes on must keep every message of a connection, in order, once and unchanged. One
// thread. Grows on the heap only with faults, up to a bound.
#pragma once

#include <cstdint>
#include <unordered_set>

#include "load/connection.h"
#include "load/message.h"

namespace millrace::load {

struct MessageCounts {
    uint64_t sent = 0;
    uint64_t received = 0;  ///< whole and unchanged ones
    uint64_t lost = 0;
    uint64_t duplicated = 0;
    uint64_t reordered = 0;
    uint64_t corrupted = 0;
    uint64_t crossed = 0;  ///< another connection's
    uint64_t bytes = 0;    ///< of the payload received

    bool faultless() const { return lost + duplicated + reordered + corrupted + crossed == 0; }
};

class Ledger {
  public:
    void note_sent() { ++counts_.sent; }
    void note_corrupted() { ++counts_.corrupted; }

    /// A sound message came to this end. True when it is one that was expected, late ones included.
    bool note_received(Connection& connection, Role role, const Message& message);

    /// What never came, found out at the end.
    void note_lost(uint64_t messages) { counts_.lost += messages; }

    const MessageCounts& counts() const { return counts_; }

  private:
    static constexpr size_t missing_max = 1'000'000;

    static uint64_t name(Role role, uint32_t id, uint32_t sequence) {
        return mix(uint64_t{id} << 32 | sequence) ^ static_cast<uint64_t>(role);
    }

    MessageCounts counts_;
    std::unordered_set<uint64_t> missing_;  // counted as lost, and may still come late
};

}  // namespace millrace::load
