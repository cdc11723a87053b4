// Any bytes as a received frame. Nothing may be read outside them (run with -Db_sanitize=address), the cheap first pass
// must agree with the parser, and whatever was understood must survive being written and parsed again.
//
// Input: one byte of settings, then the frame. Bit 0: VLAN id 1 expected; bit 1: IP and TCP checksums count as
// verified; bit 2: an ICMP checksum is made good first, which no mutation would find.
#include <cstddef>
#include <cstdint>
#include <vector>

#include <millrace/assert.h>

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/write.h"

namespace millrace::wire {
namespace {

using Bytes = std::vector<uint8_t>;

void repair_icmp_checksum(Bytes& frame, size_t link_length) {
    if (frame.size() < link_length + 40) return;
    uint8_t* const ip = frame.data() + link_length;
    const bool is_v4 = (ip[0] >> 4) == 4;
    const size_t upper = link_length + (is_v4 ? size_t{ip[0] & 0x0fu} * 4 : ipv6_header_length);
    const size_t end = link_length + (is_v4 ? 0u : ipv6_header_length) + load_be16(ip + (is_v4 ? 2 : 4));
    if (end > frame.size() || upper + 8 > end || ip[is_v4 ? 9 : 6] != (is_v4 ? protocol_icmp : protocol_icmpv6)) return;
    uint8_t* const icmp = frame.data() + upper;
    store_be16(icmp + 2, 0);
    const uint64_t sum =
        is_v4 ? 0
              : pseudo_header_sum(load_ipv6_address(ip + 8), load_ipv6_address(ip + 24), protocol_icmpv6, end - upper);
    store_raw(icmp + 2, checksum_finish(checksum_add(sum, icmp, end - upper)));
}

bool equal(std::span<const uint8_t> a, std::span<const uint8_t> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

void check_equal(const TcpOptions& a, const TcpOptions& b) {
    MILLRACE_ASSERT(a.has_mss == b.has_mss && a.has_window_scale == b.has_window_scale);
    MILLRACE_ASSERT(a.has_timestamps == b.has_timestamps && a.sack_permitted == b.sack_permitted);
    MILLRACE_ASSERT(a.mss == b.mss && a.window_scale == b.window_scale && a.window_scale <= 14);
    MILLRACE_ASSERT(a.ts_value == b.ts_value && a.ts_echo == b.ts_echo);
    MILLRACE_ASSERT(a.sack_count == b.sack_count && a.sack_count <= 4);
    for (size_t i = 0; i < a.sack_count; ++i)
        MILLRACE_ASSERT(a.sack[i].left == b.sack[i].left && a.sack[i].right == b.sack[i].right);
}

void check_equal(const TcpSegment& a, const TcpSegment& b) {
    MILLRACE_ASSERT(a.source == b.source && a.destination == b.destination);
    MILLRACE_ASSERT(a.source_port == b.source_port && a.destination_port == b.destination_port);
    MILLRACE_ASSERT(a.seq == b.seq && a.ack == b.ack && a.flags == b.flags && a.ip_ecn == b.ip_ecn);
    MILLRACE_ASSERT(a.window == b.window && a.urgent == b.urgent && equal(a.payload, b.payload));
    check_equal(a.options, b.options);
}

/// Writes what was parsed; returns the length, 0 when there is no writer for it or it can't be written.
size_t write_again(const ParsedFrame& frame, Bytes& out) {
    const LinkHeader link{.source_mac = frame.source_mac, .destination_mac = frame.destination_mac, .vlan = frame.vlan};
    switch (frame.kind) {
        case FrameKind::tcp: {
            OutboundSegment segment;
            segment.header = frame.tcp;
            segment.header.payload = {};
            segment.payload_length = static_cast<uint16_t>(frame.tcp.payload.size());
            const size_t first = frame.tcp.payload.size() / 3;
            segment.piece_count = 2;
            segment.pieces[0] = frame.tcp.payload.first(first);
            segment.pieces[1] = frame.tcp.payload.subspan(first);
            return write_tcp(out, link, segment, {});
        }
        case FrameKind::arp:
            return write_arp(out, link, frame.arp);
        case FrameKind::icmp_echo_request:
            return write_icmp_echo_request(out, link, frame.echo, {});
        case FrameKind::icmp_echo_reply:
            return write_icmp_echo_reply(out, link, frame.echo, {});
        case FrameKind::ndp_solicitation:
            return write_ndp_solicitation(out, link, frame.ndp);
        case FrameKind::ndp_advertisement:
            return write_ndp_advertisement(out, link, frame.ndp);
        case FrameKind::icmp_error:
        case FrameKind::dropped:
            return 0;
    }
    return 0;
}

void check_equal(const ParsedFrame& a, const ParsedFrame& b) {
    MILLRACE_ASSERT(a.kind == b.kind && a.vlan == b.vlan);
    MILLRACE_ASSERT(a.source_mac == b.source_mac && a.destination_mac == b.destination_mac);
    check_equal(a.tcp, b.tcp);
    MILLRACE_ASSERT(a.arp.is_request == b.arp.is_request && a.arp.sender_mac == b.arp.sender_mac);
    MILLRACE_ASSERT(a.arp.sender == b.arp.sender && a.arp.target == b.arp.target);
    MILLRACE_ASSERT(a.arp.target_mac == b.arp.target_mac);
    MILLRACE_ASSERT(a.echo.source == b.echo.source && a.echo.destination == b.echo.destination);
    MILLRACE_ASSERT(a.echo.id == b.echo.id && a.echo.sequence == b.echo.sequence);
    MILLRACE_ASSERT(equal(a.echo.payload, b.echo.payload));
    MILLRACE_ASSERT(a.ndp.source == b.ndp.source && a.ndp.destination == b.ndp.destination);
    MILLRACE_ASSERT(a.ndp.target == b.ndp.target && a.ndp.has_link_address == b.ndp.has_link_address);
    MILLRACE_ASSERT(a.ndp.link_address == b.ndp.link_address && a.ndp.is_router == b.ndp.is_router);
    MILLRACE_ASSERT(a.ndp.is_solicited == b.ndp.is_solicited && a.ndp.is_override == b.ndp.is_override);
}

void run(uint8_t settings, Bytes frame) {
    const uint16_t vlan = settings & 1;
    const bool verified = (settings & 2) != 0;
    if ((settings & 4) != 0) repair_icmp_checksum(frame, vlan == 0 ? 14 : 18);

    ParsedFrame parsed;
    parse_frame(frame, {.vlan = vlan, .ip_checksum_verified = verified, .tcp_checksum_verified = verified}, parsed);
    MILLRACE_ASSERT((parsed.kind == FrameKind::dropped) == (parsed.drop_reason != DropReason::none));
    const std::optional<FlowKey> key = peek_flow(frame, vlan);
    if (parsed.kind == FrameKind::tcp)
        MILLRACE_ASSERT(key == (FlowKey{parsed.tcp.source, parsed.tcp.destination, parsed.tcp.source_port,
                                        parsed.tcp.destination_port, true}));

    Bytes written(frame.size() + 64);  // NOPs may be added
    written.resize(write_again(parsed, written));
    if (written.empty()) {
        MILLRACE_ASSERT(parsed.kind == FrameKind::dropped || parsed.kind == FrameKind::icmp_error ||
                        frame.size() > 0xff00);
        return;
    }
    ParsedFrame again;
    parse_frame(written, {.vlan = vlan}, again);
    check_equal(parsed, again);
}

}  // namespace
}  // namespace millrace::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    // A copy of exactly the frame's size, so that the sanitizer sees its end.
    if (size > 0) millrace::wire::run(data[0], {data + 1, data + size});
    return 0;
}
