// AES-GCM (NIST SP 800-38D) of one short record from its raw key, by AES-NI and PCLMULQDQ: what a push takes. ipsec-mb
// computes 48 powers of the hash key first, which pay in a long record; a key that is used for one short record needs
// four. Longer ones, and those in pieces, are ipsec-mb's (crypto.h).
//
// In constant time for all texts of one length. Everything secret that lies in memory lies in the ShortGcm; in release
// builds no stack holds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <emmintrin.h>
#include <span>

#include "tls/record/suite.h"

namespace millrace::tls {

class ShortGcm {
  public:
    /// From 384 bytes on ipsec-mb is about as fast.
    static constexpr size_t bytes_min = 16, bytes_max = 384, associated_bytes_max = 16;

    static constexpr bool takes(size_t associated, size_t length) {
        return associated <= associated_bytes_max && length >= bytes_min && length <= bytes_max;
    }

    /// Puts the ciphertext (Sealing) or the plaintext of `text` at `out`, which may be where `text` lies, and the tag
    /// of both at `tag`. `key` has key_bytes(suite) bytes, of a suite with AES-GCM; takes() holds for the lengths.
    template <bool Sealing>
    void run(Suite suite, const uint8_t* key, std::span<const uint8_t, nonce_bytes> nonce,
             std::span<const uint8_t> associated, std::span<const uint8_t> text, uint8_t* out, uint8_t* tag);

  private:
    using Block = __m128i;
    static constexpr size_t blocks_max = bytes_max / 16;
    static constexpr size_t lanes = 8;  ///< blocks that are enciphered at a time
    static constexpr size_t power_count = 4;

    template <int Rounds>
    void expand(const uint8_t* key);
    template <int Rounds>
    void make_stream(std::span<const uint8_t, nonce_bytes> nonce, size_t count);
    void make_powers();
    Block hash(const Block* blocks, size_t count) const;

    Block round_keys_[15];
    Block powers_[power_count];  ///< of the hash key, as multiply() wants it: the first to the fourth
    /// The cipher of: zeros (the hash key), counter 1 (what covers the tag), and from counter 2 on what covers the
    /// text.
    Block stream_[(2 + blocks_max + lanes - 1) / lanes * lanes];
};

}  // namespace millrace::tls
