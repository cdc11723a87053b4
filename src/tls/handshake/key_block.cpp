#include "tls/handshake/key_block.h"

#include <algorithm>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <string>
#include <vector>

#include "tls/handshake/openssl.h"

namespace millrace::tls {
namespace {

OSSL_PARAM octets(const char* name, Bytes bytes) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

bool derive_key_block(Suite suite, Bytes master_secret, Bytes server_random, Bytes client_random,
                      Direction& client_write, Direction& server_write) {
    const size_t key = key_bytes(suite), iv = suite == Suite::chacha20_poly1305_sha256 ? nonce_bytes : 4;
    static constexpr std::string_view label = "key expansion";
    const Owned<EVP_KDF> kdf(EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_TLS1_PRF, nullptr));
    const Owned<EVP_KDF_CTX> context(EVP_KDF_CTX_new(kdf.get()));
    std::string digest = hash_bytes(suite) == 48 ? "SHA384" : "SHA256";
    // The seeds are joined in this order.
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
        octets(OSSL_KDF_PARAM_SECRET, master_secret),
        octets(OSSL_KDF_PARAM_SEED, {reinterpret_cast<const uint8_t*>(label.data()), label.size()}),
        octets(OSSL_KDF_PARAM_SEED, server_random),
        octets(OSSL_KDF_PARAM_SEED, client_random),
        OSSL_PARAM_construct_end()};
    std::vector<uint8_t> block(2 * key + 2 * iv);
    if (EVP_KDF_derive(context.get(), block.data(), block.size(), parameters) != 1) return false;
    const uint8_t* at = block.data();
    const auto take = [&](auto& to, size_t length) {
        std::copy_n(at, length, to.begin());
        at += length;
    };
    take(client_write.key, key);
    take(server_write.key, key);
    take(client_write.iv, iv);
    take(server_write.iv, iv);
    OPENSSL_cleanse(block.data(), block.size());
    return true;
}

}  // namespace millrace::tls
