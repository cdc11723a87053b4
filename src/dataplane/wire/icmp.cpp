// ICMP (RFC 792, RFC 1191) and ICMPv6 (RFC 4443): echoes both ways, errors inwards only. NDP is in ndp.cpp.
#include "dataplane/wire/packet_writer.h"
#include "dataplane/wire/parse.h"
#include "dataplane/wire/write.h"

namespace millrace::wire {
namespace {

enum IcmpType : uint8_t {
    icmp_echo_reply = 0,
    icmp_unreachable = 3,
    icmp_redirect = 5,
    icmp_echo_request = 8,
    icmp_router_advertisement = 9,
    icmp_time_exceeded = 11,
};
constexpr uint8_t icmp_code_fragmentation_needed = 4;

enum Icmpv6Type : uint8_t {
    icmpv6_unreachable = 1,
    icmpv6_packet_too_big = 2,
    icmpv6_time_exceeded = 3,
    icmpv6_echo_request = 128,
    icmpv6_echo_reply = 129,
    icmpv6_router_advertisement = 134,
    icmpv6_neighbour_solicitation = 135,
    icmpv6_neighbour_advertisement = 136,
    icmpv6_redirect = 137,
};

constexpr size_t icmp_header_length = 8;
constexpr size_t tcp_bytes_in_error = 8;  // ports and sequence number, all that RFC 792 promises

DropReason parse_echo(const IpPacket& packet, FrameKind kind, ParsedFrame& out) {
    const uint8_t* icmp = packet.payload.data();
    out.kind = kind;
    out.echo = {.source = packet.source,
                .destination = packet.destination,
                .id = load_be16(icmp + 4),
                .sequence = load_be16(icmp + 6),
                .payload = packet.payload.subspan(icmp_header_length)};
    return DropReason::none;
}

/// The first bytes of the TCP segment that the error is about, or too few of them.
DropReason parse_embedded_tcp(std::span<const uint8_t> tcp, IcmpError& error) {
    if (tcp.size() < tcp_bytes_in_error) return DropReason::bad_length;
    error.embedded_is_tcp = true;
    error.embedded_source_port = load_be16(tcp.data());
    error.embedded_destination_port = load_be16(tcp.data() + 2);
    error.embedded_seq = load_be32(tcp.data() + 4);
    return DropReason::none;
}

DropReason parse_embedded_ipv4(std::span<const uint8_t> ip, IcmpError& error) {
    if (ip.size() < ipv4_header_length) return DropReason::bad_length;
    const size_t header_length = size_t{ip[0] & 0x0fu} * 4;
    if ((ip[0] >> 4) != 4 || header_length < ipv4_header_length) return DropReason::bad_ip_header;
    if (header_length > ip.size()) return DropReason::bad_length;
    error.embedded_source = load_ipv4_address(ip.data() + 12);
    error.embedded_destination = load_ipv4_address(ip.data() + 16);
    if (ip[9] != protocol_tcp) return DropReason::none;
    return parse_embedded_tcp(ip.subspan(header_length), error);
}

/// We send no extension headers, so an embedded packet that has some is not about TCP of ours.
DropReason parse_embedded_ipv6(std::span<const uint8_t> ip, IcmpError& error) {
    if (ip.size() < ipv6_header_length) return DropReason::bad_length;
    if ((ip[0] >> 4) != 6) return DropReason::bad_ip_header;
    error.embedded_source = load_ipv6_address(ip.data() + 8);
    error.embedded_destination = load_ipv6_address(ip.data() + 24);
    // Mapped addresses would name an IPv4 connection.
    if (error.embedded_source.is_v4()) return DropReason::martian_source;
    if (error.embedded_destination.is_v4()) return DropReason::martian_destination;
    if (ip[6] != protocol_tcp) return DropReason::none;
    return parse_embedded_tcp(ip.subspan(ipv6_header_length), error);
}

DropReason parse_error(const IpPacket& packet, IcmpErrorKind kind, uint32_t mtu, ParsedFrame& out) {
    out.kind = FrameKind::icmp_error;
    out.error = {};
    out.error.source = packet.source;
    out.error.destination = packet.destination;
    out.error.kind = kind;
    out.error.code = packet.payload[1];
    if (kind == IcmpErrorKind::packet_too_big) out.error.mtu = mtu;
    const std::span<const uint8_t> embedded = packet.payload.subspan(icmp_header_length);
    return packet.source.is_v4() ? parse_embedded_ipv4(embedded, out.error) : parse_embedded_ipv6(embedded, out.error);
}

size_t write_echo(std::span<uint8_t> out, const LinkHeader& link, const IcmpEcho& echo, const WriteOptions& options,
                  uint8_t type_v4, uint8_t type_v6) {
    const bool is_v4 = echo.source.is_v4();
    const size_t length = icmp_header_length + echo.payload.size();
    const uint8_t protocol = is_v4 ? protocol_icmp : protocol_icmpv6;
    uint8_t* const icmp = write_ip_packet(
        out, link, {.source = echo.source, .destination = echo.destination, .protocol = protocol, .ttl = options.ttl},
        length);
    if (icmp == nullptr) return 0;
    PacketWriter writer(icmp, is_v4 ? 0 : pseudo_header_sum(echo.source, echo.destination, protocol, length));
    writer.word(uint32_t{is_v4 ? type_v4 : type_v6} << 24);
    writer.word(uint32_t{echo.id} << 16 | echo.sequence);
    writer.bytes(echo.payload.data(), echo.payload.size());
    store_raw(icmp + 2, checksum_finish(writer.sum()));
    return static_cast<size_t>(icmp - out.data()) + length;
}

}  // namespace

DropReason parse_icmp(const IpPacket& packet, ParsedFrame& out) {
    const std::span<const uint8_t> message = packet.payload;
    if (message.size() < icmp_header_length) return DropReason::bad_length;
    if (checksum_fold(checksum_add(0, message.data(), message.size())) != 0xffff) return DropReason::bad_icmp_checksum;
    const uint8_t code = message[1];
    switch (message[0]) {
        case icmp_echo_request:
            return parse_echo(packet, FrameKind::icmp_echo_request, out);
        case icmp_echo_reply:
            return parse_echo(packet, FrameKind::icmp_echo_reply, out);
        case icmp_unreachable:
            return parse_error(
                packet,
                code == icmp_code_fragmentation_needed ? IcmpErrorKind::packet_too_big : IcmpErrorKind::unreachable,
                load_be16(message.data() + 6), out);
        case icmp_time_exceeded:
            return parse_error(packet, IcmpErrorKind::time_exceeded, 0, out);
        case icmp_redirect:
            return DropReason::icmp_redirect;
        case icmp_router_advertisement:
            return DropReason::router_advertisement;
        default:
            return DropReason::unknown_icmp_type;
    }
}

DropReason parse_icmpv6(const IpPacket& packet, ParsedFrame& out) {
    const std::span<const uint8_t> message = packet.payload;
    if (message.size() < icmp_header_length) return DropReason::bad_length;
    const uint64_t pseudo = pseudo_header_sum(packet.source, packet.destination, protocol_icmpv6, message.size());
    if (checksum_fold(checksum_add(pseudo, message.data(), message.size())) != 0xffff)
        return DropReason::bad_icmp_checksum;
    const uint8_t type = message[0];
    if (packet.source.is_unspecified() && type != icmpv6_neighbour_solicitation) return DropReason::martian_source;
    switch (type) {
        case icmpv6_neighbour_solicitation:
        case icmpv6_neighbour_advertisement:
            return parse_ndp(packet, out);
        case icmpv6_echo_request:
            return parse_echo(packet, FrameKind::icmp_echo_request, out);
        case icmpv6_echo_reply:
            return parse_echo(packet, FrameKind::icmp_echo_reply, out);
        case icmpv6_unreachable:
            return parse_error(packet, IcmpErrorKind::unreachable, 0, out);
        case icmpv6_packet_too_big:
            return parse_error(packet, IcmpErrorKind::packet_too_big, load_be32(message.data() + 4), out);
        case icmpv6_time_exceeded:
            return parse_error(packet, IcmpErrorKind::time_exceeded, 0, out);
        case icmpv6_redirect:
            return DropReason::icmp_redirect;
        case icmpv6_router_advertisement:
            return DropReason::router_advertisement;
        default:
            return DropReason::unknown_icmp_type;
    }
}

size_t write_icmp_echo_request(std::span<uint8_t> out, const LinkHeader& link, const IcmpEcho& echo,
                               const WriteOptions& options) {
    return write_echo(out, link, echo, options, icmp_echo_request, icmpv6_echo_request);
}

size_t write_icmp_echo_reply(std::span<uint8_t> out, const LinkHeader& link, const IcmpEcho& echo,
                             const WriteOptions& options) {
    return write_echo(out, link, echo, options, icmp_echo_reply, icmpv6_echo_reply);
}

}  // namespace millrace::wire
