// ARP and NDP, both ways, byte by byte.
#include <gtest/gtest.h>

#include "dataplane/wire/frame.h"
#include "dataplane/wire/write.h"
#include "guarded_bytes.h"
#include "raw_frame.h"

namespace millrace::wire {
namespace {

using namespace test;

const IpAddress solicited_node{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x11, 0x22, 0x33}};

TEST(Arp, IsRead) {
    ParsedFrame parsed;
    // Requests come to the broadcast address, with Ethernet's padding behind them.
    Bytes frame = raw_ethernet(0x0806, raw_arp(1), {.destination = broadcast_mac});
    frame.resize(60, 0x5a);
    ASSERT_EQ(parse_frame(frame, {}, parsed), FrameKind::arp) << name(parsed.drop_reason);
    EXPECT_TRUE(parsed.arp.is_request);
    EXPECT_EQ(parsed.arp.sender_mac, peer_mac);
    EXPECT_EQ(parsed.arp.sender, peer_v4);
    EXPECT_EQ(parsed.arp.target_mac, MacAddress{});
    EXPECT_EQ(parsed.arp.target, our_v4);
    ASSERT_EQ(parse_frame(raw_ethernet(0x0806, raw_arp(2), {.tag = 7}), {.vlan = 7}, parsed), FrameKind::arp);
    EXPECT_FALSE(parsed.arp.is_request);
}

TEST(Arp, IsWrittenByteByByte) {
    const ArpPacket packet{.is_request = true, .sender_mac = peer_mac, .sender = peer_v4, .target = our_v4};
    for (const bool request : {true, false})
        for (const int vlan : {0, 42}) {
            ArpPacket arp = packet;
            arp.is_request = request;
            const Bytes want = raw_ethernet(0x0806, raw_arp(request ? 1 : 2), {.tag = vlan == 0 ? -1 : vlan});
            const GuardedBytes out(want.size());
            const LinkHeader link{
                .source_mac = peer_mac, .destination_mac = our_mac, .vlan = static_cast<uint16_t>(vlan)};
            EXPECT_EQ(write_arp(out.span().first(want.size() - 1), link, arp), 0u);
            EXPECT_EQ(write_arp(out.span(), link, arp), want.size());
            EXPECT_EQ(Bytes(out.span().begin(), out.span().end()), want);
        }
    ArpPacket v6 = packet;
    v6.target = our_v6;
    Bytes out(100);
    EXPECT_EQ(write_arp(out, {}, v6), 0u);
}

TEST(Ndp, SolicitationIsRead) {
    RawIp ip = ndp_v6;
    ip.destination = solicited_node;
    ParsedFrame parsed;
    // An unknown option and one of another link layer's length come first and are skipped; flags mean nothing here.
    const Bytes options =
        concat({{14, 1, 1, 1, 1, 1, 1, 1}, {1, 2, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}, {1, 1, 2, 0, 0, 0, 0, 2}});
    ASSERT_EQ(parse_frame(raw_icmp_frame(raw_ndp(135, 0xe000'0000, our_v6, options), ip,
                                         {.destination = multicast_mac(solicited_node)}),
                          {}, parsed),
              FrameKind::ndp_solicitation)
        << name(parsed.drop_reason);
    EXPECT_EQ(parsed.ndp.source, peer_v6);
    EXPECT_EQ(parsed.ndp.destination, solicited_node);
    EXPECT_EQ(parsed.ndp.target, our_v6);
    EXPECT_TRUE(parsed.ndp.has_link_address);
    EXPECT_EQ(parsed.ndp.link_address, peer_mac);
    EXPECT_FALSE(parsed.ndp.is_router || parsed.ndp.is_solicited || parsed.ndp.is_override);

    // A target's address is no source's; what the last frame left must not show.
    ASSERT_EQ(parse_frame(raw_icmp_frame(raw_ndp(135, 0, our_v6, {2, 1, 2, 0, 0, 0, 0, 2}), ip), {}, parsed),
              FrameKind::ndp_solicitation);
    EXPECT_FALSE(parsed.ndp.has_link_address);

    ip.source = {};  // duplicate address detection
    ASSERT_EQ(parse_frame(raw_icmp_frame(raw_ndp(135, 0, our_v6), ip), {}, parsed), FrameKind::ndp_solicitation)
        << name(parsed.drop_reason);
    EXPECT_TRUE(parsed.ndp.source.is_unspecified());
}

TEST(Ndp, AdvertisementIsRead) {
    ParsedFrame parsed;
    for (const uint32_t flags : {0x8000'0000u, 0x4000'0000u, 0x2000'0000u}) {
        ASSERT_EQ(
            parse_frame(raw_icmp_frame(raw_ndp(136, flags, peer_v6, {2, 1, 2, 0, 0, 0, 0, 2}), ndp_v6), {}, parsed),
            FrameKind::ndp_advertisement)
            << name(parsed.drop_reason);
        EXPECT_EQ(parsed.ndp.is_router, flags == 0x8000'0000u);
        EXPECT_EQ(parsed.ndp.is_solicited, flags == 0x4000'0000u);
        EXPECT_EQ(parsed.ndp.is_override, flags == 0x2000'0000u);
        EXPECT_EQ(parsed.ndp.link_address, peer_mac);
    }
    RawIp unsolicited = ndp_v6;
    unsolicited.destination = {{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    EXPECT_EQ(parse_frame(raw_icmp_frame(raw_ndp(136, 0x2000'0000, peer_v6), unsolicited), {}, parsed),
              FrameKind::ndp_advertisement);
}

TEST(Ndp, SolicitationIsWrittenByteByByte) {
    NdpMessage message{.source = peer_v6,
                       .destination = solicited_node_address(our_v6),
                       .target = our_v6,
                       .has_link_address = true,
                       .link_address = peer_mac};
    EXPECT_EQ(message.destination, solicited_node);
    RawIp ip = ndp_v6;
    ip.destination = solicited_node;
    const MacAddress group{{0x33, 0x33, 0xff, 0x11, 0x22, 0x33}};
    EXPECT_EQ(multicast_mac(solicited_node), group);
    const LinkHeader link{.source_mac = peer_mac, .destination_mac = group, .vlan = 9};
    for (const bool with_address : {true, false}) {
        message.has_link_address = with_address;
        const Bytes options = with_address ? Bytes{1, 1, 2, 0, 0, 0, 0, 2} : Bytes{};
        const Bytes want = raw_icmp_frame(raw_ndp(135, 0, our_v6, options), ip, {.destination = group, .tag = 9});
        const GuardedBytes out(want.size());
        EXPECT_EQ(write_ndp_solicitation(out.span().first(want.size() - 1), link, message), 0u);
        EXPECT_EQ(write_ndp_solicitation(out.span(), link, message), want.size());
        EXPECT_EQ(Bytes(out.span().begin(), out.span().end()), want);
    }
}

TEST(Ndp, AdvertisementIsWrittenByteByByte) {
    for (unsigned bits = 0; bits < 8; ++bits) {
        const NdpMessage message{.source = peer_v6,
                                 .destination = our_v6,
                                 .target = peer_v6,
                                 .has_link_address = true,
                                 .link_address = peer_mac,
                                 .is_router = (bits & 4) != 0,
                                 .is_solicited = (bits & 2) != 0,
                                 .is_override = (bits & 1) != 0};
        const Bytes want = raw_icmp_frame(raw_ndp(136, bits << 29, peer_v6, {2, 1, 2, 0, 0, 0, 0, 2}), ndp_v6);
        Bytes out(want.size());
        ASSERT_EQ(write_ndp_advertisement(out, {.source_mac = peer_mac, .destination_mac = our_mac}, message),
                  want.size());
        EXPECT_EQ(out, want);
    }
    NdpMessage v4{.source = peer_v4, .destination = our_v4, .target = peer_v4};
    Bytes out(200);
    EXPECT_EQ(write_ndp_advertisement(out, {}, v4), 0u);
}

}  // namespace
}  // namespace millrace::wire
