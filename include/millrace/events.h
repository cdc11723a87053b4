// What the dataplane tells control: the file `events` (each worker writes its own part, control maps it read-only).
// Openings and closings of relays go through a lossy ring: the writer never waits, a reader that falls behind sees a
// gap in the sequence numbers and counts what it missed. Answers to requests go through a message ring that loses
// nothing.
//
//   events:  | EventsHeader | WorkerEvents × worker_count |
#pragma once

#include <atomic>
#include <cstdint>

#include <millrace/address.h>
#include <millrace/limits.h>
#include <millrace/message_ring.h>
#include <millrace/shared_file.h>

namespace millrace {

inline constexpr uint64_t events_magic = 0x31747665'6c6c694dULL;  // "Millevt1"
inline constexpr uint32_t event_slot_count = 8192;                // a power of two
inline constexpr uint32_t reply_ring_bytes = 512u << 10;

enum class RelayEventKind : uint8_t { opened = 1, closed = 2 };

/// Who ended a relay.
enum class Closer : uint8_t { none = 0, client = 1, server = 2, balancer = 3 };

/// Why a relay ended.
enum class CloseReason : uint8_t {
    none = 0,
    fin = 1,  ///< both directions finished in order; the closer sent the first FIN
    reset = 2,
    idle_timeout = 3,
    head_timeout = 4,
    connect_timeout = 5,
    connect_refused = 6,
    upgrade_timeout = 7,
    bad_request = 8,
    bad_response = 9,
    no_server = 10,  ///< every server down, ejected or excluded
    no_source_port = 11,
    no_memory = 12,
    retransmission_timeout = 13,
    error_response = 14,  ///< an answer of the balancer's own, other than those above
    shutdown = 15,
    unreachable = 16,
    body_timeout = 17,  ///< the client's request body stood still
    keepalive_timeout = 18,
    tls_handshake = 19,  ///< it failed
    tls_timeout = 20,    ///< the handshake took too long
    tls_refused = 21,    ///< too many handshakes at once, or no keys of ours
    tls_bad_record = 22,
    tls_alert = 23,      ///< the peer ended the connection by an alert
    tls_truncated = 24,  ///< a FIN without the close_notify that must come before it
    count,
};

/// Lower-case words joined by '_', as they stand above.
const char* name(CloseReason reason);
const char* name(Closer closer);

struct RelayEvent {
    uint64_t sequence;  ///< 1, 2, 3 … per worker
    uint64_t connection_id;
    uint64_t unix_time_us;
    uint64_t duration_us;  ///< closed: since the client connected
    uint64_t bytes_up;
    uint64_t bytes_down;
    IpAddress client;
    IpAddress server;  ///< unspecified when none was chosen
    uint16_t client_port;
    uint16_t server_port;
    uint16_t listener_slot;
    uint16_t server_slot;
    RelayEventKind kind;
    Closer closer;
    CloseReason reason;
    uint8_t reserved;
    uint16_t http_status;  ///< of the answer the client got; 0 in tcp mode or when none was sent
    uint8_t reserved1[18];
};
static_assert(sizeof(RelayEvent) == 112);

/// One slot; `stamp` is the event's sequence number once the event is whole. A reader copies, then checks that the
/// stamp before and after equals the sequence it wanted.
struct EventSlot {
    std::atomic<uint64_t> stamp;
    uint64_t reserved;
    RelayEvent event;
};
static_assert(sizeof(EventSlot) == 128);

struct WorkerEvents {
    RingPosition event_sequence;        ///< sequence number of the newest event; 0 before the first
    RingPosition reply_produced;        ///< of the reply ring below
    RingPosition request_consumed;      ///< the worker's position in control's request ring
    EventSlot slots[event_slot_count];  ///< sequence n stands in slot n mod event_slot_count
    std::byte replies[reply_ring_bytes];
};

struct EventsHeader {
    SharedFileHeader header;
    uint32_t worker_count;
    uint32_t reserved[7];
};
static_assert(sizeof(EventsHeader) == 64);

/// The part of worker `index` of a joined or created events file.
inline WorkerEvents* worker_events(std::byte* file, uint32_t index) {
    return reinterpret_cast<WorkerEvents*>(file + sizeof(EventsHeader)) + index;
}
inline constexpr uint64_t events_file_bytes(uint32_t worker_count) {
    return sizeof(EventsHeader) + uint64_t{worker_count} * sizeof(WorkerEvents);
}

}  // namespace millrace
