// What IPv4 (RFC 791) and IPv6 (RFC 8200) have in common for this stack: addresses in their mapped form, protocol
// numbers, and the walk over IPv6 extension headers.
#pragma once

#include <cstdint>
#include <span>

#include <millrace/address.h>

#include "dataplane/wire/bytes.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/drop_reason.h"

namespace millrace::wire {

enum IpProtocol : uint8_t {
    protocol_hop_by_hop = 0,
    protocol_icmp = 1,
    protocol_tcp = 6,
    protocol_routing = 43,
    protocol_fragment = 44,
    protocol_icmpv6 = 58,
    protocol_destination_options = 60,
};

inline constexpr size_t ipv4_header_length = 20;  ///< without options
inline constexpr size_t ipv6_header_length = 40;

/// A packet's IP layer after its checks: payload is cut to the length that the header states.
struct IpPacket {
    IpAddress source{};
    IpAddress destination{};
    uint8_t protocol = 0;   ///< the upper layer, behind all extension headers
    uint8_t hop_limit = 0;  ///< or TTL
    uint8_t ecn = 0;
    std::span<const uint8_t> payload;
};

/// Reads four bytes of an IPv4 address into the mapped form.
inline IpAddress load_ipv4_address(const uint8_t* at) {
    IpAddress address{};
    address.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::memcpy(address.bytes.data() + 12, at, 4);
    return address;
}

inline IpAddress load_ipv6_address(const uint8_t* at) {
    IpAddress address{};
    std::memcpy(address.bytes.data(), at, 16);
    return address;
}

/// The checksum's pseudo header (RFC 9293 §3.1, RFC 8200 §8.1) as a running sum. `length` is that of the upper layer,
/// header and payload. One form serves both families: the ::ffff: of a mapped address adds zero in one's complement.
inline uint64_t pseudo_header_sum(const IpAddress& source, const IpAddress& destination, uint8_t protocol,
                                  size_t length) {
    const uint64_t sum = checksum_add(checksum_add(0, source.bytes.data(), 16), destination.bytes.data(), 16);
    return sum + (uint64_t{protocol} << 8) + __builtin_bswap16(static_cast<uint16_t>(length));
}

/// True for the headers that skip_extension_headers knows.
inline bool is_extension_header(uint8_t protocol) {
    return protocol == protocol_hop_by_hop || protocol == protocol_routing || protocol == protocol_fragment ||
           protocol == protocol_destination_options;
}

struct UpperLayer {
    DropReason reason = DropReason::none;  ///< when not none, the rest means nothing
    uint8_t protocol = 0;
    size_t offset = 0;  ///< from the start of the IPv6 header
};

/// Skips hop-by-hop, routing and destination options headers, at most `extension_header_count_max` of them. `packet`
/// starts at the IPv6 header and holds at least its 40 bytes. A fragment header gives `fragment`.
UpperLayer skip_extension_headers(std::span<const uint8_t> packet);
inline constexpr int extension_header_count_max = 6;

}  // namespace millrace::wire
