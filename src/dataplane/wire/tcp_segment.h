// A TCP segment outside its packet: what the parser hands to the stack and what the stack hands to the writer
// (RFC 9293 §3.1). Plain values in host order; payload is borrowed and valid only during the call it is passed to.
#pragma once

#include <cstdint>
#include <span>

#include <millrace/address.h>

namespace millrace::wire {

enum TcpFlag : uint8_t {
    tcp_fin = 0x01,
    tcp_syn = 0x02,
    tcp_rst = 0x04,
    tcp_psh = 0x08,
    tcp_ack = 0x10,
    tcp_urg = 0x20,
    tcp_ece = 0x40,
    tcp_cwr = 0x80,
};

struct SackBlock {
    uint32_t left;   ///< first sequence number of the block
    uint32_t right;  ///< the sequence number after its last
};

/// The options this stack knows. A field counts only when its `has_` flag is set.
struct TcpOptions {
    bool has_mss = false;           ///< RFC 9293 §3.7.1
    bool has_window_scale = false;  ///< RFC 7323 §2
    bool has_timestamps = false;    ///< RFC 7323 §3
    bool sack_permitted = false;    ///< RFC 2018 §2
    uint8_t window_scale = 0;       ///< as received; 0…14 after the parser's clamp
    uint8_t sack_count = 0;         ///< 0…4
    uint16_t mss = 0;
    uint32_t ts_value = 0;
    uint32_t ts_echo = 0;
    SackBlock sack[4] = {};
};

struct TcpSegment {
    IpAddress source;
    IpAddress destination;
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
    uint32_t seq = 0;
    uint32_t ack = 0;
    uint8_t flags = 0;    ///< TcpFlag bits
    uint8_t ip_ecn = 0;   ///< the two ECN bits of the IP header (RFC 3168)
    uint16_t window = 0;  ///< as on the wire, unscaled
    uint16_t urgent = 0;
    TcpOptions options;
    std::span<const uint8_t> payload;  ///< inbound: the bytes of the packet

    bool has(TcpFlag flag) const { return (flags & flag) != 0; }

    /// Sequence space that the segment takes: payload, plus one each for SYN and FIN.
    uint32_t length() const {
        return static_cast<uint32_t>(payload.size()) + (has(tcp_syn) ? 1 : 0) + (has(tcp_fin) ? 1 : 0);
    }
};

/// A segment to send. Its payload may lie in several places; the writer gathers it in order.
struct OutboundSegment {
    static constexpr uint8_t piece_count_max = 16;

    TcpSegment header;      ///< `header.payload` stays empty; the pieces below are the payload
    uint16_t local_id = 0;  ///< the local address it leaves from (an index of the owner's)
    uint8_t piece_count = 0;
    uint16_t payload_length = 0;  ///< sum of the pieces
    std::span<const uint8_t> pieces[piece_count_max];
};

}  // namespace millrace::wire
