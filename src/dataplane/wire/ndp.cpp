// Neighbour solicitations and advertisements (RFC 4861 §4.3, §4.4, §7.1) for Ethernet (RFC 2464). Redirects and router
// messages never get here.
#include "dataplane/base/fault.h"
#include "dataplane/wire/packet_writer.h"
#include "dataplane/wire/parse.h"
#include "dataplane/wire/write.h"

namespace millrace::wire {
namespace {

constexpr uint8_t type_solicitation = 135;
constexpr uint8_t type_advertisement = 136;
constexpr size_t ndp_header_length = 24;  // up to and with the target
constexpr uint8_t ndp_hop_limit = 255;    // proof that no router has passed it on
enum NdpFlag : uint32_t { flag_router = 0x8000'0000, flag_solicited = 0x4000'0000, flag_override = 0x2000'0000 };

enum NdpOptionType : uint8_t { option_source_link_address = 1, option_target_link_address = 2 };
constexpr size_t link_address_option_length = 8;

bool is_solicited_node_multicast(const IpAddress& address) {
    return address == solicited_node_address(address);
}

/// Options come in units of 8 bytes; those that are neither `wanted` nor of Ethernet's length are skipped.
DropReason parse_ndp_options(std::span<const uint8_t> rest, NdpOptionType wanted, NdpMessage& out) {
    while (!rest.empty()) {
        if (rest.size() < 2) return DropReason::bad_option;
        const size_t length = size_t{rest[1]} * 8;
        if (length == 0 || length > rest.size()) return DropReason::bad_option;
        if (rest[0] == wanted && length == link_address_option_length) {
            out.has_link_address = true;
            out.link_address = load_mac(rest.data() + 2);
            if (is_group(out.link_address)) return DropReason::bad_ndp;
        }
        rest = rest.subspan(length);
    }
    return DropReason::none;
}

size_t write_ndp(std::span<uint8_t> out, const LinkHeader& link, const NdpMessage& message, uint8_t type,
                 uint32_t flags, NdpOptionType option) {
    const size_t length = ndp_header_length + (message.has_link_address ? link_address_option_length : 0);
    if (message.source.is_v4()) return 0;
    uint8_t* const icmp = write_ip_packet(out, link,
                                          {.source = message.source,
                                           .destination = message.destination,
                                           .protocol = protocol_icmpv6,
                                           .ttl = ndp_hop_limit},
                                          length);
    if (icmp == nullptr) return 0;
    PacketWriter writer(icmp, pseudo_header_sum(message.source, message.destination, protocol_icmpv6, length));
    writer.word(uint32_t{type} << 24);
    writer.word(flags);
    writer.bytes(message.target.bytes.data(), 16);
    if (message.has_link_address) {
        const uint8_t* mac = message.link_address.bytes.data();
        writer.word(uint32_t{option} << 24 | 1 << 16 | load_be16(mac));
        writer.word(load_be32(mac + 2));
    }
    store_raw(icmp + 2, checksum_finish(writer.sum()));
    return static_cast<size_t>(icmp - out.data()) + length;
}

}  // namespace

DropReason parse_ndp(const IpPacket& packet, ParsedFrame& out) {
    const std::span<const uint8_t> message = packet.payload;
    if (packet.hop_limit != ndp_hop_limit && !fault(Fault::wire_ndp_hop_limit_ignored)) return DropReason::hop_limit;
    if (message.size() < ndp_header_length) return DropReason::bad_length;
    const bool is_solicitation = message[0] == type_solicitation;
    const uint32_t flags = is_solicitation ? 0 : load_be32(message.data() + 4);
    out.kind = is_solicitation ? FrameKind::ndp_solicitation : FrameKind::ndp_advertisement;
    out.ndp = {.source = packet.source,
               .destination = packet.destination,
               .target = load_ipv6_address(message.data() + 8),
               .is_router = (flags & flag_router) != 0,
               .is_solicited = (flags & flag_solicited) != 0,
               .is_override = (flags & flag_override) != 0};
    const DropReason reason =
        parse_ndp_options(message.subspan(ndp_header_length),
                          is_solicitation ? option_source_link_address : option_target_link_address, out.ndp);
    if (reason != DropReason::none) return reason;

    constexpr uint8_t multicast = 0xff;
    const bool code_is_bad = message[1] != 0;
    const bool target_is_bad = out.ndp.target.bytes[0] == multicast || out.ndp.target.is_v4();
    const bool solicited_by_group = out.ndp.is_solicited && packet.destination.bytes[0] == multicast;
    const bool detection_is_bad = packet.source.is_unspecified() &&
                                  (out.ndp.has_link_address || !is_solicited_node_multicast(packet.destination));
    return code_is_bad || target_is_bad || solicited_by_group || detection_is_bad ? DropReason::bad_ndp
                                                                                  : DropReason::none;
}

size_t write_ndp_solicitation(std::span<uint8_t> out, const LinkHeader& link, const NdpMessage& message) {
    return write_ndp(out, link, message, type_solicitation, 0, option_source_link_address);
}

size_t write_ndp_advertisement(std::span<uint8_t> out, const LinkHeader& link, const NdpMessage& message) {
    const uint32_t flags = (message.is_router ? flag_router : 0u) | (message.is_solicited ? flag_solicited : 0u) |
                           (message.is_override ? flag_override : 0u);
    return write_ndp(out, link, message, type_advertisement, flags, option_target_link_address);
}

IpAddress solicited_node_address(const IpAddress& target) {
    IpAddress address{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff}};
    std::memcpy(address.bytes.data() + 13, target.bytes.data() + 13, 3);
    return address;
}

MacAddress multicast_mac(const IpAddress& group) {
    MacAddress mac{{0x33, 0x33}};
    std::memcpy(mac.bytes.data() + 2, group.bytes.data() + 12, 4);
    return mac;
}

}  // namespace millrace::wire
