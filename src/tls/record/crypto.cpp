#include "tls/record/crypto.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include <millrace/assert.h>

namespace millrace::tls {
namespace {

/// Without a branch or an early end: time must not tell how much of a forged tag was right.
bool equal(std::span<const uint8_t, tag_bytes> a, const uint8_t* b) {
    uint8_t different = 0;
    for (size_t i = 0; i < tag_bytes; ++i) different = static_cast<uint8_t>(different | (a[i] ^ b[i]));
    return different == 0;
}

}  // namespace

Crypto::Crypto() : manager_(alloc_mb_mgr(0)), scratch_{} {
    if (!manager_) throw std::runtime_error("ipsec-mb: no memory");
    IMB_ARCH arch = IMB_ARCH_NONE;
    init_mb_mgr_auto(manager_.get(), &arch);
    constexpr uint64_t needed = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
    if (arch == IMB_ARCH_NONE || imb_get_errno(manager_.get()) != 0 || (manager_->features & needed) != needed)
        throw std::runtime_error("this processor lacks AES-NI or PCLMULQDQ");
}

Crypto::~Crypto() {
    wipe();
}

void Crypto::wipe() {
    explicit_bzero(&scratch_, sizeof scratch_);
}

const gcm_key_data* Crypto::expand(ExpandedKey& latest, Suite suite, const uint8_t* key) {
    MILLRACE_ASSERT(suite != Suite{});
    if (latest.suite == suite && std::memcmp(latest.raw.data(), key, key_bytes(suite)) == 0) return &latest.expanded;
    (suite == Suite::aes_128_gcm_sha256 ? manager_->gcm128_pre : manager_->gcm256_pre)(key, &latest.expanded);
    std::copy_n(key, key_bytes(suite), latest.raw.begin());
    latest.suite = suite;
    return &latest.expanded;
}

template <bool Sealing>
void Crypto::run_chacha(const uint8_t* key, const Nonce& nonce, Bytes associated, Pieces pieces, uint8_t* out,
                        uint8_t* tag) {
    IMB_MGR* m = manager_.get();
    chacha20_poly1305_context_data* state = &scratch_.chacha;
    IMB_CHACHA20_POLY1305_INIT(m, key, state, nonce.data(), associated.data(), associated.size());
    for (const Bytes piece : pieces) {
        if (Sealing)
            IMB_CHACHA20_POLY1305_ENC_UPDATE(m, key, state, out, piece.data(), piece.size());
        else
            IMB_CHACHA20_POLY1305_DEC_UPDATE(m, key, state, out, piece.data(), piece.size());
        out += piece.size();
    }
    if (Sealing)
        IMB_CHACHA20_POLY1305_ENC_FINALIZE(m, state, tag, tag_bytes);
    else
        IMB_CHACHA20_POLY1305_DEC_FINALIZE(m, state, tag, tag_bytes);
}

template <bool Sealing>
void Crypto::run(Suite suite, const uint8_t* key, const Nonce& nonce, Bytes associated, Pieces pieces, uint8_t* out,
                 uint8_t* tag) {
    while (pieces.size() > 1 && pieces.front().empty()) pieces = pieces.subspan(1);
    while (pieces.size() > 1 && pieces.back().empty()) pieces = pieces.first(pieces.size() - 1);
    if (suite == Suite::chacha20_poly1305_sha256) return run_chacha<Sealing>(key, nonce, associated, pieces, out, tag);
    if (pieces.size() == 1 && ShortGcm::takes(associated.size(), pieces[0].size()))
        return scratch_.short_gcm.run<Sealing>(suite, key, nonce, associated, pieces[0], out, tag);
    const bool short_key = suite == Suite::aes_128_gcm_sha256;
    IMB_MGR* m = manager_.get();
    const gcm_key_data* expanded = expand(Sealing ? scratch_.sealing : scratch_.opening, suite, key);
    gcm_context_data* state = &scratch_.gcm;
    if (pieces.size() == 1) {
        const auto whole =
            Sealing ? (short_key ? m->gcm128_enc : m->gcm256_enc) : (short_key ? m->gcm128_dec : m->gcm256_dec);
        whole(expanded, state, out, pieces[0].data(), pieces[0].size(), nonce.data(), associated.data(),
              associated.size(), tag, tag_bytes);
        return;
    }
    (short_key ? m->gcm128_init : m->gcm256_init)(expanded, state, nonce.data(), associated.data(), associated.size());
    const auto update = Sealing ? (short_key ? m->gcm128_enc_update : m->gcm256_enc_update)
                                : (short_key ? m->gcm128_dec_update : m->gcm256_dec_update);
    for (const Bytes piece : pieces) {
        update(expanded, state, out, piece.data(), piece.size());
        out += piece.size();
    }
    const auto finish = Sealing ? (short_key ? m->gcm128_enc_finalize : m->gcm256_enc_finalize)
                                : (short_key ? m->gcm128_dec_finalize : m->gcm256_dec_finalize);
    finish(expanded, state, tag, tag_bytes);
}

void Crypto::seal(Suite suite, const uint8_t* key, const Nonce& nonce, Bytes associated, Pieces pieces, uint8_t* out) {
    size_t length = 0;
    for (const Bytes piece : pieces) length += piece.size();
    run<true>(suite, key, nonce, associated, pieces, out, out + length);
}

bool Crypto::open(Suite suite, const uint8_t* key, const Nonce& nonce, Bytes associated, Pieces pieces,
                  std::span<const uint8_t, tag_bytes> tag, uint8_t* out) {
    std::array<uint8_t, tag_bytes> computed;
    run<false>(suite, key, nonce, associated, pieces, out, computed.data());
    return equal(tag, computed.data());
}

void Crypto::hash(Suite suite, Bytes text, uint8_t* digest) {
    IMB_MGR* m = manager_.get();
    if (hash_bytes(suite) == 48)
        IMB_SHA384(m, text.data(), text.size(), digest);
    else
        IMB_SHA256(m, text.data(), text.size(), digest);
}

void Crypto::hmac(Suite suite, Bytes key, Bytes text, uint8_t* digest) {
    constexpr size_t block_max = 128, text_max = 128;
    const size_t block = hash_bytes(suite) == 48 ? 128 : 64;
    std::array<uint8_t, block_max + text_max> message{};
    std::array<uint8_t, block_max + hash_bytes_max> outer{};
    std::ranges::copy(key, message.begin());
    std::ranges::copy(key, outer.begin());
    for (size_t i = 0; i < block; ++i) {
        message[i] ^= 0x36;
        outer[i] ^= 0x5c;
    }
    std::ranges::copy(text, message.begin() + static_cast<ptrdiff_t>(block));
    hash(suite, Bytes(message).first(block + text.size()), outer.data() + block);
    hash(suite, Bytes(outer).first(block + hash_bytes(suite)), digest);
    explicit_bzero(message.data(), message.size());
    explicit_bzero(outer.data(), outer.size());
}

}  // namespace millrace::tls
