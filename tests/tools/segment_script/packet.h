// Segments of a script as frames and back. Written apart from dataplane/wire, so that a script may hold what the stack
// would never send (options in any order, with any length), and so that what the stack sends is read by other eyes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <millrace/address.h>

#include "tests/tools/segment_script/script.h"

namespace millrace::script {

struct Packet {
    IpAddress source{};
    IpAddress destination{};
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
    uint32_t seq = 0;
    uint32_t ack = 0;
    uint8_t flags = 0;
    uint8_t ecn = 0;
    uint16_t window = 0;
    uint16_t urgent = 0;
    std::vector<Option> options;
    std::vector<uint8_t> payload;

    bool has(uint8_t flag) const { return (flags & flag) != 0; }
};

/// An Ethernet frame with good checksums. The options are padded with zeros to whole words.
std::vector<uint8_t> write_frame(const Packet& packet);

/// The packet in a frame that the stack sent; empty when the frame is not TCP, or its lengths or checksums are wrong.
std::optional<Packet> read_frame(std::span<const uint8_t> frame);

/// A frame with the ICMP error from the peer's address about `sent`, a segment of ours; empty when the family has no
/// such error.
std::optional<std::vector<uint8_t>> write_icmp_frame(const IcmpSpec& icmp, const Packet& sent);

uint32_t get_be32(std::span<const uint8_t> bytes, size_t at);
void set_be32(std::span<uint8_t> bytes, size_t at, uint32_t value);

/// "P.", "S", "-".
std::string flags_text(uint8_t flags);
/// "<mss 1460,nop,wscale 6>"; empty without options.
std::string options_text(const std::vector<Option>& options);

}  // namespace millrace::script
