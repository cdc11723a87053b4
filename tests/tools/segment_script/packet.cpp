#include "tests/tools/segment_script/packet.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "dataplane/wire/bytes.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"
#include "dataplane/wire/tcp_segment.h"

namespace millrace::script {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr size_t link_bytes = 14, tcp_bytes = 20, icmp_bytes = 8;
constexpr uint8_t hop_limit = 64;

struct Writer {
    Bytes bytes;

    void u8(uint32_t value) { bytes.push_back(static_cast<uint8_t>(value)); }
    void u16(uint32_t value) { u8(value >> 8), u8(value); }
    void u32(uint32_t value) { u16(value >> 16), u16(value); }
    void add(std::span<const uint8_t> more) { bytes.insert(bytes.end(), more.begin(), more.end()); }
    void address(const IpAddress& address) { add(std::span(address.bytes).subspan(address.is_v4() ? 12 : 0)); }
};

uint16_t checksum(std::span<const uint8_t> bytes, uint64_t sum) {
    return wire::checksum_finish(wire::checksum_add(sum, bytes.data(), bytes.size()));
}

void put_checksum(Bytes& bytes, size_t at, uint64_t sum) {
    const uint16_t value = checksum(bytes, sum);
    std::memcpy(&bytes[at], &value, 2);
}

Bytes ip_header(const IpAddress& source, const IpAddress& destination, uint8_t protocol, uint8_t ecn, size_t length) {
    Writer out;
    const uint32_t size = static_cast<uint32_t>(length);
    if (source.is_v4()) {
        out.u8(0x45), out.u8(ecn), out.u16(size + 20), out.u16(0), out.u16(0x4000), out.u8(hop_limit);
        out.u8(protocol), out.u16(0), out.address(source), out.address(destination);
        put_checksum(out.bytes, 10, 0);
    } else {
        out.u32(0x6000'0000u | uint32_t{ecn} << 20), out.u16(size), out.u8(protocol), out.u8(hop_limit);
        out.address(source), out.address(destination);
    }
    return out.bytes;
}

Bytes frame_of(const IpAddress& source, const IpAddress& destination, uint8_t protocol, uint8_t ecn,
               const Bytes& upper) {
    Writer out;
    out.add(Bytes{0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2});
    out.u16(source.is_v4() ? wire::ethertype_ipv4 : wire::ethertype_ipv6);
    out.add(ip_header(source, destination, protocol, ecn, upper.size()));
    out.add(upper);
    return out.bytes;
}

Bytes option_bytes(const std::vector<Option>& options) {
    Writer out;
    for (const Option& option : options) {
        if (!option.raw) out.u8(option.kind);
        if (!option.raw && option.kind > Option::nop) out.u8(static_cast<uint32_t>(option.value.size()) + 2);
        out.add(option.value);
    }
    out.bytes.resize((out.bytes.size() + 3) / 4 * 4);
    return out.bytes;
}

Bytes tcp_header(const Packet& packet) {
    const Bytes options = option_bytes(packet.options);
    Writer out;
    out.u16(packet.source_port), out.u16(packet.destination_port), out.u32(packet.seq), out.u32(packet.ack);
    out.u8(static_cast<uint32_t>(tcp_bytes + options.size()) / 4 << 4), out.u8(packet.flags), out.u16(packet.window);
    out.u16(0), out.u16(packet.urgent), out.add(options);
    return out.bytes;
}

std::optional<std::vector<Option>> read_options(std::span<const uint8_t> bytes) {
    std::vector<Option> options;
    while (!bytes.empty()) {
        Option& option = options.emplace_back();
        option.kind = bytes[0];
        size_t length = 1;
        if (option.kind > Option::nop) {
            if (bytes.size() < 2 || bytes[1] < 2 || bytes[1] > bytes.size()) return std::nullopt;
            length = bytes[1];
            option.value.assign(bytes.begin() + 2, bytes.begin() + static_cast<long>(length));
        }
        if (option.kind == Option::end) return options;
        bytes = bytes.subspan(length);
    }
    return options;
}

struct IcmpName {
    const char* type;
    const char* code;
    uint8_t type_v4, code_v4, type_v6, code_v6;
};
constexpr uint8_t none = 255;
// RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1; RFC 4443 §3.
constexpr IcmpName icmp_names[] = {
    {"unreachable", "", 3, 0, 1, 0},
    {"unreachable", "net_unreachable", 3, 0, 1, 0},
    {"unreachable", "host_unreachable", 3, 1, none, 0},
    {"unreachable", "protocol_unreachable", 3, 2, none, 0},
    {"unreachable", "port_unreachable", 3, 3, 1, 4},
    {"unreachable", "frag_needed", 3, 4, none, 0},
    {"unreachable", "source_route_failed", 3, 5, none, 0},
    {"unreachable", "net_unknown", 3, 6, none, 0},
    {"unreachable", "host_unknown", 3, 7, none, 0},
    {"unreachable", "source_host_isolated", 3, 8, none, 0},
    {"unreachable", "net_prohibited", 3, 9, none, 0},
    {"unreachable", "host_prohibited", 3, 10, none, 0},
    {"unreachable", "packet_filtered", 3, 13, none, 0},
    {"unreachable", "no_route", none, 0, 1, 0},
    {"unreachable", "admin_prohibited", none, 0, 1, 1},
    {"unreachable", "address_unreachable", none, 0, 1, 3},
    {"source_quench", "", 4, 0, none, 0},
    {"packet_too_big", "", none, 0, 2, 0},
    {"time_exceeded", "", 11, 0, 3, 0},
    {"time_exceeded", "exceeded_hop_limit", none, 0, 3, 0},
    {"parameter_problem", "", 12, 0, 4, 0},
};

}  // namespace

std::vector<uint8_t> write_frame(const Packet& packet) {
    Bytes segment = tcp_header(packet);
    segment.insert(segment.end(), packet.payload.begin(), packet.payload.end());
    put_checksum(segment, 16,
                 wire::pseudo_header_sum(packet.source, packet.destination, wire::protocol_tcp, segment.size()));
    return frame_of(packet.source, packet.destination, wire::protocol_tcp, packet.ecn, segment);
}

std::optional<Packet> read_frame(std::span<const uint8_t> frame) {
    if (frame.size() < link_bytes + 20) return std::nullopt;
    const std::span<const uint8_t> ip = frame.subspan(link_bytes);
    const bool v4 = ip[0] >> 4 == 4;
    const size_t header = v4 ? 20 : 40;
    if (ip.size() < header || ip[v4 ? 9 : 6] != wire::protocol_tcp) return std::nullopt;
    const size_t length = v4 ? wire::load_be16(&ip[2]) - header : wire::load_be16(&ip[4]);
    if (ip.size() != header + length || length < tcp_bytes) return std::nullopt;
    if (v4 && checksum(ip.first(header), 0) != 0) return std::nullopt;

    Packet packet;
    packet.source = v4 ? wire::load_ipv4_address(&ip[12]) : wire::load_ipv6_address(&ip[8]);
    packet.destination = v4 ? wire::load_ipv4_address(&ip[16]) : wire::load_ipv6_address(&ip[24]);
    packet.ecn = v4 ? ip[1] & 3 : ip[1] >> 4 & 3;
    const std::span<const uint8_t> tcp = ip.subspan(header);
    if (checksum(tcp, wire::pseudo_header_sum(packet.source, packet.destination, wire::protocol_tcp, length)) != 0)
        return std::nullopt;
    packet.source_port = wire::load_be16(&tcp[0]);
    packet.destination_port = wire::load_be16(&tcp[2]);
    packet.seq = wire::load_be32(&tcp[4]);
    packet.ack = wire::load_be32(&tcp[8]);
    packet.flags = tcp[13];
    packet.window = wire::load_be16(&tcp[14]);
    packet.urgent = wire::load_be16(&tcp[18]);
    const size_t offset = size_t{tcp[12]} / 16 * 4;
    if (offset < tcp_bytes || offset > length) return std::nullopt;
    const auto options = read_options(tcp.subspan(tcp_bytes, offset - tcp_bytes));
    if (!options) return std::nullopt;
    packet.options = *options;
    packet.payload.assign(tcp.begin() + static_cast<long>(offset), tcp.end());
    return packet;
}

std::optional<std::vector<uint8_t>> write_icmp_frame(const IcmpSpec& icmp, const Packet& sent) {
    const bool v4 = sent.source.is_v4();
    const auto name = std::find_if(std::begin(icmp_names), std::end(icmp_names), [&](const IcmpName& candidate) {
        return icmp.type == candidate.type && icmp.code == candidate.code &&
               (v4 ? candidate.type_v4 : candidate.type_v6) != none;
    });
    if (name == std::end(icmp_names)) return std::nullopt;
    Writer out;
    out.u8(v4 ? name->type_v4 : name->type_v6), out.u8(v4 ? name->code_v4 : name->code_v6), out.u16(0);
    out.u32(icmp.mtu);
    const Bytes tcp = tcp_header(sent);
    out.add(ip_header(sent.source, sent.destination, wire::protocol_tcp, 0, 1400));
    out.add(std::span(tcp).first(v4 ? icmp_bytes : tcp_bytes));
    const uint8_t protocol = v4 ? wire::protocol_icmp : wire::protocol_icmpv6;
    put_checksum(out.bytes, 2,
                 v4 ? 0 : wire::pseudo_header_sum(sent.destination, sent.source, protocol, out.bytes.size()));
    return frame_of(sent.destination, sent.source, protocol, 0, out.bytes);
}

uint32_t get_be32(std::span<const uint8_t> bytes, size_t at) {
    return wire::load_be32(bytes.subspan(at, 4).data());
}

void set_be32(std::span<uint8_t> bytes, size_t at, uint32_t value) {
    wire::store_be32(bytes.subspan(at, 4).data(), value);
}

std::string flags_text(uint8_t flags) {
    static constexpr std::pair<uint8_t, char> letters[] = {
        {wire::tcp_fin, 'F'}, {wire::tcp_syn, 'S'}, {wire::tcp_rst, 'R'}, {wire::tcp_psh, 'P'},
        {wire::tcp_urg, 'U'}, {wire::tcp_ece, 'E'}, {wire::tcp_cwr, 'W'}, {wire::tcp_ack, '.'}};
    std::string text;
    for (const auto& [flag, letter] : letters)
        if ((flags & flag) != 0) text += letter;
    return text.empty() ? "-" : text;
}

std::string options_text(const std::vector<Option>& options) {
    std::string text;
    for (const Option& option : options) {
        text += text.empty() ? "<" : ",";
        const auto number = [&](size_t at) { return std::to_string(get_be32(option.value, at)); };
        const size_t size = option.value.size();
        if (option.raw) {
            text += "raw";
        } else if (option.kind == Option::end) {
            text += "eol";
        } else if (option.kind == Option::nop) {
            text += "nop";
        } else if (option.kind == Option::sack_ok) {
            text += "sackOK";
        } else if (option.kind == Option::mss && size == 2) {
            text += "mss " + std::to_string(option.value[0] * 256 + option.value[1]);
        } else if (option.kind == Option::window_scale && size == 1) {
            text += "wscale " + std::to_string(option.value[0]);
        } else if (option.kind == Option::timestamps && size == 8) {
            text += "TS val " + number(0) + " ecr " + number(4);
        } else if (option.kind == Option::sack && size % 8 == 0) {
            text += "sack";
            for (size_t at = 0; at < size; at += 8) text += " " + number(at) + ":" + number(at + 4);
        } else {
            text += "kind " + std::to_string(option.kind);
        }
    }
    return text.empty() ? text : text + ">";
}

}  // namespace millrace::script
