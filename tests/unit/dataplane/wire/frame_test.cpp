// parse_frame and peek_flow over every kind of frame: each drop reason, hostile lengths against an unmapped page, tags,
// padding, extension headers.
#include "dataplane/wire/frame.h"

#include <gtest/gtest.h>
#include <set>

#include "guarded_bytes.h"
#include "raw_frame.h"

namespace millrace::wire {
namespace {

using namespace test;

struct DropCase {
    DropReason reason;
    Bytes frame;
    uint16_t vlan = 0;
};

Bytes with(Bytes frame, size_t at, std::initializer_list<uint8_t> bytes) {
    std::copy(bytes.begin(), bytes.end(), frame.begin() + static_cast<std::ptrdiff_t>(at));
    return frame;
}

Bytes without_last(Bytes frame, size_t count) {
    frame.resize(frame.size() - count);
    return frame;
}

/// A TCP frame from or to odd addresses, its checksums good.
Bytes tcp_between(const IpAddress& source, const IpAddress& destination) {
    const bool v4 = source.is_v4() && destination.is_v4();
    const RawIp ip{.source = source, .destination = destination, .protocol = 6};
    return raw_ethernet(v4 ? 0x0800 : 0x86dd, raw_ip(ip, raw_tcp({.source = source, .destination = destination})));
}

/// The same as IPv6 even when both addresses are in mapped form.
Bytes ipv6_tcp_with_source(const IpAddress& source) {
    Bytes frame = raw_tcp_frame_v6();
    std::copy(source.bytes.begin(), source.bytes.end(), frame.begin() + 22);
    Bytes segment(frame.begin() + 54, frame.end());
    fill_checksum(segment, 16, source, our_v6, 6);
    std::copy(segment.begin(), segment.end(), frame.begin() + 54);
    return frame;
}

Bytes with_extensions(uint8_t first, const Bytes& extensions) {
    RawIp ip = raw_v6(first);
    ip.between = extensions;
    return raw_tcp_frame_v6({}, ip);
}

const IpAddress unspecified_v6{};
const IpAddress loopback_v6{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
const IpAddress all_nodes{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

std::vector<DropCase> link_and_arp_drops() {
    return {
        {DropReason::bad_length, {}},
        {DropReason::bad_length, Bytes(13, 0)},
        {DropReason::bad_length, raw_ethernet(0x8100, {0, 1})},
        {DropReason::wrong_vlan, raw_tcp_frame_v4(), 5},
        {DropReason::wrong_vlan, raw_tcp_frame_v4({}, {}, {.tag = 5})},
        {DropReason::wrong_vlan, raw_tcp_frame_v4({}, {}, {.tag = 5}), 6},
        {DropReason::wrong_vlan, raw_tcp_frame_v4({}, {}, {.tag = 0}), 6},
        {DropReason::unknown_ethertype, raw_ethernet(0x88cc, Bytes(60, 0))},
        {DropReason::unknown_ethertype, raw_ethernet(46, Bytes(46, 0))},
        {DropReason::unknown_ethertype, raw_ethernet(0x8100, Bytes(60, 0), {.tag = 5}), 5},
        {DropReason::martian_source, raw_tcp_frame_v4({}, {}, {.source = {{1, 0, 0, 0, 0, 2}}})},
        {DropReason::martian_destination, raw_tcp_frame_v4({}, {}, {.destination = broadcast_mac})},
        {DropReason::martian_destination, raw_tcp_frame_v6({}, raw_v6(6), {.destination = {{0x33, 0x33}}})},
        {DropReason::bad_length, raw_ethernet(0x0806, without_last(raw_arp(1), 1))},
        {DropReason::bad_arp, raw_ethernet(0x0806, raw_arp(3))},
        {DropReason::bad_arp, raw_ethernet(0x0806, with(raw_arp(1), 1, {6}))},
        {DropReason::bad_arp, raw_ethernet(0x0806, with(raw_arp(1), 3, {1}))},
        {DropReason::bad_arp, raw_ethernet(0x0806, with(raw_arp(1), 4, {8}))},
        {DropReason::bad_arp, raw_ethernet(0x0806, with(raw_arp(2), 8, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}))},
    };
}

std::vector<DropCase> ipv4_drops() {
    const Bytes good = raw_tcp_frame_v4();
    std::vector<DropCase> cases = {
        {DropReason::bad_length, raw_ethernet(0x0800, Bytes(19, 0x45))},
        {DropReason::bad_length, without_last(good, 1)},
        {DropReason::bad_length, with(good, 16, {0, 19})},
        {DropReason::bad_length, raw_ethernet(0x0800, raw_ip({}, Bytes(19, 0)))},
        {DropReason::bad_ip_header, with(good, 14, {0x65})},
        {DropReason::bad_ip_header, with(good, 14, {0x44})},
        {DropReason::bad_ip_checksum, with(good, 22, {63})},
        {DropReason::fragment, raw_tcp_frame_v4({}, {.fragment = 0x2000})},
        {DropReason::fragment, raw_tcp_frame_v4({}, {.fragment = 0x0001})},
        {DropReason::fragment, raw_tcp_frame_v4({}, {.fragment = 0x1000})},
        {DropReason::unknown_protocol, raw_tcp_frame_v4({}, {.protocol = 17})},
        {DropReason::unknown_protocol, raw_tcp_frame_v4({}, {.protocol = 58})},
        {DropReason::bad_tcp_header, with(good, 46, {0x40})},
        {DropReason::bad_tcp_header, with(good, 46, {0x60})},
        {DropReason::bad_tcp_checksum, with(good, 49, {0x23})},
        {DropReason::martian_source, tcp_between(our_v4, our_v4)},
    };
    for (const IpAddress& martian :
         {IpAddress::v4(0, 0, 0, 0), IpAddress::v4(0, 1, 2, 3), IpAddress::v4(127, 0, 0, 1),
          IpAddress::v4(224, 0, 0, 1), IpAddress::v4(239, 255, 255, 255), IpAddress::v4(255, 255, 255, 255)}) {
        cases.push_back({DropReason::martian_source, tcp_between(martian, our_v4)});
        cases.push_back({DropReason::martian_destination, tcp_between(peer_v4, martian)});
    }
    return cases;
}

std::vector<DropCase> ipv6_drops() {
    const Bytes good = raw_tcp_frame_v6();
    const Bytes pad_options{60, 0, 1, 4, 0, 0, 0, 0};
    return {
        {DropReason::bad_length, raw_ethernet(0x86dd, Bytes(39, 0x60))},
        {DropReason::bad_length, without_last(good, 1)},
        {DropReason::bad_length, with_extensions(60, {6, 4, 1, 4, 0, 0, 0, 0})},
        {DropReason::bad_length, raw_ethernet(0x86dd, raw_ip(raw_v6(60), Bytes(7, 0)))},
        {DropReason::bad_ip_header, with(good, 14, {0x40})},
        {DropReason::bad_tcp_checksum, with(good, 22, {0x20, 0x02})},
        {DropReason::unknown_protocol, raw_tcp_frame_v6({}, raw_v6(17))},
        {DropReason::unknown_protocol, raw_tcp_frame_v6({}, raw_v6(59))},
        {DropReason::unknown_protocol, raw_tcp_frame_v6({}, raw_v6(1))},
        {DropReason::fragment, with_extensions(44, {6, 0, 0, 0, 0, 0, 0, 1})},
        {DropReason::fragment, with_extensions(60, concat({{44, 0, 1, 4, 0, 0, 0, 0}, {6, 0, 0, 1, 0, 0, 0, 1}}))},
        // A hop-by-hop header may only come first; segments left; options not to be skipped; too many headers.
        {DropReason::extension_header,
         with_extensions(60, concat({{0, 0, 1, 4, 0, 0, 0, 0}, {6, 0, 1, 4, 0, 0, 0, 0}}))},
        {DropReason::extension_header, with_extensions(43, {6, 0, 0, 1, 0, 0, 0, 0})},
        {DropReason::extension_header, with_extensions(60, {6, 0, 0xc2, 4, 0, 0, 0, 0})},
        {DropReason::extension_header, with_extensions(0, {6, 0, 0x41, 0, 0, 0, 0, 0})},
        {DropReason::extension_header, with_extensions(60, concat({pad_options,
                                                                   pad_options,
                                                                   pad_options,
                                                                   pad_options,
                                                                   pad_options,
                                                                   pad_options,
                                                                   {6, 0, 1, 4, 0, 0, 0, 0}}))},
        {DropReason::bad_option, with_extensions(60, {6, 0, 1, 5, 0, 0, 0, 0})},
        {DropReason::bad_option, with_extensions(60, {6, 0, 1, 3, 0, 0, 0, 1})},
        {DropReason::martian_source, ipv6_tcp_with_source(peer_v4)},
        {DropReason::martian_source, tcp_between(unspecified_v6, our_v6)},
        {DropReason::martian_source, tcp_between(loopback_v6, our_v6)},
        {DropReason::martian_source, tcp_between(all_nodes, our_v6)},
        {DropReason::martian_source, tcp_between(our_v6, our_v6)},
        {DropReason::martian_destination, tcp_between(peer_v6, our_v4)},
        {DropReason::martian_destination, tcp_between(peer_v6, unspecified_v6)},
        {DropReason::martian_destination, tcp_between(peer_v6, loopback_v6)},
        {DropReason::martian_destination, tcp_between(peer_v6, all_nodes)},
    };
}

std::vector<DropCase> icmp_drops() {
    const Bytes embedded_v4 = raw_ip({.source = our_v4, .destination = peer_v4}, Bytes(8, 0));
    const Bytes embedded_v6 = raw_ip({.source = our_v6, .destination = peer_v6}, Bytes(8, 0));
    Bytes mapped_source = embedded_v6, mapped_destination = embedded_v6;
    std::copy(our_v4.bytes.begin(), our_v4.bytes.end(), mapped_source.begin() + 8);
    std::copy(our_v4.bytes.begin(), our_v4.bytes.end(), mapped_destination.begin() + 24);
    RawIp from_nowhere = icmp_v6;
    from_nowhere.source = unspecified_v6;
    RawIp to_broadcast = icmp_v4;
    to_broadcast.destination = IpAddress::v4(255, 255, 255, 255);
    return {
        {DropReason::bad_length, raw_icmp_frame(Bytes(7, 0), icmp_v4)},
        {DropReason::bad_length, raw_icmp_frame(Bytes(7, 0), icmp_v6)},
        {DropReason::bad_icmp_checksum, with(raw_icmp_frame(raw_icmp(8, 0), icmp_v4), 41, {1})},
        {DropReason::bad_icmp_checksum, with(raw_icmp_frame(raw_icmp(128, 0), icmp_v6), 61, {1})},
        {DropReason::icmp_redirect, raw_icmp_frame(raw_icmp(5, 0, 0, embedded_v4), icmp_v4)},
        {DropReason::icmp_redirect, raw_icmp_frame(raw_icmp(137, 0, 0, Bytes(32, 0)), ndp_v6)},
        {DropReason::router_advertisement, raw_icmp_frame(raw_icmp(9, 0), icmp_v4)},
        {DropReason::router_advertisement, raw_icmp_frame(raw_icmp(134, 0, 0, Bytes(8, 0)), ndp_v6)},
        {DropReason::unknown_icmp_type, raw_icmp_frame(raw_icmp(13, 0), icmp_v4)},
        {DropReason::unknown_icmp_type, raw_icmp_frame(raw_icmp(143, 0), icmp_v6)},
        {DropReason::martian_source, raw_icmp_frame(raw_icmp(128, 0), from_nowhere)},
        {DropReason::martian_destination, raw_icmp_frame(raw_icmp(8, 0), to_broadcast)},
        {DropReason::bad_length, raw_icmp_frame(raw_icmp(3, 1, 0, Bytes(19, 0x45)), icmp_v4)},
        {DropReason::bad_length, raw_icmp_frame(raw_icmp(3, 1, 0, without_last(embedded_v4, 1)), icmp_v4)},
        {DropReason::bad_length, raw_icmp_frame(raw_icmp(3, 1, 0, with(embedded_v4, 0, {0x4f})), icmp_v4)},
        {DropReason::bad_ip_header, raw_icmp_frame(raw_icmp(3, 1, 0, with(embedded_v4, 0, {0x44})), icmp_v4)},
        {DropReason::bad_ip_header, raw_icmp_frame(raw_icmp(3, 1, 0, with(embedded_v4, 0, {0x65})), icmp_v4)},
        {DropReason::bad_length, raw_icmp_frame(raw_icmp(1, 4, 0, Bytes(39, 0x60)), icmp_v6)},
        {DropReason::bad_length, raw_icmp_frame(raw_icmp(1, 4, 0, without_last(embedded_v6, 1)), icmp_v6)},
        {DropReason::bad_ip_header, raw_icmp_frame(raw_icmp(1, 4, 0, with(embedded_v6, 0, {0x45})), icmp_v6)},
        {DropReason::martian_source, raw_icmp_frame(raw_icmp(1, 4, 0, mapped_source), icmp_v6)},
        {DropReason::martian_destination, raw_icmp_frame(raw_icmp(1, 4, 0, mapped_destination), icmp_v6)},
    };
}

std::vector<DropCase> ndp_drops() {
    RawIp far = ndp_v6, detection = ndp_v6, to_all = ndp_v6;
    far.hop_limit = 254;
    detection.source = unspecified_v6;
    to_all.destination = all_nodes;
    RawIp detection_to_node = detection;
    detection_to_node.destination = {{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x11, 0x22, 0x33}};
    const Bytes link_address{1, 1, 2, 0, 0, 0, 0, 2};
    const Bytes group_link_address{1, 1, 0x33, 0x33, 0, 0, 0, 2};
    Bytes with_code = raw_ndp(135, 0, our_v6);
    with_code[1] = 1;
    const Bytes mapped_solicitation = raw_icmp(135, 0, 0, Bytes(our_v4.bytes.begin(), our_v4.bytes.end()));
    return {
        {DropReason::hop_limit, raw_icmp_frame(raw_ndp(135, 0, our_v6), far)},
        {DropReason::hop_limit, raw_icmp_frame(raw_ndp(136, 0, our_v6), far)},
        {DropReason::bad_length, raw_icmp_frame(without_last(raw_ndp(135, 0, our_v6), 1), ndp_v6)},
        {DropReason::bad_option, raw_icmp_frame(raw_ndp(135, 0, our_v6, {1}), ndp_v6)},
        {DropReason::bad_option, raw_icmp_frame(raw_ndp(135, 0, our_v6, {1, 0, 0, 0, 0, 0, 0, 0}), ndp_v6)},
        {DropReason::bad_option, raw_icmp_frame(raw_ndp(136, 0, our_v6, {2, 2, 0, 0, 0, 0, 0, 0}), ndp_v6)},
        {DropReason::bad_ndp, raw_icmp_frame(raw_ndp(135, 0, our_v6, group_link_address), ndp_v6)},
        {DropReason::bad_ndp, raw_icmp_frame(with_code, ndp_v6)},
        {DropReason::bad_ndp, raw_icmp_frame(raw_ndp(135, 0, all_nodes), ndp_v6)},
        {DropReason::bad_ndp, raw_icmp_frame(mapped_solicitation, ndp_v6)},
        {DropReason::bad_ndp, raw_icmp_frame(raw_ndp(136, 0x4000'0000, peer_v6), to_all)},
        {DropReason::bad_ndp, raw_icmp_frame(raw_ndp(135, 0, our_v6), detection)},
        {DropReason::bad_ndp, raw_icmp_frame(raw_ndp(135, 0, our_v6, link_address), detection_to_node)},
        {DropReason::martian_source, raw_icmp_frame(raw_ndp(136, 0, our_v6), detection_to_node)},
    };
}

std::vector<DropCase> all_drops() {
    std::vector<DropCase> all;
    for (auto cases : {link_and_arp_drops(), ipv4_drops(), ipv6_drops(), icmp_drops(), ndp_drops()})
        all.insert(all.end(), cases.begin(), cases.end());
    return all;
}

TEST(ParseFrame, DropsForEveryReason) {
    std::set<DropReason> seen;
    size_t index = 0;
    for (const DropCase& drop : all_drops()) {
        const GuardedBytes frame(drop.frame);
        ParsedFrame parsed;
        EXPECT_EQ(parse_frame(frame.span(), {.vlan = drop.vlan}, parsed), FrameKind::dropped) << index;
        EXPECT_EQ(name(parsed.drop_reason), name(drop.reason)) << "case " << index;
        seen.insert(drop.reason);
        ++index;
    }
    EXPECT_EQ(seen.size(), drop_reason_count - 1) << "a reason has no case here";
}

TEST(ParseFrame, ReasonsHaveDistinctNames) {
    std::set<std::string_view> names;
    for (size_t i = 0; i < drop_reason_count; ++i) names.insert(name(static_cast<DropReason>(i)));
    EXPECT_EQ(names.size(), drop_reason_count);
    EXPECT_EQ(name(DropReason::none), "none");
    EXPECT_EQ(name(DropReason::fragment), "fragment");
    EXPECT_EQ(name(DropReason::bad_ndp), "bad_ndp");
}

/// One good frame of every kind, with everything optional in it.
std::vector<Bytes> good_frames() {
    const Bytes payload{'t', 'i', 'c', 'k', 's'};
    const Bytes timestamps_and_sack =
        concat({{1, 1, 8, 10}, be32(7), be32(8), {1, 1, 5, 18}, be32(10), be32(20), be32(30), be32(40)});
    const Bytes syn_options = concat({{2, 4, 5, 0xb4, 4, 2, 8, 10}, be32(7), be32(8), {1, 3, 3, 7}});
    RawIp v4_options, v6_extensions = raw_v6(0);
    v4_options.between = {7, 7, 4, 0, 0, 0, 0, 0};
    v6_extensions.between = concat(
        {{43, 0, 5, 2, 0, 0, 0, 0}, {60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {6, 0, 1, 4, 0, 0, 0, 0}});
    const Bytes embedded_v4 = raw_ip({.source = our_v4, .destination = peer_v4}, raw_tcp({}));
    const Bytes embedded_v6 = raw_ip({.source = our_v6, .destination = peer_v6}, raw_tcp({}));
    return {
        raw_tcp_frame_v4({.options = timestamps_and_sack, .payload = payload}),
        raw_tcp_frame_v4({.flags = 2, .options = syn_options}, v4_options),
        raw_tcp_frame_v6({.options = timestamps_and_sack, .payload = payload}),
        raw_tcp_frame_v6({.flags = 2, .options = syn_options}, v6_extensions),
        raw_ethernet(0x0806, raw_arp(1)),
        raw_icmp_frame(raw_icmp(8, 0, 0x0001'0002, payload), icmp_v4),
        raw_icmp_frame(raw_icmp(129, 0, 0x0001'0002, payload), icmp_v6),
        raw_icmp_frame(raw_icmp(3, 4, 1400, embedded_v4), icmp_v4),
        raw_icmp_frame(raw_icmp(2, 0, 1400, embedded_v6), icmp_v6),
        raw_icmp_frame(raw_ndp(135, 0, our_v6, {14, 1, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 2}), ndp_v6),
        raw_icmp_frame(raw_ndp(136, 0xe000'0000, our_v6, {2, 1, 2, 0, 0, 0, 0, 2}), ndp_v6),
    };
}

/// Makes the length and checksum fields of a cut frame consistent again, so that parsers behind them are reached.
void mend(Bytes& frame) {
    if (frame.size() < 14 + 20) return;
    const unsigned ethertype = frame[12] * 256u + frame[13];
    size_t upper;
    uint8_t protocol;
    if (ethertype == 0x0800) {
        put16(frame, 16, static_cast<unsigned>(frame.size() - 14));
        upper = 14 + (frame[14] & 15u) * 4;
        if (frame.size() < upper) return;
        put16(frame, 24, 0);
        put16(frame, 24, reference_checksum(std::span(frame).subspan(14, upper - 14)));
        protocol = frame[23];
    } else if (ethertype == 0x86dd && frame.size() >= 54) {
        put16(frame, 18, static_cast<unsigned>(frame.size() - 54));
        upper = 54;
        protocol = frame[20];
    } else {
        return;
    }
    Bytes message(frame.begin() + static_cast<std::ptrdiff_t>(upper), frame.end());
    if (message.size() < 4) return;
    if (protocol == 1) {
        put16(message, 2, 0);
        put16(message, 2, reference_checksum(message));
    } else if (protocol == 58) {
        fill_checksum(message, 2, peer_v6, our_v6, 58);
    }
    std::copy(message.begin(), message.end(), frame.begin() + static_cast<std::ptrdiff_t>(upper));
}

TEST(ParseFrame, NeverReadsBehindACutFrame) {
    const ParseOptions trusting{.ip_checksum_verified = true, .tcp_checksum_verified = true};
    for (const Bytes& whole : good_frames()) {
        ParsedFrame parsed;
        ASSERT_NE(parse_frame(whole, {}, parsed), FrameKind::dropped) << name(parsed.drop_reason);
        for (size_t length = 0; length < whole.size(); ++length) {
            Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
            const GuardedBytes torn(cut);
            EXPECT_EQ(parse_frame(torn.span(), {}, parsed), FrameKind::dropped) << length;
            if (const std::optional<FlowKey> key = peek_flow(torn.span(), 0)) {
                EXPECT_TRUE(key->source == peer_v4 || key->source == peer_v6);
                EXPECT_TRUE(key->destination == our_v4 || key->destination == our_v6);
                EXPECT_EQ(key->destination_port, key->is_tcp ? 443 : 0);
            }
            mend(cut);
            const GuardedBytes mended(cut);
            parse_frame(mended.span(), trusting, parsed);
            // Every value of each byte near the end, where lengths of options and headers may lie.
            for (size_t back = 1; back <= std::min<size_t>(length, 4); ++back)
                for (unsigned value = 0; value < 256; value += 3) {
                    mended.span()[length - back] = static_cast<uint8_t>(value);
                    parse_frame(mended.span(), trusting, parsed);
                }
        }
    }
}

TEST(ParseFrame, CutsEthernetPaddingByTheIpLength) {
    const Bytes payload{'a', 'b', 'c'};
    for (Bytes frame : {raw_tcp_frame_v4({.payload = payload}), raw_tcp_frame_v6({.payload = payload})}) {
        frame.resize(frame.size() + 20, 0x5a);
        ParsedFrame parsed;
        ASSERT_EQ(parse_frame(frame, {}, parsed), FrameKind::tcp) << name(parsed.drop_reason);
        EXPECT_EQ(Bytes(parsed.tcp.payload.begin(), parsed.tcp.payload.end()), payload);
        EXPECT_EQ(parse_frame(frame, {.tcp_checksum_verified = true}, parsed), FrameKind::tcp);
        EXPECT_EQ(parsed.tcp.payload.size(), 3u);
    }
}

TEST(ParseFrame, ReportsTheLinkHeader) {
    ParsedFrame parsed;
    ASSERT_EQ(parse_frame(raw_tcp_frame_v4({}, {}, {.tag = 0x6000 | 100}), {.vlan = 100}, parsed), FrameKind::tcp);
    EXPECT_EQ(parsed.vlan, 100);
    EXPECT_EQ(parsed.source_mac, peer_mac);
    EXPECT_EQ(parsed.destination_mac, our_mac);
    // A tag of VLAN id 0 only carries a priority (IEEE 802.1Q §6.9.1).
    ASSERT_EQ(parse_frame(raw_tcp_frame_v4({}, {}, {.tag = 0x6000}), {}, parsed), FrameKind::tcp);
    EXPECT_EQ(parsed.vlan, 0);
}

TEST(ParseFrame, SkipsChecksumsTheDeviceVerified) {
    Bytes frame = raw_tcp_frame_v4();
    put16(frame, 24, 0);
    put16(frame, 50, 0x1234);
    ParsedFrame parsed;
    EXPECT_EQ(parse_frame(frame, {}, parsed), FrameKind::dropped);
    EXPECT_EQ(parsed.drop_reason, DropReason::bad_ip_checksum);
    EXPECT_EQ(parse_frame(frame, {.ip_checksum_verified = true}, parsed), FrameKind::dropped);
    EXPECT_EQ(parsed.drop_reason, DropReason::bad_tcp_checksum);
    EXPECT_EQ(parse_frame(frame, {.ip_checksum_verified = true, .tcp_checksum_verified = true}, parsed),
              FrameKind::tcp);
    EXPECT_EQ(parsed.drop_reason, DropReason::none);
}

TEST(PeekFlow, AgreesWithTheParserOnEveryTcpFrame) {
    unsigned tcp_frames = 0;
    for (const Bytes& frame : good_frames()) {
        ParsedFrame parsed;
        const bool is_tcp = parse_frame(frame, {}, parsed) == FrameKind::tcp;
        const std::optional<FlowKey> key = peek_flow(frame, 0);
        EXPECT_EQ(key.has_value(), parsed.kind != FrameKind::arp);
        EXPECT_EQ(key && key->is_tcp, is_tcp);
        if (!is_tcp) continue;
        ++tcp_frames;
        EXPECT_EQ(*key, (FlowKey{parsed.tcp.source, parsed.tcp.destination, 4660, 443, true}));
        EXPECT_FALSE(peek_flow(frame, 9).has_value());
    }
    EXPECT_EQ(tcp_frames, 4u);
    EXPECT_EQ(peek_flow(raw_tcp_frame_v4({}, {}, {.tag = 9}), 9)->source, peer_v4);
    EXPECT_FALSE(peek_flow(raw_tcp_frame_v4({}, {}, {.tag = 9}), 0).has_value());
    EXPECT_FALSE(peek_flow(with_extensions(44, {6, 0, 0, 0, 0, 0, 0, 1}), 0).has_value());
}

}  // namespace
}  // namespace millrace::wire
