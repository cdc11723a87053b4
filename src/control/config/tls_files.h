// The files that TLS of listeners and backends names: certificates, keys, authorities, staples, ticket keys. They are
// read whenever a configuration is loaded, and everything is tried with OpenSSL then, so that nothing of it can fail
// later.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "control/config/model.h"
#include "tls/handshake/key_bundle.h"

namespace millrace::control {

struct TlsProblem {
    std::string path;  ///< of the key below the table "tls": ".certificate[1].chain"; empty: the table
    std::string message;
    bool of_machine = false;  ///< a file is missing, which may be there on another machine
};

/// What may be agreed upon by ALPN.
std::vector<std::string> protocols_of(const Listener& listener);

/// Reads the files of `listener`, which has TLS, into it, and tries them. What is wrong first, or nothing.
std::optional<TlsProblem> load_tls(Listener& listener);

/// Likewise of `backend`, which has TLS.
std::optional<TlsProblem> load_tls(Backend& backend);

/// What the dataplane is given for a listener with TLS whose files are read.
tls::ListenerKeys keys_of(const Listener& listener, uint16_t slot);
/// Likewise for a backend, but for its servers, whose slots the snapshot has.
tls::BackendKeys keys_of(const Backend& backend, uint16_t slot);
/// All of it, for a snapshot that `config` has become.
tls::KeyBundle keys_of(const Config& config, const SnapshotView& snapshot, uint64_t generation);

}  // namespace millrace::control
