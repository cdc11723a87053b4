// OpenSSL's objects with owners, and its errors as text. Internal to handshake/.
#pragma once

#include <cstdint>
#include <memory>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <span>
#include <string>

namespace millrace::tls {

struct OpensslFree {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* ssl) const { SSL_free(ssl); }
    void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
    void operator()(BIO* bio) const { BIO_free(bio); }
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
    void operator()(ASN1_TIME* time) const { ASN1_TIME_free(time); }
    void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
    void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};
template <class Object>
using Owned = std::unique_ptr<Object, OpensslFree>;

/// What waits in a memory BIO; valid until it is used again.
inline std::span<const uint8_t> pending(BIO* bio) {
    char* bytes = nullptr;
    const long length = BIO_get_mem_data(bio, &bytes);
    return {reinterpret_cast<const uint8_t*>(bytes), static_cast<size_t>(length)};
}

inline Owned<BIO> reader(const std::string& text) {
    return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// For texts in PEM: a passphrase is not asked for, since OpenSSL would ask a terminal, and wait.
inline int no_passphrase(char*, int, int, void*) {
    return -1;
}

/// The oldest error of this thread, without its numbers, and forgets the rest. `otherwise` when there is none.
std::string take_openssl_error(const char* otherwise);

}  // namespace millrace::tls
