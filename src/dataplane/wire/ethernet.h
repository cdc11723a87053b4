// Ethernet II headers with at most one 802.1Q tag, and the few address rules of the link. What follows the header
// belongs to the other files of this folder.
#pragma once

#include <cstdint>
#include <span>

#include <millrace/address.h>

#include "dataplane/wire/bytes.h"
#include "dataplane/wire/drop_reason.h"

namespace millrace::wire {

enum EtherType : uint16_t {
    ethertype_ipv4 = 0x0800,
    ethertype_arp = 0x0806,
    ethertype_vlan = 0x8100,
    ethertype_ipv6 = 0x86dd,
};

/// The link-layer part of a frame to send.
struct LinkHeader {
    MacAddress source_mac{};
    MacAddress destination_mac{};
    uint16_t vlan = 0;  ///< VLAN id 1…4094; 0 sends untagged

    /// Bytes that the header takes on the wire.
    size_t length() const { return vlan == 0 ? 14 : 18; }
};

/// Where the payload of a received frame starts and what it is.
struct EthernetHeader {
    uint16_t ethertype = 0;
    uint16_t vlan = 0;    ///< 0 when untagged or only priority-tagged
    uint16_t length = 0;  ///< 14 or 18
};

/// True for multicast and broadcast.
inline bool is_group(const MacAddress& mac) {
    return (mac.bytes[0] & 1) != 0;
}

inline constexpr MacAddress broadcast_mac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

inline MacAddress load_mac(const uint8_t* at) {
    MacAddress mac{};
    std::memcpy(mac.bytes.data(), at, 6);
    return mac;
}

/// Reads the header of a frame. `expected_vlan` 0 takes untagged and priority-tagged (VLAN id 0) frames only. Returns
/// none, bad_length or wrong_vlan.
inline DropReason read_ethernet(std::span<const uint8_t> bytes, uint16_t expected_vlan, EthernetHeader& out) {
    if (bytes.size() < 14) return DropReason::bad_length;
    out = {.ethertype = load_be16(bytes.data() + 12), .vlan = 0, .length = 14};
    if (out.ethertype == ethertype_vlan) {
        if (bytes.size() < 18) return DropReason::bad_length;
        out = {.ethertype = load_be16(bytes.data() + 16),
               .vlan = static_cast<uint16_t>(load_be16(bytes.data() + 14) & 0x0fff),
               .length = 18};
    }
    return out.vlan == expected_vlan ? DropReason::none : DropReason::wrong_vlan;
}

}  // namespace millrace::wire
