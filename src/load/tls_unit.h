// What the engine has once for TLS on all of its connections. One thread. Its keys guard generated messages alone, so
// core dumps may hold them.
#pragma once

#include <array>
#include <cstddef>

#include "dataplane/store/chunk_store.h"
#include "load/handshakes.h"
#include "tls/record/crypto.h"

namespace millrace::load {

/// The longest record that is taken, with its header: what one chunk holds. The longest without padding has 16,413
/// bytes.
inline constexpr size_t record_bytes_max = store::chunk_payload_max;

struct TlsUnit {
    /// The settings must be such that make_tls_context() takes them.
    TlsUnit(const TlsSettings& settings, size_t servers) : handshakes(settings, servers) {}

    tls::Crypto crypto;
    Handshakes handshakes;
    std::array<uint8_t, record_bytes_max> opened;
    std::array<uint8_t, record_bytes_max> sealed;
};

}  // namespace millrace::load
