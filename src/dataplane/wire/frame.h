// The way in: one received Ethernet frame becomes a checked value, or a reason why it was dropped. Nothing is copied
// but header fields; payload spans point into the frame. Bytes are hostile: no read ever leaves the span. Any thread.
//
//   peek_flow    first pass over a burst: addresses and ports without validation, to hash and prefetch
//   parse_frame  second pass: lengths, checksums, options, address sanity; RFC 791, 826, 792, 4443, 4861, 8200, 9293
//
// Whether a frame is for us (MAC and IP destination) is the caller's question, and so is whether the answer is wanted.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <millrace/address.h>

#include "dataplane/wire/drop_reason.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"
#include "dataplane/wire/tcp_segment.h"

namespace millrace::wire {

enum class FrameKind : uint8_t {
    tcp,
    arp,
    icmp_echo_request,
    icmp_echo_reply,
    icmp_error,
    ndp_solicitation,
    ndp_advertisement,
    dropped,
};

struct ParseOptions {
    uint16_t vlan = 0;                   ///< the VLAN id expected; 0: untagged
    bool ip_checksum_verified = false;   ///< the device found the IPv4 header checksum good
    bool tcp_checksum_verified = false;  ///< the device found it good, or the sender left it to a device that never was
};

/// RFC 826 for Ethernet and IPv4. Addresses are mapped; an RFC 5227 probe has the sender ::ffff:0.0.0.0.
struct ArpPacket {
    bool is_request = false;
    MacAddress sender_mac{};
    IpAddress sender{};
    MacAddress target_mac{};
    IpAddress target{};
};

/// Echo request or reply, RFC 792 and RFC 4443 §4.
struct IcmpEcho {
    IpAddress source{};
    IpAddress destination{};
    uint16_t id = 0;
    uint16_t sequence = 0;
    std::span<const uint8_t> payload;
};

enum class IcmpErrorKind : uint8_t { unreachable, packet_too_big, time_exceeded };

/// An ICMP error of either family about a packet that we sent: `embedded_*` are that packet's fields, ours being the
/// source. A claim by anyone: the receiver checks seq against its window (RFC 5927 §4.1).
struct IcmpError {
    IpAddress source{};  ///< who reports
    IpAddress destination{};
    IcmpErrorKind kind = IcmpErrorKind::unreachable;  ///< IPv4's "fragmentation needed" counts as packet_too_big
    uint8_t code = 0;                                 ///< as on the wire; its meaning depends on the family
    uint32_t mtu = 0;                                 ///< packet_too_big only; 0 from routers older than RFC 1191
    bool embedded_is_tcp = false;                     ///< when false, ports and seq mean nothing
    IpAddress embedded_source{};
    IpAddress embedded_destination{};
    uint16_t embedded_source_port = 0;
    uint16_t embedded_destination_port = 0;
    uint32_t embedded_seq = 0;
};

/// Neighbour solicitation or advertisement that passed every check of RFC 4861 §7.1.
struct NdpMessage {
    IpAddress source{};  ///< unspecified in duplicate address detection (RFC 4862 §5.4)
    IpAddress destination{};
    IpAddress target{};
    bool has_link_address = false;
    MacAddress link_address{};  ///< source (solicitation) or target (advertisement) link-layer address option
    bool is_router = false;     ///< flags R, S and O; advertisements only
    bool is_solicited = false;
    bool is_override = false;
};

/// One frame. Only the members of its kind are filled; the others keep what an earlier frame left, so one object can
/// serve a whole burst without being cleared.
struct ParsedFrame {
    FrameKind kind = FrameKind::dropped;
    DropReason drop_reason = DropReason::none;  ///< not none exactly when dropped
    uint16_t vlan = 0;                          ///< 0 when untagged
    MacAddress source_mac{};                    ///< these three also of a dropped frame, unless bad_length
    MacAddress destination_mac{};
    TcpSegment tcp;   ///< tcp; RFC 9293 options that may stand only on a SYN are absent on other segments
    ArpPacket arp;    ///< arp
    IcmpEcho echo;    ///< icmp_echo_request, icmp_echo_reply
    IcmpError error;  ///< icmp_error
    NdpMessage ndp;   ///< ndp_solicitation, ndp_advertisement
};

/// Parses one frame into `out` and returns `out.kind`. Never fails otherwise: whatever is not understood is `dropped`
/// with its reason. Bytes behind the length that the IP header states (Ethernet padding) are ignored.
FrameKind parse_frame(std::span<const uint8_t> bytes, const ParseOptions& options, ParsedFrame& out);

/// A packet's addresses as it carries them; ports are 0 unless it is TCP.
struct FlowKey {
    IpAddress source{};
    IpAddress destination{};
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
    bool is_tcp = false;

    bool operator==(const FlowKey&) const = default;
};

/// The flow of a frame, without validating anything: a hint for hashing and prefetching. Empty when the frame is not IP
/// on this VLAN (0: untagged) or too short to tell. Whatever parse_frame calls tcp has the same key here.
inline std::optional<FlowKey> peek_flow(std::span<const uint8_t> bytes, uint16_t vlan) {
    EthernetHeader link;
    if (read_ethernet(bytes, vlan, link) != DropReason::none) return std::nullopt;
    const std::span<const uint8_t> packet = bytes.subspan(link.length);
    const uint8_t* ip = packet.data();
    FlowKey key;
    uint8_t protocol;
    size_t upper;
    if (link.ethertype == ethertype_ipv4) {
        if (packet.size() < ipv4_header_length) return std::nullopt;
        key.source = load_ipv4_address(ip + 12);
        key.destination = load_ipv4_address(ip + 16);
        protocol = ip[9];
        upper = size_t{ip[0] & 0x0fu} * 4;
    } else if (link.ethertype == ethertype_ipv6) {
        if (packet.size() < ipv6_header_length) return std::nullopt;
        key.source = load_ipv6_address(ip + 8);
        key.destination = load_ipv6_address(ip + 24);
        protocol = ip[6];
        upper = ipv6_header_length;
        if (is_extension_header(protocol)) {
            const UpperLayer found = skip_extension_headers(packet);
            if (found.reason != DropReason::none) return std::nullopt;
            protocol = found.protocol;
            upper = found.offset;
        }
    } else {
        return std::nullopt;
    }
    if (protocol == protocol_tcp) {
        if (packet.size() < upper + 4) return std::nullopt;
        key.source_port = load_be16(ip + upper);
        key.destination_port = load_be16(ip + upper + 2);
        key.is_tcp = true;
    }
    return key;
}

}  // namespace millrace::wire
