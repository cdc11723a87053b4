// The keys of TLS 1.2 from its master secret (RFC 5246 §6.3), for AEADs, which have no MAC keys.
#pragma once

#include <span>

#include "tls/record/crypto.h"
#include "tls/record/slot.h"

namespace millrace::tls {

/// Fills key and IV of both directions, as the client or the server writes. With AES-GCM the IV's first four bytes
/// only, the salt. False when OpenSSL can't derive them.
bool derive_key_block(Suite suite, Bytes master_secret, Bytes server_random, Bytes client_random,
                      Direction& client_write, Direction& server_write);

}  // namespace millrace::tls
