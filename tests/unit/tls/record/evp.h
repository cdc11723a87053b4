// What the tests of the record layer compare with: OpenSSL's AEADs and key derivation, and bytes from hexadecimal text.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tls/record/crypto.h"

namespace millrace::tls {

using Buffer = std::vector<uint8_t>;

/// Digits in pairs; spaces are skipped.
Buffer hex(std::string_view text);

/// `length` bytes that differ from their neighbours.
Buffer pattern(size_t length, unsigned seed = 0);

/// Ciphertext and tag by OpenSSL.
Buffer evp_seal(Suite suite, Bytes key, Bytes nonce, Bytes associated, Bytes plaintext);

/// Plaintext by OpenSSL; nothing when the tag (the last 16 bytes) is wrong.
std::optional<Buffer> evp_open(Suite suite, Bytes key, Bytes nonce, Bytes associated, Bytes ciphertext);

/// HKDF-Expand-Label by OpenSSL, without a context.
Buffer evp_expand_label(Suite suite, Bytes secret, std::string_view label, size_t length);

inline constexpr Suite suites[] = {Suite::aes_128_gcm_sha256, Suite::aes_256_gcm_sha384,
                                   Suite::chacha20_poly1305_sha256};

}  // namespace millrace::tls
