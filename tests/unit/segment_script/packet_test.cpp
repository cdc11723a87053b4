#include "tests/tools/segment_script/packet.h"

#include <gtest/gtest.h>

#include "dataplane/wire/frame.h"

namespace millrace::script {
namespace {

Packet sample(bool v4) {
    Packet packet;
    packet.source = v4 ? IpAddress::v4(192, 0, 2, 1) : *parse_ip_address("2001:db8::1");
    packet.destination = v4 ? IpAddress::v4(192, 168, 0, 1) : *parse_ip_address("fd3d:fa7b:d17d::1");
    packet.source_port = 50000;
    packet.destination_port = 8080;
    packet.seq = 7;
    packet.ack = 9;
    packet.flags = wire::tcp_ack | wire::tcp_ece;
    packet.ecn = 3;
    packet.window = 100;
    packet.options = {{Option::nop, {}, false}, {Option::timestamps, {0, 0, 0, 1, 0, 0, 0, 2}, false}};
    packet.payload = {1, 2, 3};
    return packet;
}

TEST(ScriptPacket, FramesAreWhatTheStackReads) {
    for (const bool v4 : {true, false}) {
        const Packet packet = sample(v4);
        wire::ParsedFrame parsed;
        ASSERT_EQ(wire::parse_frame(write_frame(packet), {}, parsed), wire::FrameKind::tcp);
        EXPECT_EQ(parsed.tcp.source, packet.source);
        EXPECT_EQ(parsed.tcp.destination, packet.destination);
        EXPECT_EQ(parsed.tcp.source_port, 50000);
        EXPECT_EQ(parsed.tcp.seq, 7u);
        EXPECT_EQ(parsed.tcp.ack, 9u);
        EXPECT_EQ(parsed.tcp.flags, packet.flags);
        EXPECT_EQ(parsed.tcp.ip_ecn, 3);
        EXPECT_EQ(parsed.tcp.window, 100);
        EXPECT_TRUE(parsed.tcp.options.has_timestamps);
        EXPECT_EQ(parsed.tcp.options.ts_echo, 2u);
        EXPECT_EQ(parsed.tcp.payload.size(), 3u);
    }
}

TEST(ScriptPacket, ReadsBackWhatItWrites) {
    for (const bool v4 : {true, false}) {
        const Packet packet = sample(v4);
        const auto read = read_frame(write_frame(packet));
        ASSERT_TRUE(read);
        EXPECT_EQ(read->destination, packet.destination);
        EXPECT_EQ(read->flags, packet.flags);
        EXPECT_EQ(read->ecn, packet.ecn);
        EXPECT_EQ(read->payload, packet.payload);
        EXPECT_EQ(options_text(read->options), "<nop,TS val 1 ecr 2,eol>");
        EXPECT_EQ(flags_text(read->flags), "E.");
    }
}

TEST(ScriptPacket, NoticesADamagedFrame) {
    const std::vector<uint8_t> good = write_frame(sample(true));
    for (size_t at = 14; at < good.size(); ++at) {
        std::vector<uint8_t> bad = good;
        bad[at] ^= 0x10;
        EXPECT_FALSE(read_frame(bad)) << at;
        EXPECT_FALSE(read_frame(std::span(good).first(at))) << at;
    }
}

TEST(ScriptPacket, IcmpErrorsAreWhatTheStackReads) {
    Packet sent = sample(true);
    std::swap(sent.source, sent.destination);
    wire::ParsedFrame parsed;
    const auto needed = write_icmp_frame({"unreachable", "frag_needed", 1400, 0}, sent);
    ASSERT_TRUE(needed);
    ASSERT_EQ(wire::parse_frame(*needed, {}, parsed), wire::FrameKind::icmp_error);
    EXPECT_EQ(parsed.error.kind, wire::IcmpErrorKind::packet_too_big);
    EXPECT_EQ(parsed.error.mtu, 1400u);
    EXPECT_EQ(parsed.error.embedded_seq, 7u);
    EXPECT_EQ(parsed.error.embedded_source, sent.source);

    sent = sample(false);
    std::swap(sent.source, sent.destination);
    const auto too_big = write_icmp_frame({"packet_too_big", "", 1300, 0}, sent);
    ASSERT_TRUE(too_big);
    ASSERT_EQ(wire::parse_frame(*too_big, {}, parsed), wire::FrameKind::icmp_error);
    EXPECT_EQ(parsed.error.kind, wire::IcmpErrorKind::packet_too_big);
    EXPECT_EQ(parsed.error.mtu, 1300u);
    EXPECT_FALSE(write_icmp_frame({"unreachable", "frag_needed", 0, 0}, sent)) << "IPv6 has no such error";
}

}  // namespace
}  // namespace millrace::script
