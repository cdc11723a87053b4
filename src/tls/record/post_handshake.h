// What comes in records beside application data, once the handshake is over: alerts (RFC 8446 §6, RFC 5246 §7.2), key
// updates (RFC 8446 §4.6.3), tickets that are not wanted any more (§4.6.1), and attempts to renegotiate in TLS 1.2,
// which are refused (RFC 5246 §7.4.1). Messages may begin and end anywhere in records; of one that is not whole only
// its header and how much is still to come are kept.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tls/record/record.h"

namespace millrace::tls {

/// Records in a row that a peer may send without a byte of application data; more are an attack on our time.
inline constexpr uint8_t fruitless_records_max = 32;

struct Verdict {
    enum class Kind : uint8_t {
        carry_on,
        warn,    ///< send `alert` as a warning, and carry on
        closed,  ///< close_notify: the peer sends nothing more
        ended,   ///< by an alert of the peer: no answer is due, nothing may be sent or resumed
        failed,  ///< send `alert`, which is fatal, and end the connection
    };
    Kind kind = Kind::carry_on;
    Alert alert = {};  ///< of warn, failed; of ended the peer's, whatever its number
};

/// Judges what open() brought, also of application data, whose `payload` is not looked at. A key update has changed the
/// keys for reading when this returns, and may have set key_update_owed.
Verdict judge(Crypto& crypto, Slot& slot, ContentType type, Bytes payload);

/// Room for a record with one alert or one KeyUpdate.
inline constexpr size_t control_record_bytes_max = 64;

/// Seals an alert at `out`, and notes a close_notify in the slot. Returns the record's length.
size_t seal_alert(Crypto& crypto, Slot& slot, Alert alert, uint8_t* out);

/// Seals a KeyUpdate at `out` and changes the keys for writing: to do when key_update_due(), or before the next
/// application data when key_update_owed is set, which this takes away. TLS 1.3 only. Returns the record's length.
size_t seal_key_update(Crypto& crypto, Slot& slot, uint8_t* out);

}  // namespace millrace::tls
