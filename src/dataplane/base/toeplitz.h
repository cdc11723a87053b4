// The Toeplitz hash of receive-side scaling: the same 32 bits as the NIC computes for a TCP packet (input: source
// address, destination address, source port, destination port, in network order; a 40-byte key). It decides the shard
// of a packet where the device has no RSS, and it lets us choose source ports whose answers land on a wanted shard
// (port_classes.h). It is linear over XOR and therefore no protection against a peer: tables use siphash.h.
//
// One lookup per input byte: table n holds the contribution of each value of byte n. IPv4's 12 bytes and IPv6's 36
// begin at the same key bit, so they share the tables: 36 KiB in all, of which IPv4 touches 12. Built once at start,
// then read-only and shared by all workers. An IPv4-mapped address is hashed as IPv4; a packet that carries such an
// address inside an IPv6 header must have been dropped before.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <millrace/address.h>

namespace millrace {

class Toeplitz {
  public:
    static constexpr size_t key_size = 40;

    explicit Toeplitz(std::span<const uint8_t, key_size> key);

    /// Ports in host order; both addresses of one family.
    uint32_t hash(const IpAddress& source, const IpAddress& destination, uint16_t source_port,
                  uint16_t destination_port) const {
        const bool v4 = source.is_v4();
        return (v4 ? partial_v4(source, destination, source_port) : partial_v6(source, destination, source_port)) ^
               destination_port_part(v4, destination_port);
    }

    /// The hash of everything but the destination port: hash(s, d, sp, dp) is this XOR destination_port_part(dp).
    uint32_t hash_without_destination_port(const IpAddress& source, const IpAddress& destination,
                                           uint16_t source_port) const {
        return source.is_v4() ? partial_v4(source, destination, source_port)
                              : partial_v6(source, destination, source_port);
    }

    /// What a destination port contributes to the hash in a packet of that family.
    uint32_t destination_port_part(bool v4, uint16_t destination_port) const {
        return port_part(v4 ? 10 : 34, destination_port);
    }

  private:
    uint32_t partial_v4(const IpAddress& source, const IpAddress& destination, uint16_t source_port) const {
        uint32_t hash = port_part(8, source_port);
        for (size_t i = 0; i < 4; ++i)
            hash ^= tables_[i][source.bytes[12 + i]] ^ tables_[4 + i][destination.bytes[12 + i]];
        return hash;
    }

    uint32_t partial_v6(const IpAddress& source, const IpAddress& destination, uint16_t source_port) const {
        uint32_t hash = port_part(32, source_port);
        for (size_t i = 0; i < 16; ++i) hash ^= tables_[i][source.bytes[i]] ^ tables_[16 + i][destination.bytes[i]];
        return hash;
    }

    uint32_t port_part(size_t position, uint16_t port) const {
        return tables_[position][port >> 8] ^ tables_[position + 1][port & 0xff];
    }

    static constexpr size_t input_size_max = 36;

    std::array<std::array<uint32_t, 256>, input_size_max> tables_;
};

}  // namespace millrace
