// SipHash (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012), the keyed hash behind everything that a peer
// could otherwise aim at: the flow table, ip_hash and Maglev keys, offsets of source ports. One compression and three
// finalization rounds (SipHash-1-3) suffice where the output is never shown to the peer; the template takes other
// rounds, so that the published SipHash-2-4 vectors check the same code. RSS does not use this hash: see toeplitz.h.
//
// Pure functions, any thread. The key is a secret of the region file and is chosen once per instance.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#include <millrace/address.h>

#include "dataplane/base/fault.h"

namespace millrace {

static_assert(std::endian::native == std::endian::little, "SipHash words are little-endian");

/// The 128-bit key; its 16 bytes in the order of the paper.
struct SipKey {
    uint64_t k0 = 0;
    uint64_t k1 = 0;
};
static_assert(sizeof(SipKey) == 16 && std::is_trivially_copyable_v<SipKey>);

/// The running state: absorb() every whole 8-byte word, then finish() once with the last word, which holds the
/// remaining 0…7 bytes and, in its top byte, the length of the whole input modulo 256.
template <int compression_rounds, int finalization_rounds>
class SipHash {
  public:
    explicit SipHash(const SipKey& key)
        : v0_(key.k0 ^ 0x736f6d6570736575),
          v1_(key.k1 ^ 0x646f72616e646f6d),
          v2_(key.k0 ^ 0x6c7967656e657261),
          v3_(key.k1 ^ 0x7465646279746573) {}

    void absorb(uint64_t word) {
        v3_ ^= word;
        rounds<compression_rounds>();
        v0_ ^= word;
    }

    uint64_t finish(uint64_t last_word) {
        absorb(last_word);
        v2_ ^= 0xff;
        rounds<finalization_rounds>();
        return v0_ ^ v1_ ^ v2_ ^ v3_;
    }

  private:
    template <int count>
    void rounds() {
        for (int i = 0; i < count; ++i) {
            v0_ += v1_;
            v2_ += v3_;
            v1_ = std::rotl(v1_, 13) ^ v0_;
            v3_ = std::rotl(v3_, 16) ^ v2_;
            v0_ = std::rotl(v0_, 32);
            v2_ += v1_;
            v0_ += v3_;
            v1_ = std::rotl(v1_, 17) ^ v2_;
            v3_ = std::rotl(v3_, 21) ^ v0_;
            v2_ = std::rotl(v2_, 32);
        }
    }

    uint64_t v0_, v1_, v2_, v3_;
};

/// SipHash-c-d of any bytes.
template <int compression_rounds, int finalization_rounds>
uint64_t siphash(const SipKey& key, std::span<const uint8_t> bytes) {
    SipHash<compression_rounds, finalization_rounds> state(key);
    const size_t whole = bytes.size() / 8;
    for (size_t i = 0; i < whole; ++i) {
        uint64_t word;
        std::memcpy(&word, bytes.data() + 8 * i, 8);
        state.absorb(word);
    }
    uint64_t last = static_cast<uint64_t>(bytes.size()) << 56;
    for (size_t i = 8 * whole; i < bytes.size(); ++i) last |= static_cast<uint64_t>(bytes[i]) << (8 * (i % 8));
    return state.finish(last);
}

/// SipHash-1-3 of any bytes, such as a header value.
inline uint64_t siphash13(const SipKey& key, std::span<const uint8_t> bytes) {
    return siphash<1, 3>(key, bytes);
}

/// Hash of a connection's four-tuple for the flow table; ports in host order. It is SipHash-1-3 of source address,
/// destination address (4 bytes each for IPv4, 16 for IPv6) and the ports; the two families differ in length and so
/// never share an input. All 64 bits are equally good. Both addresses are of one family.
inline uint64_t flow_hash(const SipKey& key, const IpAddress& source, const IpAddress& destination,
                          uint16_t source_port, uint16_t destination_port) {
    if (fault(Fault::flow_hash_ignores_source_port)) source_port = 0;
    const uint64_t ports = static_cast<uint64_t>(source_port) << 16 | destination_port;
    SipHash<1, 3> state(key);
    if (source.is_v4()) {
        state.absorb(static_cast<uint64_t>(destination.v4_network_order()) << 32 | source.v4_network_order());
        return state.finish(uint64_t{12} << 56 | ports);
    }
    uint64_t words[4];
    std::memcpy(words, source.bytes.data(), 16);
    std::memcpy(words + 2, destination.bytes.data(), 16);
    for (uint64_t word : words) state.absorb(word);
    return state.finish(uint64_t{36} << 56 | ports);
}

/// Hash of a client's address for ip_hash and Maglev. IPv4: the whole address. IPv6: the /64 only, because a host keeps
/// its prefix while it changes the rest at will (RFC 8981), and it should keep its server too.
inline uint64_t client_hash(const SipKey& key, const IpAddress& client) {
    SipHash<1, 3> state(key);
    if (client.is_v4()) return state.finish(uint64_t{4} << 56 | client.v4_network_order());
    uint64_t prefix;
    std::memcpy(&prefix, client.bytes.data(), 8);
    state.absorb(prefix);
    return state.finish(uint64_t{8} << 56);
}

}  // namespace millrace
