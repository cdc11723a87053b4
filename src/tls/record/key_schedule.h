// From a traffic secret of TLS 1.3 to keys, and to the next secret (RFC 8446 §7.1 to §7.3). The secrets themselves come
// out of the handshake. TLS 1.2 needs none of it: its keys are final.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "tls/record/crypto.h"
#include "tls/record/slot.h"

namespace millrace::tls {

/// HKDF-Expand-Label with an empty context. `out` is at most hash_bytes(suite) long, `label` at most 12 characters,
/// without "tls13 ".
void expand_label(Crypto& crypto, Suite suite, Bytes secret, std::string_view label, std::span<uint8_t> out);

/// The key and the IV of a direction from its secret, and its sequence number 0 (§7.3).
void set_traffic_keys(Crypto& crypto, Suite suite, Bytes secret, Direction& direction);

/// What a KeyUpdate does to one direction (§7.2): the next secret in place of this one, and its keys.
void update_traffic_keys(Crypto& crypto, Suite suite, std::span<uint8_t> secret, Direction& direction);

}  // namespace millrace::tls
