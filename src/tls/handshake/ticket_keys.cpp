#include "tls/handshake/ticket_keys.h"

#include <algorithm>
#include <cstring>
#include <openssl/core_names.h>
#include <openssl/rand.h>

#include <millrace/assert.h>

#include "dataplane/base/fault.h"

namespace millrace::tls {
namespace {

// What OpenSSL's callback returns.
constexpr int failed = -1, unknown_key = 0, good = 1, good_but_renew = 2;

int keys_index() {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

bool set_hmac(EVP_MAC_CTX* mac, std::span<const uint8_t> key) {
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<uint8_t*>(key.data()), key.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

}  // namespace

TicketKeys::TicketKeys() : keys_{random_key()} {}

TicketKeys::~TicketKeys() {
    OPENSSL_cleanse(keys_.data(), keys_.size() * sizeof(Key));
}

TicketKeys::Key TicketKeys::random_key() {
    Key key;
    MILLRACE_ASSERT(RAND_bytes(reinterpret_cast<unsigned char*>(&key), sizeof key) == 1);
    return key;
}

void TicketKeys::set(std::span<const uint8_t> keys) {
    MILLRACE_ASSERT(valid_size(keys.size()));
    std::vector<Key> next(keys.size() / sizeof(Key));
    std::memcpy(next.data(), keys.data(), keys.size());
    const std::lock_guard lock(mutex_);
    std::swap(keys_, next);
    OPENSSL_cleanse(next.data(), next.size() * sizeof(Key));
}

void TicketKeys::rotate() {
    const std::lock_guard lock(mutex_);
    if (fault(Fault::tls_ticket_keys_never_new)) return;
    keys_ = {random_key(), keys_.front()};
    if (fault(Fault::tls_ticket_keys_forget_the_last)) keys_.pop_back();
}

void TicketKeys::use_for(SSL_CTX* context) {
    SSL_CTX_set_ex_data(context, keys_index(), this);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
}

int TicketKeys::on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                          int seal) {
    auto* keys = static_cast<TicketKeys*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), keys_index()));
    if (keys == nullptr) return failed;
    return seal != 0 ? keys->seal(name, iv, cipher, mac) : keys->open(name, iv, cipher, mac);
}

int TicketKeys::seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) {
    const std::lock_guard lock(mutex_);
    const Key& key = keys_.front();
    std::ranges::copy(key.name, name);
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return failed;
    const bool ready = EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.aes.data(), iv) == 1;
    return ready && set_hmac(mac, key.hmac) ? good : failed;
}

int TicketKeys::open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) {
    const std::lock_guard lock(mutex_);
    const auto key =
        std::ranges::find_if(keys_, [&](const Key& one) { return std::equal(one.name.begin(), one.name.end(), name); });
    if (key == keys_.end()) return unknown_key;
    const bool ready = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key->aes.data(), iv) == 1;
    if (!ready || !set_hmac(mac, key->hmac)) return failed;
    return key == keys_.begin() ? good : good_but_renew;
}

}  // namespace millrace::tls
