// The relay record: everything that an established relay needs, in 320 bytes of a region, so that it outlives the
// process. One relay joins two connections, the client's and the server's; a stream (what carries control's probes) has
// a server side only. Owned by the worker of its shard; no other thread touches it.
//
//   line 0  generation, state, slots, counters, times, client→server frame cursor
//   line 1  client endpoint, hot          line 2  server endpoint, hot
//   line 3… client endpoint, warm | server endpoint, warm | server→client frame cursor
//
// What only the way to an established relay needs (heads, tries, deadlines) hangs off it in one chunk, Setup, and is
// gone by the time the relay is idle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <millrace/events.h>
#include <millrace/limits.h>

#include "dataplane/balance/server.h"
#include "dataplane/base/time.h"
#include "dataplane/http/accept_key.h"
#include "dataplane/http/body.h"
#include "dataplane/http/request.h"
#include "dataplane/store/chunk_store.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/ws/cursor.h"

namespace millrace::relay {

//   tls_handshake (with TLS only)
//        │
//        ▼
//   reading_head ──► connecting ──► awaiting_response ──► relaying ──► (gone)
//        │               │ ▲ retry        │                  ▲
//        │  tcp mode ────┼─┴──────────────┼──────────────────┘
//        └───────────────┴──► answering ◄─┘      an error of our own: sent, then lingering until the client has closed
//   stream: a connection of control's, server side only
enum class Phase : uint8_t {
    none,  // a record found live after a crash but never filled
    tls_handshake,
    reading_head,
    connecting,
    awaiting_response,
    relaying,
    answering,
    stream,
};

enum RelayFlag : uint8_t {
    flag_ready = 0x01,           ///< stands in the ready queue
    flag_parked = 0x02,          ///< stands in the queue of those one of whose neighbours is unresolved
    flag_client_open = 0x04,     ///< the client's endpoint is in the flow table
    flag_server_open = 0x08,     ///< the server's endpoint is in the flow table
    flag_websocket = 0x10,       ///< a 101 was passed on: the cursors follow frames
    flag_server_counted = 0x20,  ///< counts as open on its server
    flag_drain_sent = 0x40,      ///< idle timeout: both FINs were sent; client_active_ms is when
};

enum class Side : uint8_t { client = 0, server = 1 };
constexpr Side other(Side side) {
    return side == Side::client ? Side::server : Side::client;
}

struct Relay {
    uint32_t generation;    ///< the pool's; odd while live
    uint32_t scheduled_ms;  ///< deadline of its next wheel entry, low 32 bits; 0: none
    Phase phase : 4;
    bool client_tls : 1;  ///< the client's side speaks TLS: it has a TlsEnd (tls_end.h)
    bool server_tls : 1;  ///< likewise the server's
    uint8_t end;          ///< Closer in the high two bits, CloseReason below: set when the end begins
    uint8_t flags;        ///< RelayFlag
    uint8_t overtaken;    ///< slot of a wheel entry farther than scheduled_ms (overtaken.h); 0: none
    uint16_t listener_slot;
    uint16_t server_slot;       ///< no_slot before one was chosen
    store::ChunkId setup;       ///< the Setup chunk, while there is one
    uint32_t client_active_ms;  ///< low 32 bits of when the client last sent or acknowledged something
    uint64_t connection_id;
    uint64_t bytes_up;    ///< payload relayed to the server
    uint64_t bytes_down;  ///< payload relayed to the client
    uint32_t server_active_ms;
    ws::FrameCursor cursor_up;

    tcp::EndpointHot client_hot;
    tcp::EndpointHot server_hot;
    tcp::EndpointWarm client_warm;
    tcp::EndpointWarm server_warm;
    ws::FrameCursor cursor_down;
    uint32_t opened_ms;  ///< low 32 bits of when the client connected; no longer ago than age_ms_max

    tcp::Endpoint endpoint(Side side) {
        return side == Side::client ? tcp::Endpoint{client_hot, client_warm} : tcp::Endpoint{server_hot, server_warm};
    }
    tcp::EndpointHot& hot(Side side) { return side == Side::client ? client_hot : server_hot; }
    /// The sweep holds older relays at the age that 32 bits can tell.
    static constexpr uint32_t age_ms_max = 49u * 24 * 3600 * 1000;
    uint32_t age_ms(TimeUs now) const { return static_cast<uint32_t>(now / us_per_ms) - opened_ms; }
    bool has_tls(Side side) const { return side == Side::client ? client_tls : server_tls; }
    void set_tls(Side side, bool value) {
        if (side == Side::client)
            client_tls = value;
        else
            server_tls = value;
    }
    bool is_open(Side side) const { return has(side == Side::client ? flag_client_open : flag_server_open); }
    bool any_open() const { return (flags & (flag_client_open | flag_server_open)) != 0; }
    bool has(RelayFlag flag) const { return (flags & flag) != 0; }
    void set(RelayFlag flag) { flags = static_cast<uint8_t>(flags | flag); }
    void clear(RelayFlag flag) { flags = static_cast<uint8_t>(flags & ~flag); }

    Closer closer() const { return static_cast<Closer>(end >> 6); }
    CloseReason reason() const { return static_cast<CloseReason>(end & 63); }
    /// The first cause counts; what follows from it doesn't change it.
    void set_end(Closer closer, CloseReason reason) {
        if (end == 0) end = static_cast<uint8_t>(static_cast<uint8_t>(closer) << 6 | static_cast<uint8_t>(reason));
    }
};
static_assert(sizeof(Relay) == 320 && std::is_trivially_copyable_v<Relay> && std::is_standard_layout_v<Relay>);
static_assert(offsetof(Relay, client_hot) == 64 && offsetof(Relay, server_hot) == 128 &&
              offsetof(Relay, client_warm) == 192 && offsetof(Relay, cursor_down) == 304);
static_assert(static_cast<uint8_t>(CloseReason::count) <= 64);

/// State on the way to an established relay, the payload of one chunk. An ordinary HTTP exchange keeps it to its end.
struct Setup {
    TimeUs deadline;          ///< of the present phase
    TimeUs started;           ///< of the present phase: for the histograms
    uint64_t balance_hash;    ///< of the client's address or the configured header
    uint64_t stream_id;       ///< control's, in Phase::stream
    store::ChunkId request;   ///< bytes from the client, from the head's first on
    store::ChunkId response;  ///< likewise from the server
    store::ChunkId subject;   ///< text: of the client's certificate; or no_chunk
    uint32_t request_scanned;
    uint32_t request_head_length;  ///< 0 until the head is complete
    uint32_t response_scanned;
    uint32_t response_head_length;
    uint16_t backend_slot;
    uint16_t http_status;  ///< of the final answer that the client got
    uint8_t retries_left;
    http::RequestKind kind;
    uint8_t body_error;  ///< 1: of the request, 2: of the response: framing that makes no sense
    uint8_t http_1_0;    ///< the request's version
    uint8_t interim_responses;
    uint8_t stream_told;  ///< control knows that its stream has ended
    uint8_t all_taken;    ///< in Phase::answering: the client had acknowledged everything when its deadline came
    http::BodyCursor request_body;
    http::BodyCursor response_body;
    http::AcceptKey accept;
    balance::ExcludedSlots tried;
    uint32_t backend_since;  ///< tells its backend from others that get the slot later
};
static_assert(sizeof(Setup) <= 248 && std::is_trivially_copyable_v<Setup>);

}  // namespace millrace::relay
