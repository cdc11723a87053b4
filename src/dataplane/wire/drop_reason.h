// Why a received frame was dropped before any protocol saw it. The values index counters; names are what operators see.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace millrace::wire {

enum class DropReason : uint8_t {
    none,
    bad_length,            ///< shorter than a header needs or than its length field says
    wrong_vlan,            ///< tagged with another VLAN id, or untagged where a tag is expected, or the reverse
    unknown_ethertype,     ///< neither ARP, IPv4 nor IPv6 (also 802.3 lengths and stacked tags)
    bad_arp,               ///< not Ethernet and IPv4, unknown operation, or a group address as sender
    bad_ip_header,         ///< version or header length
    bad_ip_checksum,       ///< IPv4 header checksum
    fragment,              ///< IPv4 or IPv6 fragment; this stack never reassembles
    extension_header,      ///< IPv6: too many, misplaced, or to be discarded by RFC 8200 §4.2 and §4.4
    bad_option,            ///< IPv6 or NDP option that runs over its end
    unknown_protocol,      ///< neither TCP nor the family's ICMP
    martian_source,        ///< multicast, broadcast, loopback, zero, (IPv6) IPv4-mapped, or the destination itself
    martian_destination,   ///< loopback, mapped; for TCP and ICMPv4 also multicast, broadcast or a link-layer group
    bad_tcp_header,        ///< data offset
    bad_tcp_checksum,      ///< over pseudo header and segment
    bad_icmp_checksum,     ///< ICMP or ICMPv6
    unknown_icmp_type,     ///< a type or code that this stack has no use for
    icmp_redirect,         ///< never believed: routes are configured
    router_advertisement,  ///< never believed: routes are configured
    hop_limit,             ///< NDP that crossed a router (RFC 4861 §7.1)
    bad_ndp,               ///< any other validity check of RFC 4861 §7.1
};
inline constexpr size_t drop_reason_count = static_cast<size_t>(DropReason::bad_ndp) + 1;

/// The enumerator's name, for statistics.
constexpr std::string_view name(DropReason reason) {
    constexpr std::string_view names[] = {
        "none",
        "bad_length",
        "wrong_vlan",
        "unknown_ethertype",
        "bad_arp",
        "bad_ip_header",
        "bad_ip_checksum",
        "fragment",
        "extension_header",
        "bad_option",
        "unknown_protocol",
        "martian_source",
        "martian_destination",
        "bad_tcp_header",
        "bad_tcp_checksum",
        "bad_icmp_checksum",
        "unknown_icmp_type",
        "icmp_redirect",
        "router_advertisement",
        "hop_limit",
        "bad_ndp",
    };
    static_assert(std::size(names) == drop_reason_count);
    return names[static_cast<size_t>(reason)];
}

}  // namespace millrace::wire
