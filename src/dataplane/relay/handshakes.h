// Where a worker leaves its handshakes: crypto threads in the dataplane (app/), the same code stepped
// inline in the simulator. The engine hands bytes over and finds answers later; no call waits. Used by the worker's
// thread alone.
//
//   open ─ put ─ submit ──►  …  ──► poll ─ answer ─ put ─ submit …  close
//
// A handshake of our own with a server begins with a step that has no input. When it is done and the server's session
// ticket is still to come, the seat may stay: it is shown the records that the server sends next (put, submit), for a
// later handshake to resume, and says when it has seen enough.
//
// Between submit() and the poll() that brings it back a seat belongs to the other side: only close() is allowed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <millrace/address.h>

#include "tls/record/slot.h"
#include "tls/record/tally.h"

namespace millrace::relay {

/// Bytes of the peer that one step takes, and that may wait for the next one.
inline constexpr size_t handshake_step_bytes = 4096;
inline constexpr uint32_t handshake_bytes_held_max = 8192;
inline constexpr size_t subject_bytes_max = 1024;  ///< of a client's certificate that is told to servers

/// Whom a handshake of our own is with.
struct ServerPeer {
    uint16_t backend_slot;  ///< tells by what it is verified
    uint16_t server_slot;   ///< whose sessions may be resumed
    const IpAddress& address;
};

class Handshakes {
  public:
    virtual ~Handshakes() = default;

    enum class State : uint8_t { under_way, done, failed };
    /// What a step has brought. Valid until submit() or close().
    struct Answer {
        State state;
        std::span<const uint8_t> output;    ///< to send, whatever the state
        const tls::Slot& slot;              ///< of a handshake that is done
        std::span<const uint8_t> leftover;  ///< likewise: what came behind it, not opened yet
        bool resumed;
        std::string_view subject = {};  ///< likewise: of the client's certificate (RFC 2253), or empty
        bool ticket_wanted = false;     ///< a server's ticket is waited for
        bool own_fault = false;         ///< of one that failed: for want of keys of ours
    };

    /// What crypto threads do and have to do, as far as this worker reports it.
    struct Load {
        uint32_t waiting;  ///< steps of its own handshakes
        uint64_t steps, busy_us, wait_us;
        tls::Tallies<uint64_t> tallies;
    };

    /// Handshakes that can be in flight at once; seats are numbered from 0.
    virtual uint16_t seat_count() const = 0;
    /// A seat for a handshake with the certificates of a listener. Nothing while all are taken.
    virtual std::optional<uint16_t> open(uint16_t listener_slot) = 0;
    /// Likewise for a handshake with a server.
    virtual std::optional<uint16_t> open_to(const ServerPeer& peer) = 0;
    /// Adds bytes of the peer to the next step's input; returns how many had room.
    virtual size_t put(uint16_t seat, std::span<const uint8_t> bytes) = 0;
    virtual void submit(uint16_t seat) = 0;
    /// A seat that has come back, or nothing.
    virtual std::optional<uint16_t> poll() = 0;
    virtual Answer answer(uint16_t seat) const = 0;
    /// Ends the handshake, whoever has the seat.
    virtual void close(uint16_t seat) = 0;
    virtual Load load() const = 0;
};

}  // namespace millrace::relay
