// Keys that session tickets are sealed with (RFC 5077 §4). The newest seals; those before it still open, so that a
// change of keys costs nobody his session. They outlive the contexts that use them: a new configuration resumes what
// the old one began. Several machines with the same keys resume each other's sessions.
//
// Every crypto thread uses them, whoever changes them does so beside: a mutex inside.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "tls/handshake/openssl.h"

namespace millrace::tls {

/// One key in a file: its name, its key for HMAC-SHA256, its key for AES-256-CBC.
inline constexpr size_t ticket_key_bytes = 80;
inline constexpr size_t ticket_keys_max = 16;

class TicketKeys {
  public:
    /// Begins with a random key.
    TicketKeys();
    ~TicketKeys();
    TicketKeys(const TicketKeys&) = delete;
    TicketKeys& operator=(const TicketKeys&) = delete;

    /// Those of a file, the first of which seals: 1 to ticket_keys_max times ticket_key_bytes.
    void set(std::span<const uint8_t> keys);
    static bool valid_size(size_t bytes) {
        return bytes != 0 && bytes % ticket_key_bytes == 0 && bytes / ticket_key_bytes <= ticket_keys_max;
    }
    /// A new random one seals from now on; the one before it still opens.
    void rotate();

    /// Lets the contexts's tickets use these keys, which must outlive it.
    void use_for(SSL_CTX* context);

  private:
    struct Key {
        std::array<uint8_t, 16> name;
        std::array<uint8_t, 32> hmac, aes;
    };
    static_assert(sizeof(Key) == ticket_key_bytes);

    static Key random_key();
    static int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                         int seal);
    int seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac);
    int open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac);

    std::mutex mutex_;
    std::vector<Key> keys_;  // the first seals
};

}  // namespace millrace::tls
