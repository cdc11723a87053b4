// Private to this folder: the parsers behind parse_frame, one per protocol. Each fills its member of the frame (and,
// where there is a choice, the kind) and returns none, or a reason, upon which the frame counts as dropped.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/wire/drop_reason.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/ip.h"

namespace millrace::wire {

DropReason parse_arp(std::span<const uint8_t> payload, ArpPacket& out);
DropReason parse_tcp(const IpPacket& packet, bool checksum_verified, TcpSegment& out);
DropReason parse_icmp(const IpPacket& packet, ParsedFrame& out);
DropReason parse_icmpv6(const IpPacket& packet, ParsedFrame& out);

/// `packet.payload` is the whole ICMPv6 message, at least 8 bytes, of type 135 or 136, its checksum good.
DropReason parse_ndp(const IpPacket& packet, ParsedFrame& out);

}  // namespace millrace::wire
