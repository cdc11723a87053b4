// Frames for the tests of the wire layer, put together byte by byte without any code of that layer, so that parser and
// writer are judged by something that shares none of their mistakes. Slow and obvious on purpose.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include <millrace/address.h>

namespace millrace::wire::test {

using Bytes = std::vector<uint8_t>;

inline void append(Bytes& to, std::span<const uint8_t> from) {
    to.insert(to.end(), from.begin(), from.end());
}

inline Bytes concat(std::initializer_list<Bytes> parts) {
    Bytes all;
    for (const Bytes& part : parts) append(all, part);
    return all;
}

inline Bytes be16(unsigned value) {
    return {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
}
inline Bytes be32(uint32_t value) {
    return concat({be16(value >> 16), be16(value & 0xffff)});
}

inline void put16(Bytes& bytes, size_t at, unsigned value) {
    bytes.at(at) = static_cast<uint8_t>(value >> 8);
    bytes.at(at + 1) = static_cast<uint8_t>(value);
}

/// RFC 1071 as its §1 states it: 16-bit words in network order, end-around carry, complement.
inline unsigned reference_checksum(std::span<const uint8_t> bytes) {
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes.size(); ++i) {
        sum += i % 2 == 0 ? unsigned{bytes[i]} << 8 : bytes[i];
        if (sum > 0xffff) sum = (sum & 0xffff) + 1;
    }
    return ~sum & 0xffff;
}

inline const MacAddress our_mac{{0x02, 0, 0, 0, 0, 0x01}};
inline const MacAddress peer_mac{{0x02, 0, 0, 0, 0, 0x02}};
inline const IpAddress our_v4 = IpAddress::v4(198, 18, 0, 1);
inline const IpAddress peer_v4 = IpAddress::v4(198, 18, 0, 2);
inline const IpAddress our_v6{{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0x22, 0x33}};
inline const IpAddress peer_v6{{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x44, 0x55, 0x66}};

inline Bytes address_bytes(const IpAddress& address) {
    return Bytes(address.bytes.begin() + (address.is_v4() ? 12 : 0), address.bytes.end());
}

struct RawLink {
    MacAddress source = peer_mac;
    MacAddress destination = our_mac;
    int tag = -1;  ///< the whole tag control information; -1: untagged
};

inline Bytes raw_ethernet(unsigned ethertype, const Bytes& payload, const RawLink& link = {}) {
    Bytes frame;
    append(frame, link.destination.bytes);
    append(frame, link.source.bytes);
    if (link.tag >= 0) append(frame, concat({be16(0x8100), be16(static_cast<unsigned>(link.tag))}));
    append(frame, be16(ethertype));
    append(frame, payload);
    return frame;
}

struct RawIp {
    IpAddress source = peer_v4;
    IpAddress destination = our_v4;
    uint8_t protocol = 6;  ///< of the payload, or of the first extension header
    uint8_t hop_limit = 64;
    uint8_t traffic_class = 0;
    unsigned fragment = 0x4000;  ///< IPv4: flags and offset
    Bytes between{};             ///< IPv4 options (a multiple of 4) or IPv6 extension headers
};

inline RawIp raw_v6(uint8_t protocol) {
    return {.source = peer_v6, .destination = our_v6, .protocol = protocol};
}

inline Bytes raw_ip(const RawIp& ip, const Bytes& payload) {
    const auto length = static_cast<unsigned>(ip.between.size() + payload.size());
    Bytes packet;
    if (ip.source.is_v4() && ip.destination.is_v4()) {
        packet = concat({{static_cast<uint8_t>(0x45 + ip.between.size() / 4), ip.traffic_class},
                         be16(20 + length),
                         be16(0),
                         be16(ip.fragment),
                         {ip.hop_limit, ip.protocol},
                         be16(0),
                         address_bytes(ip.source),
                         address_bytes(ip.destination),
                         ip.between});
        put16(packet, 10, reference_checksum(packet));
        append(packet, payload);
        return packet;
    }
    packet = concat({be32(0x6000'0000u | uint32_t{ip.traffic_class} << 20), be16(length), {ip.protocol, ip.hop_limit}});
    append(packet, ip.source.bytes);
    append(packet, ip.destination.bytes);
    append(packet, ip.between);
    append(packet, payload);
    return packet;
}

/// Fills the 16-bit checksum at `at` of `upper`, over the pseudo header of these addresses.
inline void fill_checksum(Bytes& upper, size_t at, const IpAddress& source, const IpAddress& destination,
                          uint8_t protocol) {
    put16(upper, at, 0);
    const Bytes covered = concat({address_bytes(source), address_bytes(destination),
                                  be32(static_cast<uint32_t>(upper.size())), be32(protocol), upper});
    put16(upper, at, reference_checksum(covered));
}

struct RawTcp {
    IpAddress source = peer_v4;
    IpAddress destination = our_v4;
    uint8_t flags = 0x10;
    Bytes options{};  ///< a multiple of 4
    Bytes payload{};
};

/// Ports 4660 → 443, seq 0x01020304, ack 0x05060708, window 0x1122, urgent pointer 0x3344.
inline Bytes raw_tcp(const RawTcp& tcp) {
    Bytes segment = concat({be16(4660),
                            be16(443),
                            be32(0x0102'0304),
                            be32(0x0506'0708),
                            {static_cast<uint8_t>((5 + tcp.options.size() / 4) << 4), tcp.flags},
                            be16(0x1122),
                            be16(0),
                            be16(0x3344),
                            tcp.options,
                            tcp.payload});
    fill_checksum(segment, 16, tcp.source, tcp.destination, 6);
    return segment;
}

inline Bytes raw_tcp_frame_v4(const RawTcp& tcp = {}, const RawIp& ip = {}, const RawLink& link = {}) {
    return raw_ethernet(0x0800, raw_ip(ip, raw_tcp(tcp)), link);
}

inline Bytes raw_tcp_frame_v6(RawTcp tcp = {}, const RawIp& ip = raw_v6(6), const RawLink& link = {}) {
    tcp.source = ip.source;
    tcp.destination = ip.destination;
    return raw_ethernet(0x86dd, raw_ip(ip, raw_tcp(tcp)), link);
}

/// `message`: a whole ICMP message of the family of `ip`; its checksum field is filled here.
inline Bytes raw_icmp_frame(Bytes message, const RawIp& ip, const RawLink& link = {}) {
    if (ip.source.is_v4() && ip.destination.is_v4()) {
        put16(message, 2, 0);
        put16(message, 2, reference_checksum(message));
        return raw_ethernet(0x0800, raw_ip(ip, message), link);
    }
    fill_checksum(message, 2, ip.source, ip.destination, 58);
    return raw_ethernet(0x86dd, raw_ip(ip, message), link);
}

inline const RawIp icmp_v4{.protocol = 1};
inline const RawIp icmp_v6{.source = peer_v6, .destination = our_v6, .protocol = 58};
inline const RawIp ndp_v6{.source = peer_v6, .destination = our_v6, .protocol = 58, .hop_limit = 255};

/// Type, code, the word after the checksum, and the rest.
inline Bytes raw_icmp(uint8_t type, uint8_t code, uint32_t word = 0, const Bytes& rest = {}) {
    return concat({{type, code, 0, 0}, be32(word), rest});
}

inline Bytes raw_ndp(uint8_t type, uint32_t flags, const IpAddress& target, const Bytes& options = {}) {
    return raw_icmp(type, 0, flags, concat({address_bytes(target), options}));
}

inline Bytes raw_arp(unsigned operation) {
    return concat({{0, 1, 8, 0, 6, 4},
                   be16(operation),
                   {2, 0, 0, 0, 0, 2},
                   {198, 18, 0, 2},
                   {0, 0, 0, 0, 0, 0},
                   {198, 18, 0, 1}});
}

}  // namespace millrace::wire::test
