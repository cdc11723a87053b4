// Echoes and errors of both families: what is read, what is written, and that the two agree.
#include <gtest/gtest.h>

#include "dataplane/wire/frame.h"
#include "dataplane/wire/write.h"
#include "guarded_bytes.h"
#include "raw_frame.h"

namespace millrace::wire {
namespace {

using namespace test;

const LinkHeader link_to_peer{.source_mac = our_mac, .destination_mac = peer_mac};
const Bytes ping{'p', 'i', 'n', 'g', '!'};

TEST(IcmpEcho, IsRead) {
    ParsedFrame parsed;
    for (const auto& [frame, kind] :
         {std::pair{raw_icmp_frame(raw_icmp(8, 0, 0x1234'5678, ping), icmp_v4), FrameKind::icmp_echo_request},
          std::pair{raw_icmp_frame(raw_icmp(0, 0, 0x1234'5678, ping), icmp_v4), FrameKind::icmp_echo_reply},
          std::pair{raw_icmp_frame(raw_icmp(128, 0, 0x1234'5678, ping), icmp_v6), FrameKind::icmp_echo_request},
          std::pair{raw_icmp_frame(raw_icmp(129, 0, 0x1234'5678, ping), icmp_v6), FrameKind::icmp_echo_reply}}) {
        ASSERT_EQ(parse_frame(frame, {}, parsed), kind) << name(parsed.drop_reason);
        EXPECT_EQ(parsed.echo.id, 0x1234);
        EXPECT_EQ(parsed.echo.sequence, 0x5678);
        EXPECT_EQ(parsed.echo.source, parsed.echo.source.is_v4() ? peer_v4 : peer_v6);
        EXPECT_EQ(parsed.echo.destination, parsed.echo.source.is_v4() ? our_v4 : our_v6);
        EXPECT_EQ(Bytes(parsed.echo.payload.begin(), parsed.echo.payload.end()), ping);
    }
}

TEST(IcmpEcho, IsWrittenByteByByte) {
    struct Case {
        bool v6;
        bool request;
        uint8_t type;
    };
    for (const Case& c : {Case{false, true, 8}, Case{false, false, 0}, Case{true, true, 128}, Case{true, false, 129}}) {
        const IcmpEcho echo{.source = c.v6 ? our_v6 : our_v4,
                            .destination = c.v6 ? peer_v6 : peer_v4,
                            .id = 0x1234,
                            .sequence = 0x5678,
                            .payload = ping};
        const RawIp ip{.source = echo.source,
                       .destination = echo.destination,
                       .protocol = static_cast<uint8_t>(c.v6 ? 58 : 1),
                       .hop_limit = 61};
        const Bytes want =
            raw_icmp_frame(raw_icmp(c.type, 0, 0x1234'5678, ping), ip, {.source = our_mac, .destination = peer_mac});
        const GuardedBytes out(want.size());
        const auto write = c.request ? write_icmp_echo_request : write_icmp_echo_reply;
        EXPECT_EQ(write(out.span().first(want.size() - 1), link_to_peer, echo, {.ttl = 61}), 0u);
        EXPECT_EQ(write(out.span(), link_to_peer, echo, {.ttl = 61}), want.size());
        EXPECT_EQ(Bytes(out.span().begin(), out.span().end()), want);
    }
}

IcmpError error_of(const Bytes& frame) {
    ParsedFrame parsed;
    // An earlier error must not show through.
    parsed.error = {.mtu = 9, .embedded_is_tcp = true, .embedded_source_port = 9, .embedded_seq = 9};
    EXPECT_EQ(parse_frame(frame, {}, parsed), FrameKind::icmp_error) << name(parsed.drop_reason);
    return parsed.error;
}

TEST(IcmpError, NamesTheEmbeddedConnection) {
    // Routers return as little as the IP header and 8 bytes (RFC 792), and IPv4 options stay in it.
    RawIp sent{.source = our_v4, .destination = IpAddress::v4(198, 18, 9, 9)};
    for (const Bytes& options : {Bytes{}, Bytes(8, 1)}) {
        sent.between = options;
        const Bytes embedded = raw_ip(sent, Bytes{0x01, 0xbb, 0x12, 0x34, 0xde, 0xad, 0xbe, 0xef});
        const IcmpError error = error_of(raw_icmp_frame(raw_icmp(3, 1, 0xffff'ffff, embedded), icmp_v4));
        EXPECT_EQ(error.kind, IcmpErrorKind::unreachable);
        EXPECT_EQ(error.code, 1);
        EXPECT_EQ(error.mtu, 0u);
        EXPECT_EQ(error.source, peer_v4);
        EXPECT_EQ(error.destination, our_v4);
        EXPECT_TRUE(error.embedded_is_tcp);
        EXPECT_EQ(error.embedded_source, our_v4);
        EXPECT_EQ(error.embedded_destination, IpAddress::v4(198, 18, 9, 9));
        EXPECT_EQ(error.embedded_source_port, 443);
        EXPECT_EQ(error.embedded_destination_port, 0x1234);
        EXPECT_EQ(error.embedded_seq, 0xdead'beefu);
    }
    const Bytes embedded = raw_ip({.source = our_v6, .destination = peer_v6}, raw_tcp({}));
    const IcmpError error = error_of(raw_icmp_frame(raw_icmp(1, 4, 0, embedded), icmp_v6));
    EXPECT_EQ(error.kind, IcmpErrorKind::unreachable);
    EXPECT_EQ(error.code, 4);
    EXPECT_TRUE(error.embedded_is_tcp);
    EXPECT_EQ(error.embedded_source, our_v6);
    EXPECT_EQ(error.embedded_destination, peer_v6);
    EXPECT_EQ(error.embedded_source_port, 4660);
    EXPECT_EQ(error.embedded_destination_port, 443);
    EXPECT_EQ(error.embedded_seq, 0x0102'0304u);
}

TEST(IcmpError, TooBigCarriesTheMtu) {
    const Bytes embedded_v4 = raw_ip({.source = our_v4, .destination = peer_v4}, Bytes(8, 0));
    const Bytes embedded_v6 = raw_ip({.source = our_v6, .destination = peer_v6}, Bytes(8, 0));
    IcmpError error = error_of(raw_icmp_frame(raw_icmp(3, 4, 0xffff'0000 | 1400, embedded_v4), icmp_v4));
    EXPECT_EQ(error.kind, IcmpErrorKind::packet_too_big);
    EXPECT_EQ(error.mtu, 1400u);
    error = error_of(raw_icmp_frame(raw_icmp(2, 0, 0x0001'0500, embedded_v6), icmp_v6));
    EXPECT_EQ(error.kind, IcmpErrorKind::packet_too_big);
    EXPECT_EQ(error.mtu, 0x0001'0500u);
}

TEST(IcmpError, TimeExceeded) {
    const Bytes embedded_v4 = raw_ip({.source = our_v4, .destination = peer_v4}, Bytes(8, 0));
    const Bytes embedded_v6 = raw_ip({.source = our_v6, .destination = peer_v6}, Bytes(8, 0));
    EXPECT_EQ(error_of(raw_icmp_frame(raw_icmp(11, 0, 0, embedded_v4), icmp_v4)).kind, IcmpErrorKind::time_exceeded);
    EXPECT_EQ(error_of(raw_icmp_frame(raw_icmp(3, 0, 0, embedded_v6), icmp_v6)).kind, IcmpErrorKind::time_exceeded);
}

TEST(IcmpError, AboutOtherProtocolsHasNoPorts) {
    const Bytes udp_v4 = raw_ip({.source = our_v4, .destination = peer_v4, .protocol = 17}, Bytes(8, 0x11));
    const Bytes udp_v6 = raw_ip({.source = our_v6, .destination = peer_v6, .protocol = 17}, Bytes(8, 0x11));
    for (const Bytes& frame :
         {raw_icmp_frame(raw_icmp(3, 3, 0, udp_v4), icmp_v4), raw_icmp_frame(raw_icmp(1, 4, 0, udp_v6), icmp_v6)}) {
        const IcmpError error = error_of(frame);
        EXPECT_FALSE(error.embedded_is_tcp);
        EXPECT_EQ(error.embedded_source_port, 0);
        EXPECT_EQ(error.embedded_destination, error.source.is_v4() ? peer_v4 : peer_v6);
    }
}

}  // namespace
}  // namespace millrace::wire
