// The TCP header (RFC 9293 §3.1) and its options both ways: RFC 9293 §3.2 (MSS), RFC 7323 (window scale, timestamps),
// RFC 2018 (SACK). Nothing here knows a connection.
#include <algorithm>

#include <millrace/assert.h>

#include "dataplane/base/fault.h"
#include "dataplane/base/stage_clock.h"
#include "dataplane/wire/packet_writer.h"
#include "dataplane/wire/parse.h"
#include "dataplane/wire/write.h"

namespace millrace::wire {
namespace {

constexpr size_t tcp_header_length_min = 20;
constexpr size_t tcp_options_length_max = 40;
constexpr uint8_t window_scale_max = 14;  // RFC 7323 §2.3

enum TcpOptionKind : uint8_t {
    option_end = 0,
    option_nop = 1,
    option_mss = 2,
    option_window_scale = 3,
    option_sack_permitted = 4,
    option_sack = 5,
    option_timestamps = 8,
};
constexpr uint32_t nop_nop = 0x0101'0000;
constexpr uint32_t timestamps_header = option_timestamps << 8 | 10;

/// `option` is one whole option: kind, length, value. One whose length is not its kind's is ignored; so is one that has
/// no place on this segment (RFC 9293 §3.7.1, RFC 7323 §2.2, RFC 2018 §2).
void parse_tcp_option(std::span<const uint8_t> option, bool syn, TcpOptions& out) {
    const uint8_t* at = option.data();
    switch (at[0]) {
        case option_mss:
            if (!syn || option.size() != 4) return;
            out.has_mss = true;
            out.mss = load_be16(at + 2);
            return;
        case option_window_scale:
            if (!syn || option.size() != 3) return;
            out.has_window_scale = true;
            out.window_scale = fault(Fault::wire_window_scale_unclamped) ? at[2] : std::min(at[2], window_scale_max);
            return;
        case option_sack_permitted:
            if (syn && option.size() == 2) out.sack_permitted = true;
            return;
        case option_sack:
            if (syn || option.size() < 10 || (option.size() - 2) % sizeof(SackBlock) != 0) return;
            // At most four: a header has no room for more.
            out.sack_count = static_cast<uint8_t>((option.size() - 2) / sizeof(SackBlock));
            for (size_t i = 0; i < out.sack_count; ++i)
                out.sack[i] = {.left = load_be32(at + 2 + i * 8), .right = load_be32(at + 6 + i * 8)};
            return;
        case option_timestamps:
            if (option.size() != 10) return;
            out.has_timestamps = true;
            out.ts_value = load_be32(at + 2);
            out.ts_echo = load_be32(at + 6);
            return;
        default:
            return;
    }
}

/// A length that can't be ends the walk; what was understood before counts (RFC 9293 §3.1, MUST-7).
void parse_tcp_options(std::span<const uint8_t> rest, bool syn, TcpOptions& out) {
    out = {};
    // What nearly every segment of an established connection carries (RFC 7323 appendix A).
    if (rest.size() == 12 && load_be32(rest.data()) == (nop_nop | timestamps_header)) {
        parse_tcp_option(rest.subspan(2), syn, out);
        return;
    }
    while (!rest.empty() && rest[0] != option_end) {
        if (rest[0] == option_nop) {
            rest = rest.subspan(1);
            continue;
        }
        if (rest.size() < 2) return;
        const size_t length = rest[1];
        if (length < 2 || length > rest.size()) return;
        parse_tcp_option(rest.first(length), syn, out);
        rest = rest.subspan(length);
    }
}

/// SACK blocks that are written: what room the timestamps leave.
unsigned sack_count_written(const TcpOptions& options) {
    constexpr unsigned with_timestamps = (tcp_options_length_max - 12 - 4) / sizeof(SackBlock);
    constexpr unsigned alone = (tcp_options_length_max - 4) / sizeof(SackBlock);
    return std::min<unsigned>(options.sack_count, options.has_timestamps ? with_timestamps : alone);
}

void write_timestamps(PacketWriter& writer, const TcpOptions& options, uint32_t first_two_bytes) {
    writer.word(first_two_bytes | timestamps_header);
    writer.word(options.ts_value);
    writer.word(options.ts_echo);
}

void write_syn_options(PacketWriter& writer, const TcpOptions& options) {
    constexpr uint32_t sack_permitted = option_sack_permitted << 8 | 2;
    if (options.has_mss) writer.word(uint32_t{option_mss} << 24 | 4 << 16 | options.mss);
    if (options.has_timestamps)
        write_timestamps(writer, options, options.sack_permitted ? sack_permitted << 16 : nop_nop);
    else if (options.sack_permitted)
        writer.word(nop_nop | sack_permitted);
    if (options.has_window_scale)
        writer.word(uint32_t{option_nop} << 24 | option_window_scale << 16 | 3 << 8 | options.window_scale);
}

void write_options(PacketWriter& writer, const TcpOptions& options) {
    if (options.has_timestamps) write_timestamps(writer, options, nop_nop);
    const unsigned sack_count = sack_count_written(options);
    if (sack_count == 0) return;
    writer.word(nop_nop | option_sack << 8 | (2 + sack_count * unsigned{sizeof(SackBlock)}));
    for (unsigned i = 0; i < sack_count; ++i) {
        writer.word(options.sack[i].left);
        writer.word(options.sack[i].right);
    }
}

/// Copies the pieces to `at` and adds them to the sum, which it returns.
uint64_t write_payload(uint8_t* at, const OutboundSegment& segment, uint64_t sum) {
    size_t offset = 0;
    for (unsigned i = 0; i < segment.piece_count; ++i) {
        const std::span<const uint8_t> piece = segment.pieces[i];
        MILLRACE_ASSERT(piece.size() <= segment.payload_length - offset);
        const StageTime<Stage::copies> time;
        if ((offset & 1) == 0 || fault(Fault::wire_odd_piece_checksum))
            sum = checksum_copy(sum, at + offset, piece.data(), piece.size());
        else
            sum += checksum_at_odd_offset(checksum_copy(0, at + offset, piece.data(), piece.size()));
        offset += piece.size();
    }
    MILLRACE_ASSERT(offset == segment.payload_length);
    return sum;
}

}  // namespace

DropReason parse_tcp(const IpPacket& packet, bool checksum_verified, TcpSegment& out) {
    const std::span<const uint8_t> segment = packet.payload;
    if (segment.size() < tcp_header_length_min) return DropReason::bad_length;
    const uint8_t* tcp = segment.data();
    const size_t header_length = size_t{tcp[12]} >> 4 << 2;
    if (header_length < tcp_header_length_min || header_length > segment.size()) return DropReason::bad_tcp_header;
    if (!checksum_verified && !fault(Fault::wire_tcp_checksum_ignored)) {
        const uint64_t pseudo = pseudo_header_sum(packet.source, packet.destination, protocol_tcp, segment.size());
        if (checksum_fold(checksum_add(pseudo, tcp, segment.size())) != 0xffff) return DropReason::bad_tcp_checksum;
    }
    out.source = packet.source;
    out.destination = packet.destination;
    out.source_port = load_be16(tcp);
    out.destination_port = load_be16(tcp + 2);
    out.seq = load_be32(tcp + 4);
    out.ack = load_be32(tcp + 8);
    out.flags = tcp[13];
    out.ip_ecn = packet.ecn;
    out.window = load_be16(tcp + 14);
    out.urgent = load_be16(tcp + 18);
    parse_tcp_options(segment.subspan(tcp_header_length_min, header_length - tcp_header_length_min), out.has(tcp_syn),
                      out.options);
    out.payload = segment.subspan(header_length);
    return DropReason::none;
}

size_t tcp_header_length(const TcpOptions& options, bool syn) {
    size_t length = tcp_header_length_min + (options.has_timestamps ? 12 : 0);
    if (!syn) {
        const unsigned sack_count = sack_count_written(options);
        return length + (sack_count == 0 ? 0 : 4 + sack_count * sizeof(SackBlock));
    }
    if (options.has_mss) length += 4;
    if (options.sack_permitted && !options.has_timestamps) length += 4;  // else it takes the place of two NOPs
    if (options.has_window_scale) length += 4;
    return length;
}

size_t write_tcp(std::span<uint8_t> out, const LinkHeader& link, const OutboundSegment& segment,
                 const WriteOptions& options) {
    const TcpSegment& header = segment.header;
    const bool syn = header.has(tcp_syn);
    const size_t header_length = tcp_header_length(header.options, syn);
    const size_t segment_length = header_length + segment.payload_length;
    uint8_t* const tcp = write_ip_packet(out, link,
                                         {.source = header.source,
                                          .destination = header.destination,
                                          .protocol = protocol_tcp,
                                          .ttl = options.ttl,
                                          .ecn = header.ip_ecn},
                                         segment_length);
    if (tcp == nullptr) return 0;

    PacketWriter writer(tcp, pseudo_header_sum(header.source, header.destination, protocol_tcp, segment_length));
    writer.word(uint32_t{header.source_port} << 16 | header.destination_port);
    writer.word(header.seq);
    writer.word(header.ack);
    writer.word(static_cast<uint32_t>(header_length) << 26 | uint32_t{header.flags} << 16 | header.window);
    writer.word(header.urgent);
    if (syn)
        write_syn_options(writer, header.options);
    else
        write_options(writer, header.options);
    store_raw(tcp + 16, checksum_finish(write_payload(writer.at(), segment, writer.sum())));
    return static_cast<size_t>(tcp - out.data()) + segment_length;
}

}  // namespace millrace::wire
