#include "evp.h"

#include <cstdlib>
#include <memory>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

namespace millrace::tls {
namespace {

void must(bool done) {
    if (!done) std::abort();
}

const EVP_CIPHER* cipher(Suite suite) {
    switch (suite) {
        case Suite::aes_128_gcm_sha256:
            return EVP_aes_128_gcm();
        case Suite::aes_256_gcm_sha384:
            return EVP_aes_256_gcm();
        case Suite::chacha20_poly1305_sha256:
            return EVP_chacha20_poly1305();
    }
    std::abort();
}

struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
    void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
    void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};

int as_int(size_t length) {
    return static_cast<int>(length);
}

}  // namespace

Buffer hex(std::string_view text) {
    Buffer bytes;
    int high = -1;
    for (const char c : text) {
        if (c == ' ') continue;
        const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
        if (high < 0) {
            high = digit;
        } else {
            bytes.push_back(static_cast<uint8_t>(high << 4 | digit));
            high = -1;
        }
    }
    must(high < 0);
    return bytes;
}

Buffer pattern(size_t length, unsigned seed) {
    Buffer bytes(length);
    for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<uint8_t>((seed + i) * 31 + (seed + i) / 256);
    return bytes;
}

Buffer evp_seal(Suite suite, Bytes key, Bytes nonce, Bytes associated, Bytes plaintext) {
    const std::unique_ptr<EVP_CIPHER_CTX, Free> context(EVP_CIPHER_CTX_new());
    Buffer out(plaintext.size() + tag_bytes);
    int length = 0;
    must(EVP_EncryptInit_ex(context.get(), cipher(suite), nullptr, key.data(), nonce.data()) == 1);
    must(EVP_EncryptUpdate(context.get(), nullptr, &length, associated.data(), as_int(associated.size())) == 1);
    must(EVP_EncryptUpdate(context.get(), out.data(), &length, plaintext.data(), as_int(plaintext.size())) == 1);
    must(EVP_EncryptFinal_ex(context.get(), out.data() + length, &length) == 1);
    must(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, tag_bytes, out.data() + plaintext.size()) == 1);
    return out;
}

std::optional<Buffer> evp_open(Suite suite, Bytes key, Bytes nonce, Bytes associated, Bytes ciphertext) {
    const std::unique_ptr<EVP_CIPHER_CTX, Free> context(EVP_CIPHER_CTX_new());
    const size_t size = ciphertext.size() - tag_bytes;
    Buffer out(size), tag(ciphertext.begin() + static_cast<ptrdiff_t>(size), ciphertext.end());
    int length = 0;
    must(EVP_DecryptInit_ex(context.get(), cipher(suite), nullptr, key.data(), nonce.data()) == 1);
    must(EVP_DecryptUpdate(context.get(), nullptr, &length, associated.data(), as_int(associated.size())) == 1);
    must(EVP_DecryptUpdate(context.get(), out.data(), &length, ciphertext.data(), as_int(size)) == 1);
    must(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, tag_bytes, tag.data()) == 1);
    uint8_t none = 0;
    if (EVP_DecryptFinal_ex(context.get(), &none, &length) != 1) return std::nullopt;
    return out;
}

Buffer evp_expand_label(Suite suite, Bytes secret, std::string_view label, size_t length) {
    const std::unique_ptr<EVP_KDF, Free> kdf(EVP_KDF_fetch(nullptr, "TLS13-KDF", nullptr));
    const std::unique_ptr<EVP_KDF_CTX, Free> context(EVP_KDF_CTX_new(kdf.get()));
    std::string digest = hash_bytes(suite) == 48 ? "SHA384" : "SHA256", mode = "EXPAND_ONLY", prefix = "tls13 ",
                name(label);
    Buffer key(secret.begin(), secret.end()), out(length);
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string("mode", mode.data(), 0),
                                     OSSL_PARAM_construct_utf8_string("digest", digest.data(), 0),
                                     OSSL_PARAM_construct_octet_string("key", key.data(), key.size()),
                                     OSSL_PARAM_construct_octet_string("prefix", prefix.data(), prefix.size()),
                                     OSSL_PARAM_construct_octet_string("label", name.data(), name.size()),
                                     OSSL_PARAM_construct_end()};
    must(EVP_KDF_derive(context.get(), out.data(), out.size(), parameters) == 1);
    return out;
}

}  // namespace millrace::tls
