// Private to this folder: headers written as a row of 32-bit words that are added to the checksum while they are still
// in registers, which saves reading the packet back.
#pragma once

#include <cstdint>
#include <span>

#include <millrace/address.h>

#include "dataplane/wire/bytes.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"

namespace millrace::wire {

/// Writes without bounds: the caller has made sure of the room.
class PacketWriter {
  public:
    explicit PacketWriter(uint8_t* at, uint64_t sum = 0) : at_(at), sum_(sum) {}

    void word(uint32_t value) {
        const uint32_t raw = __builtin_bswap32(value);
        store_raw(at_, raw);
        at_ += sizeof raw;
        sum_ += raw;
    }

    /// Only at an even offset of the checksummed data, and odd lengths only as the last.
    void bytes(const uint8_t* data, size_t length) {
        sum_ = checksum_copy(sum_, at_, data, length);
        at_ += length;
    }

    uint8_t* at() const { return at_; }
    uint64_t sum() const { return sum_; }

  private:
    uint8_t* at_;
    uint64_t sum_;
};

/// Returns where the payload starts.
inline uint8_t* write_link_header(uint8_t* at, const LinkHeader& link, EtherType ethertype) {
    std::memcpy(at, link.destination_mac.bytes.data(), 6);
    std::memcpy(at + 6, link.source_mac.bytes.data(), 6);
    at += 12;
    if (link.vlan != 0) {
        store_be16(at, ethertype_vlan);
        store_be16(at + 2, link.vlan);
        at += 4;
    }
    store_be16(at, ethertype);
    return at + 2;
}

/// The IP layer of a packet to send.
struct IpHeader {
    const IpAddress& source;
    const IpAddress& destination;
    uint8_t protocol;
    uint8_t ttl;
    uint8_t ecn = 0;
};

/// Writes the Ethernet and IP headers of a packet with `upper_length` bytes behind them. Returns where those start, or
/// nullptr when `out` is too small, the packet would exceed 65,535 bytes, or the families differ.
inline uint8_t* write_ip_packet(std::span<uint8_t> out, const LinkHeader& link, const IpHeader& ip,
                                size_t upper_length) {
    const bool is_v4 = ip.source.is_v4();
    const size_t total_length = (is_v4 ? ipv4_header_length : ipv6_header_length) + upper_length;
    if (is_v4 != ip.destination.is_v4() || total_length > 0xffff || out.size() < link.length() + total_length)
        return nullptr;
    uint8_t* const start = write_link_header(out.data(), link, is_v4 ? ethertype_ipv4 : ethertype_ipv6);
    PacketWriter writer(start);
    if (is_v4) {
        constexpr uint32_t dont_fragment = 0x4000;
        writer.word(0x4500'0000u | uint32_t{ip.ecn} << 16 | static_cast<uint32_t>(total_length));
        writer.word(dont_fragment);
        writer.word(uint32_t{ip.ttl} << 24 | uint32_t{ip.protocol} << 16);
        writer.word(load_be32(ip.source.bytes.data() + 12));
        writer.word(load_be32(ip.destination.bytes.data() + 12));
        store_raw(start + 10, checksum_finish(writer.sum()));
        return writer.at();
    }
    writer.word(0x6000'0000u | uint32_t{ip.ecn} << 20);
    writer.word(static_cast<uint32_t>(upper_length) << 16 | uint32_t{ip.protocol} << 8 | ip.ttl);
    std::memcpy(start + 8, ip.source.bytes.data(), 16);
    std::memcpy(start + 24, ip.destination.bytes.data(), 16);
    return start + ipv6_header_length;
}

}  // namespace millrace::wire
