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
#include <millrace/tcp_info.h>

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
    show_tcp = 6,          ///< ShowTcp → tcp_shown
    ping = 7,              ///< Ping → pinged, when it has ended
    capture_start = 8,     ///< CaptureStart → capture_started; capture.h
    capture_stop = 9,      ///< CaptureStop → capture_stopped
    // dataplane → control
    connections = 33,      ///< ConnectionsPage + ConnectionRecord × count
    neighbours = 34,       ///< NeighboursPage + NeighbourRecord × count
    stream_opened = 35,    ///< StreamId
    stream_data = 36,      ///< StreamId + bytes
    stream_closed = 37,    ///< StreamClosed
    tcp_shown = 38,        ///< TcpShown
    pinged = 39,           ///< Pinged
    capture_started = 40,  ///< CaptureStarted
    captured = 41,         ///< CapturedFrame + bytes; request_id is the capture's id
    capture_stopped = 42,  ///< CaptureStopped, behind the last frame
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

enum class RelayState : uint8_t {
    reading_head = 0,
    connecting = 1,
    upgrading = 2,
    relaying = 3,
    closing = 4,
    tls_handshake = 5,
};

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

/// Asks for the TCP state of one relay. The search is paged like a listing: ask again with the answer's cursor while
/// that is not 0.
struct ShowTcp {
    uint64_t cursor;  ///< 0 at first
    uint64_t connection_id;
};

enum class TcpSides : uint8_t { none = 0, client = 1, server = 2, both = 3 };

struct TcpShown {
    uint64_t next_cursor;  ///< 0: the search has ended
    TcpSides sides;        ///< those that were found open; the other's fields are zero
    uint8_t found;         ///< 0: not yet, or nowhere
    uint8_t reserved[6];
    ConnectionRecord connection;
    TcpInfo client;
    TcpInfo server;
};
static_assert(sizeof(TcpShown) == 16 + 128 + 2 * 76);

/// One echo request over the data path.
struct Ping {
    IpAddress address;
    uint16_t payload_bytes;  ///< ping_payload_min…ping_payload_max
    uint16_t reserved;
    uint32_t timeout_ms;  ///< 1…10,000
};
static_assert(sizeof(Ping) == 24);

inline constexpr uint16_t ping_payload_min = 8;
inline constexpr uint16_t ping_payload_max = 1472;

enum class PingEnd : uint8_t {
    answered = 0,
    timed_out = 1,
    no_route = 2,      ///< or no address of ours to send from
    no_neighbour = 3,  ///< the next hop did not answer ARP or neighbour discovery
    too_long = 4,      ///< for the interface's MTU
    busy = 5,          ///< too many are under way
};

struct Pinged {
    PingEnd end;
    uint8_t reserved;
    uint16_t interface;  ///< no_slot when no route was found
    uint32_t rtt_us;     ///< of answered
    IpAddress source;    ///< ours; unspecified when there is none
    IpAddress next_hop;  ///< whose link-layer address it went to
};
static_assert(sizeof(Pinged) == 40);

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
    uint8_t tls;           ///< 1: its bytes go in TLS, as that backend's do; opened when the handshake is done
    uint8_t reserved[7];
};
static_assert(sizeof(StreamOpen) == 40);

enum class StreamEnd : uint8_t {
    by_control = 0,
    by_server = 1,  ///< FIN
    reset = 2,
    refused = 3,
    timed_out = 4,
    unreachable = 5,    ///< no route, no neighbour
    no_memory = 6,      ///< a limit of the dataplane, as source ports: says nothing about the server
    tls_handshake = 7,  ///< the handshake failed
};

struct StreamClosed {
    uint64_t id;
    StreamEnd end;
    uint8_t reserved[7];
};
static_assert(sizeof(StreamClosed) == 16);

}  // namespace millrace
