// One thread's access to Intel ipsec-mb: authenticated encryption of one record at a time by its direct calls, and the
// hashes of the key schedule. A record may lie in pieces. Keys are expanded on use: an expanded AES key takes a
// kilobyte, too much to keep for each connection (the raw one takes 16 to 32 bytes). Only the latest of each direction
// is kept, for records that follow each other; short records have a way of their own (short_gcm.h).
//
// Owned by one thread. It allocates when it is made and never after. What it holds of the latest keys stays in it, so
// it must lie in memory that core dumps leave out, and wipe() ends that: call it when a key's time is over.
#pragma once

#include <array>
#include <cstdint>
#include <intel-ipsec-mb.h>
#include <memory>
#include <span>

#include "tls/record/short_gcm.h"
#include "tls/record/suite.h"

namespace millrace::tls {

using Bytes = std::span<const uint8_t>;
using Pieces = std::span<const Bytes>;
using Nonce = std::array<uint8_t, nonce_bytes>;

class Crypto {
  public:
    /// Throws std::runtime_error where ipsec-mb finds no implementation for this processor.
    Crypto();
    ~Crypto();
    Crypto(const Crypto&) = delete;
    Crypto& operator=(const Crypto&) = delete;

    /// Puts the ciphertext of all `pieces` and the tag behind it at `out`, which has room for both. `key` is
    /// key_bytes(suite) long. A piece may lie where its ciphertext goes.
    void seal(Suite suite, const uint8_t* key, const Nonce& nonce, Bytes associated, Pieces pieces, uint8_t* out);

    /// Puts the plaintext of all `pieces` (ciphertext without the tag) at `out`. False when `tag` is not theirs: then
    /// what lies at `out` must not be used. A piece may lie where its plaintext goes.
    [[nodiscard]] bool open(Suite suite, const uint8_t* key, const Nonce& nonce, Bytes associated, Pieces pieces,
                            std::span<const uint8_t, tag_bytes> tag, uint8_t* out);

    /// The hash of the suite's key schedule, hash_bytes(suite) of it, and HMAC with it (RFC 2104). `key` of at most
    /// hash_bytes_max bytes, `text` of at most 128.
    void hash(Suite suite, Bytes text, uint8_t* digest);
    void hmac(Suite suite, Bytes key, Bytes text, uint8_t* digest);

    /// Forgets the latest keys.
    void wipe();

  private:
    /// The library wants its data aligned, and declares so only where LINUX is defined.
    struct ExpandedKey {
        alignas(64) gcm_key_data expanded;
        std::array<uint8_t, key_bytes_max> raw;
        Suite suite;  ///< 0: nothing is expanded
    };

    template <bool Sealing>
    void run(Suite suite, const uint8_t* key, const Nonce& nonce, Bytes associated, Pieces pieces, uint8_t* out,
             uint8_t* tag);
    const gcm_key_data* expand(ExpandedKey& latest, Suite suite, const uint8_t* key);
    template <bool Sealing>
    void run_chacha(const uint8_t* key, const Nonce& nonce, Bytes associated, Pieces pieces, uint8_t* out,
                    uint8_t* tag);

    /// What depends on the key, together, so that wipe() can't miss a part.
    struct Scratch {
        ExpandedKey sealing, opening;
        alignas(64) gcm_context_data gcm;
        ShortGcm short_gcm;
        chacha20_poly1305_context_data chacha;
    };

    struct Free {
        void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
    };

    std::unique_ptr<IMB_MGR, Free> manager_;
    Scratch scratch_;
};

}  // namespace millrace::tls
