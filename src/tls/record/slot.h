// What stays of a TLS connection when its handshake is done: the keys of both directions, 224 bytes of plain data that
// belong on pages that core dumps leave out; a relay's stand in an array of its shard's region. The worker that owns
// the relay is the only one to touch them. All zero: no connection. TLS 1.3 keeps the secrets, too, from which the next
// keys come (RFC 8446 §7.2).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tls/record/suite.h"

namespace millrace::tls {

/// One direction. `iv`: in TLS 1.3, and with ChaCha20-Poly1305 in TLS 1.2, what the sequence number is XORed into. With
/// AES-GCM in TLS 1.2 four bytes of salt and, as a big-endian number, the explicit nonce of record 0, to which the
/// sequence number is added (RFC 5288 §3 leaves the choice to the sender).
struct Direction {
    std::array<uint8_t, key_bytes_max> key;
    std::array<uint8_t, nonce_bytes> iv;
    uint32_t reserved;
    uint64_t sequence;  ///< of the next record under this key; stored before the record is sealed, and never goes back
};

/// What a record that is sealed needs lies in the first 64 bytes, what one that is opened needs in the first 128.
struct Slot {
    Direction write;
    Version version;
    Suite suite;
    uint8_t flags;
    uint8_t fruitless;     ///< records in a row that brought no application data (post_handshake.h)
    uint16_t payload_max;  ///< as agreed (RFC 6066 §4); 0: payload_bytes_max
    // Of a handshake message that is not whole yet (post_handshake.h):
    uint8_t message_header_bytes;  ///< so much of its header is there
    uint8_t reserved;
    Direction read;
    std::array<uint8_t, 4> message_header;
    uint32_t message_left;                            ///< bytes of its body still to come
    std::array<uint8_t, hash_bytes_max> read_secret;  ///< TLS 1.3 only
    std::array<uint8_t, hash_bytes_max> write_secret;
};
static_assert(offsetof(Slot, read) == 64 && offsetof(Slot, read_secret) == 128);
static_assert(sizeof(Slot) == 224 && std::is_trivially_copyable_v<Slot> && std::is_standard_layout_v<Slot>);
static_assert(sizeof(Direction) == 56);

/// Slot::flags
inline constexpr uint8_t close_notify_sent = 0x01;
inline constexpr uint8_t key_update_owed = 0x02;  ///< the peer asked for one (update_requested)
inline constexpr uint8_t client_role = 0x04;      ///< the connection to a server: the peer may send tickets

/// Overwrites keys and secrets in a way that no compiler leaves out.
inline void wipe(Slot& slot) {
    explicit_bzero(&slot, sizeof slot);
}

}  // namespace millrace::tls
