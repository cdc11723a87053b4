#include "tls/record/short_gcm.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <immintrin.h>

#include <millrace/assert.h>

namespace millrace::tls {
namespace {

using Block = __m128i;

Block load(const void* at) {
    return _mm_loadu_si128(static_cast<const Block*>(at));
}

void store(void* at, Block block) {
    _mm_storeu_si128(static_cast<Block*>(at), block);
}

Block block_of(uint64_t high, uint64_t low) {
    return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
}

/// Keeps the compiler from gathering keys in registers, of which those that don't fit would go to the stack.
void leave_in_memory() {
    asm volatile("" ::: "memory");
}

/// GHASH takes bits in an order that makes a block a number only when its bytes are reversed.
Block reversed(Block block) {
    return _mm_shuffle_epi8(block, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

/// Without its first `count` bytes (0 to 16), and zeros behind; with a negative count zeros before.
Block without_front(Block block, int count) {
    alignas(16) static constexpr std::array<int8_t, 48> indices = [] {
        std::array<int8_t, 48> all{};
        all.fill(-1);  // a zero
        for (size_t i = 0; i < 16; ++i) all[16 + i] = static_cast<int8_t>(i);
        return all;
    }();
    return _mm_shuffle_epi8(block, load(indices.data() + 16 + count));
}

/// A product in GF(2^128), or a sum of them, that is not reduced yet: 256 bits in three overlapping parts.
struct Product {
    Block low{}, middle{}, high{};

    void add(Block a, Block b) {
        low = _mm_xor_si128(low, _mm_clmulepi64_si128(a, b, 0x00));
        high = _mm_xor_si128(high, _mm_clmulepi64_si128(a, b, 0x11));
        middle = _mm_xor_si128(middle, _mm_clmulepi64_si128(a, b, 0x01));
        middle = _mm_xor_si128(middle, _mm_clmulepi64_si128(a, b, 0x10));
    }

    /// Modulo x^128 + x^127 + x^126 + x^121 + 1, the field's polynomial with its bits in reverse: 64 bits at a time go
    /// from the low end, by a multiple of the polynomial that makes them zero.
    Block reduced() const {
        const auto fold = [](Block part) {
            const Block polynomial = block_of(0, 0xc200'0000'0000'0000);
            return _mm_xor_si128(_mm_shuffle_epi32(part, 0x4e), _mm_clmulepi64_si128(part, polynomial, 0x00));
        };
        return _mm_xor_si128(high, fold(_mm_xor_si128(middle, fold(low))));
    }
};

Block multiply(Block a, Block b) {
    Product product;
    product.add(a, b);
    return product.reduced();
}

}  // namespace

/// FIPS 197 §5.2. The last word of the key before goes through the S-box by the last round of a cipher, which does that
/// to all columns alike, when they are alike.
template <int Rounds>
void ShortGcm::expand(const uint8_t* key) {
    static constexpr std::array<int, 10> constants = {1, 2, 4, 8, 16, 32, 64, 128, 27, 54};
    constexpr int key_blocks = Rounds == 10 ? 1 : 2;
    const Block rotated = _mm_set1_epi32(0x0c0f'0e0d), as_it_is = _mm_set1_epi32(0x0f0e'0d0c);
    Block last[2] = {load(key), key_blocks == 2 ? load(key + 16) : Block{}};
    round_keys_[0] = last[0];
    if (key_blocks == 2) round_keys_[1] = last[1];
#pragma GCC unroll 14
    for (int round = key_blocks; round <= Rounds; ++round) {
        Block& block = last[round % key_blocks];
        const bool first = round % key_blocks == 0;
        const Block word = _mm_shuffle_epi8(last[(round + key_blocks - 1) % key_blocks], first ? rotated : as_it_is);
        const int constant = first ? constants[static_cast<size_t>(round / key_blocks - 1)] : 0;
        block = _mm_xor_si128(block, _mm_slli_si128(block, 4));
        block = _mm_xor_si128(block, _mm_slli_si128(block, 8));
        block = _mm_xor_si128(block, _mm_aesenclast_si128(word, _mm_set1_epi32(constant)));
        round_keys_[round] = block;
        leave_in_memory();
    }
}

template <int Rounds>
void ShortGcm::make_stream(std::span<const uint8_t, nonce_bytes> nonce, size_t count) {
    uint64_t front;
    uint32_t back;
    std::memcpy(&front, nonce.data(), sizeof front);
    std::memcpy(&back, nonce.data() + sizeof front, sizeof back);
    const Block counter_0 = block_of(back, front);
    for (size_t first = 0; first < count; first += lanes) {
        leave_in_memory();
        Block blocks[lanes];
#pragma GCC unroll 8
        for (size_t i = 0; i < lanes; ++i) {
            const auto counter = static_cast<uint32_t>(first + i);
            const Block block =
                counter == 0 ? Block{} : _mm_insert_epi32(counter_0, static_cast<int>(__builtin_bswap32(counter)), 3);
            blocks[i] = _mm_xor_si128(block, round_keys_[0]);
        }
#pragma GCC unroll 14
        for (int round = 1; round < Rounds; ++round)
#pragma GCC unroll 8
            for (Block& block : blocks) block = _mm_aesenc_si128(block, round_keys_[round]);
#pragma GCC unroll 8
        for (size_t i = 0; i < lanes; ++i) stream_[first + i] = _mm_aesenclast_si128(blocks[i], round_keys_[Rounds]);
    }
}

/// A product of reversed numbers lacks a shift by one bit, which the hash key gets here, once for all.
void ShortGcm::make_powers() {
    const Block key = reversed(stream_[0]);
    const Block overflow = _mm_shuffle_epi32(_mm_srai_epi32(key, 31), 0xff);
    const Block shifted = _mm_or_si128(_mm_slli_epi64(key, 1), _mm_slli_si128(_mm_srli_epi64(key, 63), 8));
    powers_[0] = _mm_xor_si128(shifted, _mm_and_si128(overflow, block_of(0xc200'0000'0000'0000, 1)));
    powers_[1] = multiply(powers_[0], powers_[0]);
    powers_[2] = multiply(powers_[1], powers_[0]);
    powers_[3] = multiply(powers_[1], powers_[1]);
}

/// GHASH (SP 800-38D §6.4) of reversed blocks, and reversed itself: the first one to four, then four at a time.
ShortGcm::Block ShortGcm::hash(const Block* blocks, size_t count) const {
    Block sum{};
    for (size_t done = 0, group; done < count; done += group) {
        group = (count - done - 1) % power_count + 1;
        Product product;
        product.add(_mm_xor_si128(sum, blocks[done]), powers_[group - 1]);
        for (size_t i = 1; i < group; ++i) product.add(blocks[done + i], powers_[group - 1 - i]);
        sum = product.reduced();
    }
    return sum;
}

template <bool Sealing>
void ShortGcm::run(Suite suite, const uint8_t* key, std::span<const uint8_t, nonce_bytes> nonce,
                   std::span<const uint8_t> associated, std::span<const uint8_t> text, uint8_t* out, uint8_t* tag) {
    MILLRACE_ASSERT(takes(associated.size(), text.size()));
    const size_t whole = text.size() / 16, count = (text.size() + 15) / 16;
    if (suite == Suite::aes_128_gcm_sha256) {
        expand<10>(key);
        make_stream<10>(nonce, 2 + count);
    } else {
        expand<14>(key);
        make_stream<14>(nonce, 2 + count);
    }
    make_powers();

    Block hashed[1 + blocks_max + 1];  // public: what is associated, the ciphertext, both lengths
    std::array<uint8_t, associated_bytes_max> first{};
    std::ranges::copy(associated, first.begin());
    hashed[0] = reversed(load(first.data()));
    // The bytes behind the last whole block are read, and written, with some of those before, never beyond the end.
    const int tail = static_cast<int>(text.size() % 16);
    const Block last = without_front(load(text.data() + text.size() - 16), 16 - tail);
    Block made{};
    for (size_t i = 0; i < whole; ++i) {
        const Block block = load(text.data() + 16 * i);
        made = _mm_xor_si128(block, stream_[2 + i]);
        store(out + 16 * i, made);
        hashed[1 + i] = reversed(Sealing ? made : block);
    }
    if (tail != 0) {
        const Block cover = without_front(without_front(stream_[1 + count], tail - 16), 16 - tail);
        const Block rest = _mm_xor_si128(last, cover);
        store(out + text.size() - 16, _mm_or_si128(without_front(made, tail), without_front(rest, tail - 16)));
        hashed[count] = reversed(Sealing ? rest : last);
    }
    hashed[1 + count] = block_of(associated.size() * 8, text.size() * 8);
    const Block sum = reversed(hash(hashed, 2 + count));
    leave_in_memory();
    store(tag, _mm_xor_si128(sum, stream_[1]));
}

template void ShortGcm::run<true>(Suite, const uint8_t*, std::span<const uint8_t, nonce_bytes>,
                                  std::span<const uint8_t>, std::span<const uint8_t>, uint8_t*, uint8_t*);
template void ShortGcm::run<false>(Suite, const uint8_t*, std::span<const uint8_t, nonce_bytes>,
                                   std::span<const uint8_t>, std::span<const uint8_t>, uint8_t*, uint8_t*);

}  // namespace millrace::tls
