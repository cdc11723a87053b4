// OpenSSL frees some of what it must not leave behind without overwriting it: a session of TLS 1.2, master secret
// included, before it is sealed into a ticket. With this, whatever OpenSSL frees in this process is overwritten first.
#pragma once

namespace millrace::tls {

/// Call it before anything of OpenSSL is used. False when it is too late.
bool wipe_freed_memory();

}  // namespace millrace::tls
