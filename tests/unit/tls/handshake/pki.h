// Certificates for tests: an authority and what it signs, made anew in each process.
#pragma once

#include <string>

#include "tls/handshake/context.h"

namespace millrace::tls {

enum class KeyKind { ecdsa, rsa };

/// The authority's certificate as PEM.
const std::string& authority_pem();

/// A certificate for `name` (subject, and DNS name or address), signed by the authority, with its key. The same one
/// each time.
const Identity& identity(KeyKind kind, const std::string& name = "ticker.test");

/// One for ticker.test whose time is over.
const Identity& expired_identity();

}  // namespace millrace::tls
