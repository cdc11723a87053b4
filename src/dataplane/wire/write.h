// The way out: whole Ethernet frames written into a caller's buffer. Each function returns the frame's length, or 0
// when it does not fit into `out` (or into an IP packet, or the two addresses differ in family). Frames are not padded
// to Ethernet's 60 bytes: that is the device's work. Any thread; nothing is kept.
//
// IPv4 goes out with DF set and id 0 (RFC 6864 §4.1), IPv6 with flow label 0. A tag carries priority 0.
#pragma once

#include <cstdint>
#include <span>

#include <millrace/address.h>

#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/tcp_segment.h"

namespace millrace::wire {

struct WriteOptions {
    uint8_t ttl = 64;  ///< or hop limit
};

/// A TCP segment (RFC 9293 §3.1), its pieces gathered in order. ip_ecn goes into the IP header. On a SYN the options
/// are MSS, SACK permitted, timestamps and window scale; else timestamps and SACK blocks, of which as many are written
/// as fit (three beside timestamps). Asserts that the pieces sum to payload_length.
size_t write_tcp(std::span<uint8_t> out, const LinkHeader& link, const OutboundSegment& segment,
                 const WriteOptions& options);

/// Bytes of the TCP header that write_tcp makes: 20…60, a multiple of 4. What is left of the path's MTU is payload.
size_t tcp_header_length(const TcpOptions& options, bool syn);

/// RFC 826 request or reply. The link source is usually, but need not be, packet.sender_mac.
size_t write_arp(std::span<uint8_t> out, const LinkHeader& link, const ArpPacket& packet);

/// Echo request or reply of the addresses' family, with `echo.payload` copied.
size_t write_icmp_echo_request(std::span<uint8_t> out, const LinkHeader& link, const IcmpEcho& echo,
                               const WriteOptions& options);
size_t write_icmp_echo_reply(std::span<uint8_t> out, const LinkHeader& link, const IcmpEcho& echo,
                             const WriteOptions& options);

/// RFC 4861 §4.3 and §4.4, hop limit 255. `message.destination` may be unicast or multicast; the link-layer address
/// option is written when has_link_address (never set it with an unspecified source, RFC 4861 §4.3).
size_t write_ndp_solicitation(std::span<uint8_t> out, const LinkHeader& link, const NdpMessage& message);
size_t write_ndp_advertisement(std::span<uint8_t> out, const LinkHeader& link, const NdpMessage& message);

/// ff02::1:ffXX:XXXX of an IPv6 address (RFC 4291 §2.7.1): where its first solicitation goes.
IpAddress solicited_node_address(const IpAddress& target);

/// ff02::1, where unsolicited advertisements go.
inline constexpr IpAddress all_nodes_address{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

/// 33:33 and the last four bytes of an IPv6 multicast address (RFC 2464 §7).
MacAddress multicast_mac(const IpAddress& group);

}  // namespace millrace::wire
