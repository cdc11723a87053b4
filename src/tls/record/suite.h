// The cipher suites that the record layer moves data with: AEADs only (RFC 8446 §B.4; for TLS 1.2 RFC 5288 and RFC
// 7905). Whatever else a handshake could agree on is refused by the configuration.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace::tls {

enum class Version : uint8_t {
    tls12 = 1,
    tls13 = 2,
};

/// The AEAD of a suite, and the hash of its key schedule. 0 is none, so that a zeroed slot is noticed.
enum class Suite : uint8_t {
    aes_128_gcm_sha256 = 1,
    aes_256_gcm_sha384 = 2,
    chacha20_poly1305_sha256 = 3,
};

inline constexpr size_t tag_bytes = 16;
inline constexpr size_t nonce_bytes = 12;
inline constexpr size_t key_bytes_max = 32;
inline constexpr size_t hash_bytes_max = 48;

constexpr size_t key_bytes(Suite suite) {
    return suite == Suite::aes_128_gcm_sha256 ? 16 : 32;
}

constexpr size_t hash_bytes(Suite suite) {
    return suite == Suite::aes_256_gcm_sha384 ? 48 : 32;
}

}  // namespace millrace::tls
