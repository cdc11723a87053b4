// What control tells the dataplane while it runs: the file `commands` (control writes, the dataplane maps it read-only
// and checks every field), and the messages of the per-worker rings. Requests go through `commands`, answers come
// through `events`; each file holds the data of the rings that its owner produces and the positions of those it
// consumes.
//
//   commands:  | CommandsHeader | ServerControl × server_slot_max | WorkerCommandRing × worker_max |
//
// A worker reads a server's state when it chooses; nothing needs to be sent. With control dead the last states stay.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <millrace/address.h>
#include <millrace/limits.h>
#include <millrace/message_ring.h>
#include <millrace/shared_file.h>

namespace millrace {

inline constexpr uint64_t commands_magic = 0x31646d63'6c6c694dULL;  // "Millcmd1"
inline constexpr uint32_t command_ring_bytes = 128u << 10;

enum class AdminState : uint8_t { enabled = 0, drain = 1, disabled = 2 };
enum class ProbeState : uint8_t { unknown = 0, up = 1, down = 2 };

/// State of one server slot as control sees it. One 64-bit word, so that a reader never sees half a change.
struct ServerControl {
    static constexpr uint16_t weight_of_snapshot = 0xffff;

    std::atomic<uint64_t> word;

    struct Value {
        AdminState admin = AdminState::enabled;
        ProbeState probe = ProbeState::unknown;
        uint16_t weight = weight_of_snapshot;  ///< an override, or weight_of_snapshot
        uint32_t reset_count = 0;              ///< a change clears the workers' ejections of this server
    };

    static constexpr uint64_t pack(Value v) {
        return uint64_t{static_cast<uint8_t>(v.admin)} | uint64_t{static_cast<uint8_t>(v.probe)} << 8 |
               uint64_t{v.weight} << 16 | uint64_t{v.reset_count} << 32;
    }
    /// Out-of-range states read as the most careful one (disabled, down).
    static constexpr Value unpack(uint64_t word) {
        const uint8_t admin = word & 0xff, probe = word >> 8 & 0xff;
        return {admin > 2 ? AdminState::disabled : static_cast<AdminState>(admin),
                probe > 2 ? ProbeState::down : static_cast<ProbeState>(probe), static_cast<uint16_t>(word >> 16),
                static_cast<uint32_t>(word >> 32)};
    }
};
static_assert(sizeof(ServerControl) == 8);

struct WorkerCommandRing {
    RingPosition produced;        ///< of the requests below
    RingPosition reply_consumed;  ///< control's position in the worker's reply ring
    std::byte data[command_ring_bytes];
};

struct CommandsFile {
    SharedFileHeader header;
    uint8_t reserved[32];
    ServerControl servers[server_slot_max];
    WorkerCommandRing rings[worker_max];
};
static_assert(sizeof(CommandsFile) == 64 + 8 * server_slot_max + worker_max * (128 + command_ring_bytes));

/// What SharedFile::create and join are told of this file: the part before the server states.
inline constexpr uint32_t commands_header_bytes = offsetof(CommandsFile, servers);

enum class MessageType : uint16_t {
    // control → dataplane
    list_connections = 1,  ///< ListConnections → connections (one page)
    list_neighbours = 2,   ///< no payload → neighbours (one page)
    stream_open = 3,       ///< StreamOpen
    stream_send = 4,       ///< StreamId + bytes
    stream_close = 5,      ///< StreamId
    // dataplane → control
    connections = 33,    ///< ConnectionsPage + ConnectionRecord × count
    neighbours = 34,     ///< NeighboursPage + NeighbourRecord × count
    stream_opened = 35,  ///< StreamId
    stream_data = 36,    ///< StreamId + bytes
    stream_closed = 37,  ///< StreamClosed
};

/// Asks for the next page of a worker's live relays. Start with cursor 0; end when the page's next_cursor is 0.
struct ListConnections {
    uint64_t cursor;
    uint16_t limit;          ///< 1…connections_page_max
    uint16_t listener_slot;  ///< no_slot: any
    uint16_t server_slot;    ///< no_slot: any
    uint16_t reserved;
};
static_assert(sizeof(ListConnections) == 16);

enum class RelayState : uint8_t { reading_head = 0, connecting = 1, upgrading = 2, relaying = 3, closing = 4 };

struct ConnectionRecord {
    uint64_t connection_id;
    uint64_t bytes_up;    ///< client to server
    uint64_t bytes_down;  ///< server to client
    uint64_t age_ms;
    IpAddress client;
    IpAddress listener_address;
    IpAddress source;  ///< our address toward the server; unspecified before there is one
    IpAddress server;
    uint16_t client_port;
    uint16_t listener_port;
    uint16_t source_port;
    uint16_t server_port;
    uint16_t listener_slot;
    uint16_t server_slot;  ///< no_slot before a server was chosen
    uint16_t shard;
    RelayState state;
    uint8_t reserved;
    uint32_t client_rtt_us;
    uint32_t server_rtt_us;
    uint32_t idle_ms;  ///< since the last byte of either side
    uint32_t reserved1;
};
static_assert(sizeof(ConnectionRecord) == 128);

inline constexpr uint16_t connections_page_max = 100;

struct ConnectionsPage {
    uint64_t next_cursor;  ///< 0: this was the last page
    uint32_t count;
    uint32_t reserved;
};

enum class NeighbourState : uint8_t { incomplete = 0, reachable = 1, stale = 2 };

struct NeighbourRecord {
    IpAddress address;
    MacAddress mac;
    uint16_t interface;
    NeighbourState state;
    uint8_t reserved[3];
    uint32_t age_ms;  ///< since the last confirmation
};
static_assert(sizeof(NeighbourRecord) == 32);

inline constexpr uint32_t neighbours_page_max = 500;

struct NeighboursPage {
    uint32_t count;
    uint32_t omitted;  ///< neighbours beyond the page
};

/// A stream is one TCP connection of the data path whose bytes control supplies and reads: the carrier of health
/// probes. Control judges; the dataplane only carries. Ids are chosen by control and unique among its live streams.
struct StreamId {
    uint64_t id;
};

struct StreamOpen {
    uint64_t id;
    IpAddress server;
    uint16_t port;
    uint16_t server_slot;  ///< whose backend's source addresses are used
    uint32_t timeout_ms;   ///< after this long the stream is closed by the dataplane whatever its state
};
static_assert(sizeof(StreamOpen) == 32);

enum class StreamEnd : uint8_t {
    by_control = 0,
    by_server = 1,  ///< FIN
    reset = 2,
    refused = 3,
    timed_out = 4,
    unreachable = 5,  ///< no route, no neighbour
    no_memory = 6,    ///< a limit of the dataplane, as source ports: says nothing about the server
};

struct StreamClosed {
    uint64_t id;
    StreamEnd end;
    uint8_t reserved[7];
};
static_assert(sizeof(StreamClosed) == 16);

}  // namespace millrace
