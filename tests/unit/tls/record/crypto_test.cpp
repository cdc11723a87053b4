// Published vectors, then every suite, length and cut against OpenSSL.
#include "tls/record/crypto.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "evp.h"

namespace millrace::tls {
namespace {

Nonce nonce_of(Bytes bytes) {
    Nonce nonce;
    std::ranges::copy(bytes.first(nonce.size()), nonce.begin());
    return nonce;
}

Buffer sealed(Crypto& crypto, Suite suite, Bytes key, Bytes nonce, Bytes associated, Pieces pieces) {
    size_t length = 0;
    for (const Bytes piece : pieces) length += piece.size();
    Buffer out(length + tag_bytes);
    crypto.seal(suite, key.data(), nonce_of(nonce), associated, pieces, out.data());
    return out;
}

std::optional<Buffer> opened(Crypto& crypto, Suite suite, Bytes key, Bytes nonce, Bytes associated, Bytes sealed,
                             size_t cut = 0) {
    const Bytes text = sealed.first(sealed.size() - tag_bytes);
    const Bytes pieces[] = {text.first(cut), text.subspan(cut)};
    Buffer out(text.size());
    const bool right =
        crypto.open(suite, key.data(), nonce_of(nonce), associated, cut == 0 ? Pieces(pieces + 1, 1) : Pieces(pieces),
                    sealed.last<tag_bytes>(), out.data());
    return right ? std::optional(out) : std::nullopt;
}

// "The Galois/Counter Mode of Operation", McGrew and Viega, test cases 4 and 16.
TEST(Crypto, GcmVectors) {
    Crypto crypto;
    const Buffer text =
        hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    const Buffer associated = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"), nonce = hex("cafebabefacedbaddecaf888");
    const Bytes whole[] = {text};
    EXPECT_EQ(
        sealed(crypto, Suite::aes_128_gcm_sha256, hex("feffe9928665731c6d6a8f9467308308"), nonce, associated, whole),
        hex("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
            "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
            "5bc94fbc3221a5db94fae95ae7121a47"));
    EXPECT_EQ(sealed(crypto, Suite::aes_256_gcm_sha384,
                     hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"), nonce, associated, whole),
              hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                  "76fc6ece0f4e1768cddf8853bb2d551b"));
}

// RFC 8439 §2.8.2.
TEST(Crypto, ChaChaVector) {
    Crypto crypto;
    const std::string_view words =
        "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would "
        "be it.";
    const Bytes whole[] = {{reinterpret_cast<const uint8_t*>(words.data()), words.size()}};
    const Buffer out = sealed(crypto, Suite::chacha20_poly1305_sha256,
                              hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
                              hex("070000004041424344454647"), hex("50515253c0c1c2c3c4c5c6c7"), whole);
    EXPECT_EQ(Buffer(out.begin(), out.begin() + 16), hex("d31a8d34648e60db7b86afbc53ef7ec2"));
    EXPECT_EQ(Buffer(out.end() - 16, out.end()), hex("1ae10b594f09e26a7e902ecbd0600691"));
}

TEST(Crypto, EveryLengthAgreesWithOpenSsl) {
    Crypto crypto;
    const Buffer key = pattern(32, 7), nonce = pattern(12, 9), associated = pattern(13, 11);
    for (const Suite suite : suites) {
        for (size_t length = 0; length <= 16'385; length += length < 600 ? 1 : 263) {
            const Buffer text = pattern(length, static_cast<unsigned>(length));
            const Bytes whole[] = {text};
            const Buffer ours = sealed(crypto, suite, key, nonce, associated, whole);
            ASSERT_EQ(ours, evp_seal(suite, key, nonce, associated, text)) << int(suite) << ", " << length;
            ASSERT_EQ(opened(crypto, suite, key, nonce, associated, ours), text) << int(suite) << ", " << length;
        }
    }
}

// A record may have come in two segments, whatever the place of the cut.
TEST(Crypto, EveryCutGivesTheSame) {
    Crypto crypto;
    const Buffer key = pattern(32, 7), nonce = pattern(12, 9), associated = pattern(5, 11), text = pattern(300);
    for (const Suite suite : suites) {
        const Buffer expected = evp_seal(suite, key, nonce, associated, text);
        for (size_t cut = 1; cut < text.size(); ++cut) {
            const Bytes pieces[] = {Bytes(text).first(cut), Bytes(text).subspan(cut)};
            ASSERT_EQ(sealed(crypto, suite, key, nonce, associated, pieces), expected) << int(suite) << ", " << cut;
            ASSERT_EQ(opened(crypto, suite, key, nonce, associated, expected, cut), text) << int(suite) << ", " << cut;
        }
    }
}

// An expanded key is kept for the next record, and must not serve another key: a longer one with the same beginning,
// one that another direction used last, the same one after it was wiped.
TEST(Crypto, KeysTakeTurns) {
    Crypto crypto;
    const Buffer nonce = pattern(12, 9), associated = pattern(5, 11), text = pattern(1400);
    const Bytes whole[] = {text};
    const Buffer keys[] = {pattern(32, 7), pattern(32, 8), pattern(32, 7)};
    for (int round = 0; round < 2; ++round) {
        for (const Buffer& key : keys)
            for (const Suite suite : suites) {
                const Buffer right = evp_seal(suite, key, nonce, associated, text);
                EXPECT_EQ(sealed(crypto, suite, key, nonce, associated, whole), right);
                EXPECT_EQ(sealed(crypto, suite, key, nonce, associated, whole), right);
                EXPECT_EQ(opened(crypto, suite, keys[round], nonce, associated,
                                 evp_seal(suite, keys[round], nonce, associated, text)),
                          text);
            }
        crypto.wipe();
    }
}

TEST(Crypto, InPlace) {
    Crypto crypto;
    const Buffer key = pattern(32, 7), nonce = pattern(12, 9), associated = pattern(5, 11);
    for (size_t i = 0; i < 2 * std::size(suites); ++i) {
        const Suite suite = suites[i / 2];
        const Buffer text = pattern(i % 2 == 0 ? 100 : 500);
        Buffer place = text;
        place.resize(text.size() + tag_bytes);
        const Bytes whole[] = {Bytes(place).first(text.size())};
        crypto.seal(suite, key.data(), nonce_of(nonce), associated, whole, place.data());
        EXPECT_EQ(place, evp_seal(suite, key, nonce, associated, text));
        EXPECT_TRUE(crypto.open(suite, key.data(), nonce_of(nonce), associated, whole, Bytes(place).last<tag_bytes>(),
                                place.data()));
        place.resize(text.size());
        EXPECT_EQ(place, text);
    }
}

TEST(Crypto, AnyChangedBitIsNoticed) {
    Crypto crypto;
    const Buffer key = pattern(32, 7), nonce = pattern(12, 9), associated = pattern(5, 11), text = pattern(40);
    for (const Suite suite : suites) {
        const Buffer right = evp_seal(suite, key, nonce, associated, text);
        for (size_t bit = 0; bit < right.size() * 8; ++bit) {
            Buffer wrong = right;
            wrong[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
            EXPECT_FALSE(opened(crypto, suite, key, nonce, associated, wrong)) << int(suite) << ", " << bit;
        }
        EXPECT_FALSE(opened(crypto, suite, key, nonce, pattern(5, 12), right));
        EXPECT_FALSE(opened(crypto, suite, key, pattern(12, 10), associated, right));
    }
}

// RFC 4231, test case 2: SHA-256 and SHA-384 under a short key.
TEST(Crypto, HmacVectors) {
    Crypto crypto;
    const Buffer key = hex("4a656665"), text = hex("7768617420646f2079612077616e7420666f72206e6f7468696e673f");
    Buffer digest(32);
    crypto.hmac(Suite::aes_128_gcm_sha256, key, text, digest.data());
    EXPECT_EQ(digest, hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    digest.resize(48);
    crypto.hmac(Suite::aes_256_gcm_sha384, key, text, digest.data());
    EXPECT_EQ(digest,
              hex("af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"));
}

}  // namespace
}  // namespace millrace::tls
