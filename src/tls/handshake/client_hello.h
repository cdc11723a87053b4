// A look into the first message of a client, before anybody spends a public-key operation on it: does it offer to
// resume a session (RFC 8446 §4.2.11, RFC 5077 §3.2)? Such handshakes cost a fraction of a full one and go first when
// there are more than the crypto threads manage. A hint and no more: OpenSSL decides what becomes of it.
#pragma once

#include "tls/record/crypto.h"

namespace millrace::tls {

/// `bytes` from the beginning of the connection. False also for what is cut off, in more than one record, or no
/// ClientHello.
bool offers_resumption(Bytes bytes);

}  // namespace millrace::tls
