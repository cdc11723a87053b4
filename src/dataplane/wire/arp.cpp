// ARP (RFC 826) for Ethernet and IPv4, both ways. What is believed and remembered is the neighbour table's business.
#include "dataplane/wire/packet_writer.h"
#include "dataplane/wire/parse.h"
#include "dataplane/wire/write.h"

namespace millrace::wire {
namespace {

// Hardware Ethernet, protocol IPv4, address lengths 6 and 4: the only kind there is.
constexpr uint8_t ethernet_and_ipv4[] = {0, 1, 8, 0, 6, 4};
constexpr size_t arp_length = 28;
enum ArpOperation : uint16_t { arp_request = 1, arp_reply = 2 };

}  // namespace

DropReason parse_arp(std::span<const uint8_t> payload, ArpPacket& out) {
    if (payload.size() < arp_length) return DropReason::bad_length;
    const uint8_t* arp = payload.data();
    const uint16_t operation = load_be16(arp + 6);
    out.is_request = operation == arp_request;
    out.sender_mac = load_mac(arp + 8);
    out.sender = load_ipv4_address(arp + 14);
    out.target_mac = load_mac(arp + 18);
    out.target = load_ipv4_address(arp + 24);
    // A group address must not enter the neighbour table (RFC 1812 §3.3.2).
    if (std::memcmp(arp, ethernet_and_ipv4, sizeof ethernet_and_ipv4) != 0 ||
        (operation != arp_request && operation != arp_reply) || is_group(out.sender_mac))
        return DropReason::bad_arp;
    return DropReason::none;
}

size_t write_arp(std::span<uint8_t> out, const LinkHeader& link, const ArpPacket& packet) {
    const size_t length = link.length() + arp_length;
    if (out.size() < length || !packet.sender.is_v4() || !packet.target.is_v4()) return 0;
    uint8_t* arp = write_link_header(out.data(), link, ethertype_arp);
    std::memcpy(arp, ethernet_and_ipv4, sizeof ethernet_and_ipv4);
    store_be16(arp + 6, packet.is_request ? arp_request : arp_reply);
    std::memcpy(arp + 8, packet.sender_mac.bytes.data(), 6);
    std::memcpy(arp + 14, packet.sender.bytes.data() + 12, 4);
    std::memcpy(arp + 18, packet.target_mac.bytes.data(), 6);
    std::memcpy(arp + 24, packet.target.bytes.data() + 12, 4);
    return length;
}

}  // namespace millrace::wire
