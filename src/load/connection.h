// One end of a connection of the load generator: TCP's 120 bytes and 24 of our own. Nothing else belongs to an idle
// one but its flow table entry: no heap, no chunk, no timer entry. Lies in the pool of its role (tables.h).
//
//   client:  connecting ──SYN-ACK──► upgrading ──101──► open ──close()──► closing      server: begins in upgrading
//                 └─► tls_handshake ──┘ with TLS
#pragma once

#include <cstdint>
#include <type_traits>

#include "dataplane/store/chunk_store.h"
#include "dataplane/store/flow_table.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::load {

enum class Role : uint8_t { client, server };

enum class Phase : uint8_t { none, connecting, tls_handshake, upgrading, open, closing };

enum ConnectionFlag : uint8_t {
    flag_ready = 0x01,      ///< stands in the queue of those to flush
    flag_parked = 0x02,     ///< stands in the queue of those that wait for a neighbour
    flag_proven = 0x04,     ///< client: the server has answered with what we asked it to
    flag_transient = 0x08,  ///< opened to be closed again at once: no pushes
    flag_told = 0x10,       ///< the observer knows that it has ended
    flag_reset = 0x20,      ///< the next flush ends it by a reset
};

/// Connection::id of a server's end whose client has no number: a health probe, say.
inline constexpr uint32_t no_id = 0xffff'ffff;

struct Connection {
    uint32_t generation;  ///< the pool's
    uint32_t id;          ///< the client's number; the server learns it from the request
    uint32_t sent;        ///< messages sent from this end: the next one's sequence number
    uint32_t received;    ///< the sequence number that is expected next
    /// A head or a frame of which a part has come (message_reader.h); no_chunk when nothing waits.
    store::ChunkId partial;
    uint16_t scheduled_ms;  ///< of the nearest timer entry, low 16 bits of milliseconds; 0: none
    Phase phase;
    uint8_t flags;
    tcp::EndpointHot hot;
    tcp::EndpointWarm warm;

    bool has(ConnectionFlag flag) const { return (flags & flag) != 0; }
    void set(ConnectionFlag flag) { flags = static_cast<uint8_t>(flags | flag); }
    void clear(ConnectionFlag flag) { flags = static_cast<uint8_t>(flags & ~flag); }
    tcp::Endpoint endpoint() { return {hot, warm}; }
};
static_assert(sizeof(Connection) == sizeof(tcp::EndpointHot) + sizeof(tcp::EndpointWarm) + 24);
static_assert(sizeof(Connection) == 144 && std::is_trivially_copyable_v<Connection> &&
              std::is_standard_layout_v<Connection>);
// With its flow table entry, 12 bytes at most (store/flow_table.h), and its place in the ready queue, which stays in
// memory once everybody was ready at the same moment.
static_assert(sizeof(Connection) + 12 + sizeof(uint32_t) <= 160);

/// Names a connection in the flow table, the queues and the timer wheel.
struct Ref {
    uint32_t value;

    static Ref of(Role role, uint32_t index) { return {index << 1 | static_cast<uint32_t>(role)}; }
    Role role() const { return static_cast<Role>(value & 1); }
    uint32_t index() const { return value >> 1; }
};

}  // namespace millrace::load
