// Ethernet and IP of parse_frame, and the rules about addresses that hold for every protocol above them. The protocols
// themselves are in tcp.cpp, icmp.cpp, ndp.cpp and arp.cpp.
#include "dataplane/wire/frame.h"

#include "dataplane/base/fault.h"
#include "dataplane/wire/parse.h"

namespace millrace::wire {
namespace {

/// Addresses that no packet to or from a single host carries: 0/8, 127/8, multicast and the limited broadcast (RFC 1122
/// §3.2.1.3). Host order.
bool is_ipv4_martian(uint32_t address) {
    const uint32_t first = address >> 24;
    return first == 0 || first == 127 || (first & 0xf0) == 0xe0 || address == 0xffff'ffff;
}

/// ::1, and ::ffff:0:0/96, which only means something inside this program: from outside it would pass for IPv4.
bool is_ipv6_martian(const IpAddress& address) {
    constexpr IpAddress loopback{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    return address == loopback || (address.is_v4() && !fault(Fault::wire_mapped_address_accepted));
}

bool is_ipv6_multicast(const IpAddress& address) {
    return address.bytes[0] == 0xff;
}

DropReason read_ipv4(std::span<const uint8_t> bytes, const ParseOptions& options, IpPacket& out) {
    if (bytes.size() < ipv4_header_length) return DropReason::bad_length;
    const uint8_t* ip = bytes.data();
    const size_t header_length = size_t{ip[0] & 0x0fu} * 4;
    if ((ip[0] >> 4) != 4 || header_length < ipv4_header_length) return DropReason::bad_ip_header;
    const size_t total_length = load_be16(ip + 2);
    if (total_length < header_length || total_length > bytes.size()) return DropReason::bad_length;
    if (!options.ip_checksum_verified && checksum_fold(checksum_add(0, ip, header_length)) != 0xffff)
        return DropReason::bad_ip_checksum;
    constexpr uint16_t more_fragments_and_offset = 0x3fff;
    if ((load_be16(ip + 6) & more_fragments_and_offset) != 0 && !fault(Fault::wire_ipv4_fragment_accepted))
        return DropReason::fragment;
    if (is_ipv4_martian(load_be32(ip + 12))) return DropReason::martian_source;
    if (is_ipv4_martian(load_be32(ip + 16))) return DropReason::martian_destination;
    out.source = load_ipv4_address(ip + 12);
    out.destination = load_ipv4_address(ip + 16);
    out.protocol = ip[9];
    out.hop_limit = ip[8];
    out.ecn = ip[1] & 3;
    out.payload = bytes.subspan(header_length,
                                (fault(Fault::wire_padding_as_payload) ? bytes.size() : total_length) - header_length);
    return DropReason::none;
}

DropReason read_ipv6(std::span<const uint8_t> bytes, IpPacket& out) {
    if (bytes.size() < ipv6_header_length) return DropReason::bad_length;
    const uint8_t* ip = bytes.data();
    if ((ip[0] >> 4) != 6) return DropReason::bad_ip_header;
    const size_t total_length = ipv6_header_length + load_be16(ip + 4);
    if (total_length > bytes.size()) return DropReason::bad_length;
    out.source = load_ipv6_address(ip + 8);
    out.destination = load_ipv6_address(ip + 24);
    if (is_ipv6_martian(out.source) || is_ipv6_multicast(out.source)) return DropReason::martian_source;
    if (is_ipv6_martian(out.destination) || out.destination.is_unspecified()) return DropReason::martian_destination;
    UpperLayer upper{.protocol = ip[6], .offset = ipv6_header_length};
    if (is_extension_header(upper.protocol)) {
        upper = skip_extension_headers(bytes.first(total_length));
        if (upper.reason != DropReason::none) return upper.reason;
    }
    out.protocol = upper.protocol;
    out.hop_limit = ip[7];
    out.ecn = (ip[1] >> 4) & 3;
    out.payload = bytes.subspan(upper.offset, total_length - upper.offset);
    return DropReason::none;
}

/// Of the upper layers only ICMPv6 is spoken to groups and from nowhere (by NDP, which checks for itself).
DropReason parse_upper_layer(const IpPacket& packet, bool is_ipv6, const ParseOptions& options, ParsedFrame& out) {
    if (is_ipv6 && packet.protocol == protocol_icmpv6) return parse_icmpv6(packet, out);
    const bool is_tcp = packet.protocol == protocol_tcp;
    if (!is_tcp && (is_ipv6 || packet.protocol != protocol_icmp)) return DropReason::unknown_protocol;
    // A unicast packet in a link-layer broadcast is for nobody (RFC 1122 §3.3.6), and nobody sends to himself by wire.
    if (is_group(out.destination_mac)) return DropReason::martian_destination;
    if (packet.source == packet.destination) return DropReason::martian_source;
    if (is_ipv6) {
        if (packet.source.is_unspecified()) return DropReason::martian_source;
        if (is_ipv6_multicast(packet.destination)) return DropReason::martian_destination;
    }
    if (!is_tcp) return parse_icmp(packet, out);
    out.kind = FrameKind::tcp;
    return parse_tcp(packet, options.tcp_checksum_verified, out.tcp);
}

DropReason parse(std::span<const uint8_t> bytes, const ParseOptions& options, ParsedFrame& out) {
    EthernetHeader link;
    const DropReason link_reason = read_ethernet(bytes, options.vlan, link);
    if (link_reason == DropReason::bad_length) return link_reason;
    out.destination_mac = load_mac(bytes.data());
    out.source_mac = load_mac(bytes.data() + 6);
    out.vlan = link.vlan;
    if (link_reason != DropReason::none) return link_reason;
    if (is_group(out.source_mac)) return DropReason::martian_source;

    const std::span<const uint8_t> payload = bytes.subspan(link.length);
    const bool is_ipv6 = link.ethertype == ethertype_ipv6;
    IpPacket packet;
    DropReason reason;
    if (link.ethertype == ethertype_ipv4) {
        reason = read_ipv4(payload, options, packet);
    } else if (is_ipv6) {
        reason = read_ipv6(payload, packet);
    } else if (link.ethertype == ethertype_arp) {
        out.kind = FrameKind::arp;
        return parse_arp(payload, out.arp);
    } else {
        return DropReason::unknown_ethertype;
    }
    return reason == DropReason::none ? parse_upper_layer(packet, is_ipv6, options, out) : reason;
}

}  // namespace

FrameKind parse_frame(std::span<const uint8_t> bytes, const ParseOptions& options, ParsedFrame& out) {
    out.drop_reason = parse(bytes, options, out);
    if (out.drop_reason != DropReason::none) out.kind = FrameKind::dropped;
    return out.kind;
}

}  // namespace millrace::wire
