// Records to bytes and back, once the handshake is over (RFC 8446 §5, RFC 5246 §6.2.3.3). Sans-I/O: whole records go in
// and come out, in pieces if they must; where they wait until they are whole is the caller's concern.
//
//   TLS 1.3   17 03 03 LL LL │ payload, type, zeros (encrypted)            │ tag 16
//   TLS 1.2   TT 03 03 LL LL │ explicit nonce 8 (GCM only) │ payload (enc.) │ tag 16
//
// A record that can't be opened ends the connection with the alert that open() names; it changes nothing in the slot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tls/record/alert.h"
#include "tls/record/crypto.h"
#include "tls/record/slot.h"

namespace millrace::tls {

enum class ContentType : uint8_t {
    change_cipher_spec = 20,
    alert = 21,
    handshake = 22,
    application_data = 23,
};

inline constexpr size_t record_header_bytes = 5;
inline constexpr size_t payload_bytes_max = 1 << 14;
inline constexpr size_t pieces_max = 16;

/// The most that a record of this connection may hold, either way.
inline size_t payload_limit(const Slot& slot) {
    return slot.payload_max == 0 ? payload_bytes_max : slot.payload_max;
}

/// TLS 1.3 asks for new keys before so many records (RFC 8446 §5.5: 2^24.5 of the largest, for AES-GCM).
inline constexpr uint64_t records_per_key = uint64_t{1} << 23;

/// The nonce that each record carries: with AES-GCM in TLS 1.2 (RFC 5288 §3), else none.
constexpr size_t explicit_nonce_bytes(Version version, Suite suite) {
    return version == Version::tls12 && suite != Suite::chacha20_poly1305_sha256 ? 8 : 0;
}

/// What a record takes beside its payload.
constexpr size_t overhead_bytes(Version version, Suite suite) {
    const size_t type = version == Version::tls13 ? 1 : 0;
    return record_header_bytes + explicit_nonce_bytes(version, suite) + type + tag_bytes;
}

/// The first five bytes of a record that is to be opened.
struct RecordHeader {
    bool valid;     ///< false: `alert` says why
    Alert alert;    ///< unexpected_message, decode_error, record_overflow
    size_t length;  ///< of what follows
};

/// Judges a header before its record is there, so that no memory waits for one that would be refused.
RecordHeader read_header(const Slot& slot, std::span<const uint8_t, record_header_bytes> header);

struct Opened {
    bool valid;        ///< false: `alert` says why
    Alert alert;       ///< bad_record_mac, record_overflow, unexpected_message
    ContentType type;  ///< never change_cipher_spec
    size_t length;     ///< of the payload; 0 is possible for application data
};

/// Opens the record of `header`, which read_header() has accepted, from the `pieces` of what follows it (at most
/// pieces_max, together the header's length). The payload is put at `out`, which has room for as many bytes.
[[nodiscard]] Opened open(Crypto& crypto, Slot& slot, std::span<const uint8_t, record_header_bytes> header,
                          Pieces pieces, uint8_t* out);

/// Seals one record of at most payload_limit() bytes in at most pieces_max pieces, none of which overlaps `out`.
/// Returns its length: the payload's and overhead_bytes().
size_t seal(Crypto& crypto, Slot& slot, ContentType type, Pieces payload, uint8_t* out);

/// True when a KeyUpdate should go out before anything else (TLS 1.3).
inline bool key_update_due(const Slot& slot) {
    return slot.version == Version::tls13 && slot.write.sequence >= records_per_key;
}

}  // namespace millrace::tls
