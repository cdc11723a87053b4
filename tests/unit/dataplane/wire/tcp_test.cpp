// TCP headers and options: hostile options, round trips of every combination, the exact bytes of what is written, and
// what a frame of the writer looks like to the reference checksum.
#include <gtest/gtest.h>

#include "dataplane/wire/frame.h"
#include "dataplane/wire/write.h"
#include "guarded_bytes.h"
#include "raw_frame.h"

namespace millrace::wire {
namespace {

using namespace test;

TcpOptions options_of(const Bytes& options, uint8_t flags) {
    const GuardedBytes frame(raw_tcp_frame_v4({.flags = flags, .options = options}));
    ParsedFrame parsed;
    // An earlier frame's options must not show through.
    parsed.tcp.options = {.has_mss = true, .has_window_scale = true, .has_timestamps = true, .sack_count = 4};
    EXPECT_EQ(parse_frame(frame.span(), {}, parsed), FrameKind::tcp) << name(parsed.drop_reason);
    return parsed.tcp.options;
}

TcpOptions syn_options(const Bytes& options) {
    return options_of(options, tcp_syn);
}
TcpOptions ack_options(const Bytes& options) {
    return options_of(options, tcp_ack);
}

void expect_equal(const TcpOptions& got, const TcpOptions& want) {
    EXPECT_EQ(got.has_mss, want.has_mss);
    EXPECT_EQ(got.has_window_scale, want.has_window_scale);
    EXPECT_EQ(got.has_timestamps, want.has_timestamps);
    EXPECT_EQ(got.sack_permitted, want.sack_permitted);
    EXPECT_EQ(got.sack_count, want.sack_count);
    if (want.has_mss) {
        EXPECT_EQ(got.mss, want.mss);
    }
    if (want.has_window_scale) {
        EXPECT_EQ(got.window_scale, want.window_scale);
    }
    if (want.has_timestamps) {
        EXPECT_EQ(got.ts_value, want.ts_value);
        EXPECT_EQ(got.ts_echo, want.ts_echo);
    }
    for (size_t i = 0; i < want.sack_count; ++i) {
        EXPECT_EQ(got.sack[i].left, want.sack[i].left);
        EXPECT_EQ(got.sack[i].right, want.sack[i].right);
    }
}

TEST(TcpParse, ReadsEveryFieldOfTheHeader) {
    RawIp ip;
    ip.traffic_class = 0xab;  // ECN bits 11
    const Bytes frame = raw_tcp_frame_v4({.flags = 0xff, .payload = {'x', 'y'}}, ip);
    ParsedFrame parsed;
    ASSERT_EQ(parse_frame(frame, {}, parsed), FrameKind::tcp);
    EXPECT_EQ(parsed.tcp.source, peer_v4);
    EXPECT_EQ(parsed.tcp.destination, our_v4);
    EXPECT_EQ(parsed.tcp.source_port, 4660);
    EXPECT_EQ(parsed.tcp.destination_port, 443);
    EXPECT_EQ(parsed.tcp.seq, 0x0102'0304u);
    EXPECT_EQ(parsed.tcp.ack, 0x0506'0708u);
    EXPECT_EQ(parsed.tcp.flags, 0xff);
    EXPECT_EQ(parsed.tcp.window, 0x1122);
    EXPECT_EQ(parsed.tcp.urgent, 0x3344);
    EXPECT_EQ(parsed.tcp.ip_ecn, 3);
    EXPECT_EQ(parsed.tcp.payload.data(), frame.data() + 54);
    EXPECT_EQ(parsed.tcp.payload.size(), 2u);

    RawIp ip6 = raw_v6(6);
    ip6.traffic_class = 0xa9;
    ASSERT_EQ(parse_frame(raw_tcp_frame_v6({}, ip6), {}, parsed), FrameKind::tcp);
    EXPECT_EQ(parsed.tcp.source, peer_v6);
    EXPECT_EQ(parsed.tcp.destination, our_v6);
    EXPECT_EQ(parsed.tcp.ip_ecn, 1);
}

TEST(TcpOptions, AllOfASyn) {
    expect_equal(syn_options({2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 1, 2, 0, 0, 3, 4, 1, 3, 3, 7}),
                 {.has_mss = true,
                  .has_window_scale = true,
                  .has_timestamps = true,
                  .sack_permitted = true,
                  .window_scale = 7,
                  .mss = 1460,
                  .ts_value = 0x102,
                  .ts_echo = 0x304});
    expect_equal(syn_options({}), {});
}

TEST(TcpOptions, AfterTheEndOrAnImpossibleLengthNothingCounts) {
    const TcpOptions mss{.has_mss = true, .mss = 0x102};
    expect_equal(syn_options({2, 4, 1, 2, 0, 3, 3, 7}), mss);    // end of list
    expect_equal(syn_options({2, 4, 1, 2, 3, 0, 4, 2}), mss);    // length 0
    expect_equal(syn_options({2, 4, 1, 2, 3, 1, 4, 2}), mss);    // length 1
    expect_equal(syn_options({2, 4, 1, 2, 3, 5, 1, 1}), mss);    // one byte too long
    expect_equal(syn_options({2, 4, 1, 2, 1, 1, 1, 3}), mss);    // kind without length
    expect_equal(syn_options({2, 4, 1, 2, 8, 255, 0, 0}), mss);  // far outside
    expect_equal(syn_options({254, 4, 9, 9, 2, 4, 1, 2}), mss);  // unknown kinds are skipped
}

TEST(TcpOptions, WrongLengthsOfKnownKindsAreIgnored) {
    const TcpOptions mss{.has_mss = true, .mss = 0x102};
    expect_equal(syn_options({2, 3, 9, 1, 2, 4, 1, 2}), mss);
    expect_equal(syn_options({3, 4, 7, 7, 2, 4, 1, 2}), mss);
    expect_equal(syn_options({4, 3, 1, 1, 2, 4, 1, 2}), mss);
    expect_equal(syn_options({8, 8, 1, 1, 1, 1, 1, 1, 2, 4, 1, 2}), mss);
    for (const uint8_t length : std::initializer_list<uint8_t>{2, 6, 9, 11, 14}) {
        Bytes sack(16, 1);
        sack[0] = 5;
        sack[1] = length;
        expect_equal(ack_options(sack), {});
    }
}

TEST(TcpOptions, WindowScaleIsClamped) {
    EXPECT_EQ(syn_options({3, 3, 14, 0}).window_scale, 14);
    EXPECT_EQ(syn_options({3, 3, 15, 0}).window_scale, 14);
    EXPECT_EQ(syn_options({3, 3, 255, 0}).window_scale, 14);
}

TEST(TcpOptions, BelongToSynOrToTheRest) {
    expect_equal(ack_options({2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 0, 0}), {});
    expect_equal(syn_options({1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2}), {});
    expect_equal(options_of({2, 4, 1, 2}, tcp_syn | tcp_ack), {.has_mss = true, .mss = 0x102});
}

TEST(TcpOptions, FourSackBlocks) {
    Bytes sack{1, 1, 5, 34};
    TcpOptions want{.sack_count = 4};
    for (uint32_t i = 0; i < 4; ++i) {
        want.sack[i] = {.left = 0xf000'0000u + i, .right = 0xf100'0000u + i};
        append(sack, concat({be32(want.sack[i].left), be32(want.sack[i].right)}));
    }
    expect_equal(ack_options(sack), want);
}

struct RoundTrip {
    OutboundSegment segment;
    LinkHeader link{.source_mac = our_mac, .destination_mac = peer_mac};
    WriteOptions write{};
};

OutboundSegment outbound(bool v6, uint8_t flags) {
    OutboundSegment segment;
    segment.header.source = v6 ? our_v6 : our_v4;
    segment.header.destination = v6 ? peer_v6 : peer_v4;
    segment.header.source_port = 443;
    segment.header.destination_port = 4660;
    segment.header.seq = 0x8000'0001;
    segment.header.ack = 0xfedc'ba98;
    segment.header.flags = flags;
    segment.header.ip_ecn = 2;
    segment.header.window = 0xabcd;
    segment.header.urgent = 0x1234;
    return segment;
}

/// `bytes` cut into pieces of these sizes and a last one with the rest.
void set_payload(OutboundSegment& segment, const Bytes& bytes, std::initializer_list<size_t> sizes) {
    std::span<const uint8_t> rest = bytes;
    segment.payload_length = static_cast<uint16_t>(bytes.size());
    segment.piece_count = 0;
    for (size_t size : sizes) {
        segment.pieces[segment.piece_count++] = rest.first(size);
        rest = rest.subspan(size);
    }
    segment.pieces[segment.piece_count++] = rest;
}

/// Writes into exactly fitting memory, checks that nothing smaller will do, parses, and compares all values.
Bytes expect_round_trip(const RoundTrip& trip, const Bytes& payload) {
    const TcpSegment& want = trip.segment.header;
    const size_t ip = want.source.is_v4() ? 20 : 40;
    const size_t header = tcp_header_length(want.options, want.has(tcp_syn));
    const size_t length = trip.link.length() + ip + header + payload.size();
    const GuardedBytes out(length);
    EXPECT_EQ(write_tcp(out.span().first(length - 1), trip.link, trip.segment, trip.write), 0u);
    EXPECT_EQ(write_tcp(out.span(), trip.link, trip.segment, trip.write), length);
    ParsedFrame parsed;
    EXPECT_EQ(parse_frame(out.span(), {.vlan = trip.link.vlan}, parsed), FrameKind::tcp) << name(parsed.drop_reason);
    EXPECT_EQ(parsed.source_mac, trip.link.source_mac);
    EXPECT_EQ(parsed.destination_mac, trip.link.destination_mac);
    EXPECT_EQ(parsed.vlan, trip.link.vlan);
    EXPECT_EQ(parsed.tcp.source, want.source);
    EXPECT_EQ(parsed.tcp.destination, want.destination);
    EXPECT_EQ(parsed.tcp.source_port, want.source_port);
    EXPECT_EQ(parsed.tcp.destination_port, want.destination_port);
    EXPECT_EQ(parsed.tcp.seq, want.seq);
    EXPECT_EQ(parsed.tcp.ack, want.ack);
    EXPECT_EQ(parsed.tcp.flags, want.flags);
    EXPECT_EQ(parsed.tcp.ip_ecn, want.ip_ecn);
    EXPECT_EQ(parsed.tcp.window, want.window);
    EXPECT_EQ(parsed.tcp.urgent, want.urgent);
    expect_equal(parsed.tcp.options, want.options);
    EXPECT_EQ(Bytes(parsed.tcp.payload.begin(), parsed.tcp.payload.end()), payload);
    EXPECT_EQ(peek_flow(out.span(), trip.link.vlan),
              (FlowKey{want.source, want.destination, want.source_port, want.destination_port, true}));
    return {out.span().begin(), out.span().end()};
}

TEST(TcpWrite, RoundTripsAllSynOptions) {
    for (unsigned bits = 0; bits < 64; ++bits) {
        RoundTrip trip{.segment = outbound((bits & 32) != 0, (bits & 1) != 0 ? tcp_syn | tcp_ack : tcp_syn)};
        trip.link.vlan = (bits & 16) != 0 ? 4094 : 0;
        trip.segment.header.options = {.has_mss = (bits & 1) != 0,
                                       .has_window_scale = (bits & 2) != 0,
                                       .has_timestamps = (bits & 4) != 0,
                                       .sack_permitted = (bits & 8) != 0,
                                       .window_scale = 14,
                                       .mss = 8960,
                                       .ts_value = 0xdead'beef,
                                       .ts_echo = 0x0102'0304};
        expect_round_trip(trip, {});
        const Bytes payload{'T', 'F', 'O'};
        set_payload(trip.segment, payload, {});
        expect_round_trip(trip, payload);
    }
}

TEST(TcpWrite, RoundTripsTimestampsAndSack) {
    const Bytes payload = concat({Bytes(100, 'a'), Bytes(29, 'b')});
    for (unsigned bits = 0; bits < 8; ++bits)
        for (uint8_t sack_count = 0; sack_count <= 4; ++sack_count) {
            RoundTrip trip{.segment = outbound((bits & 2) != 0, tcp_ack | tcp_psh)};
            trip.link.vlan = (bits & 4) != 0 ? 1 : 0;
            TcpOptions& options = trip.segment.header.options;
            options.has_timestamps = (bits & 1) != 0;
            options.ts_value = 0x1111'2222;
            options.ts_echo = 0xffff'fffe;
            options.sack_count = sack_count;
            for (uint32_t i = 0; i < sack_count; ++i) options.sack[i] = {.left = i + 1, .right = 0xffff'ff00 + i};
            set_payload(trip.segment, payload, {});
            if (options.has_timestamps && sack_count == 4) {  // no room for the fourth
                EXPECT_EQ(tcp_header_length(options, false), 60u);
                options.sack_count = 3;
            }
            expect_round_trip(trip, payload);
        }
}

TEST(TcpWrite, WritesOnlyTheSackBlocksThatFit) {
    OutboundSegment segment = outbound(false, tcp_ack);
    segment.header.options.has_timestamps = true;
    segment.header.options.sack_count = 4;
    for (uint32_t i = 0; i < 4; ++i) segment.header.options.sack[i] = {.left = i, .right = i + 1};
    Bytes frame(200);
    frame.resize(write_tcp(frame, {}, segment, {}));
    ParsedFrame parsed;
    ASSERT_EQ(parse_frame(frame, {}, parsed), FrameKind::tcp);
    EXPECT_EQ(parsed.tcp.options.sack_count, 3);
    EXPECT_EQ(parsed.tcp.options.sack[2].left, 2u);
}

TEST(TcpWrite, GathersPiecesOfAnyLength) {
    Bytes payload(1400);
    for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<uint8_t>(i * 7 + i / 256);
    for (size_t first = 0; first < 70; ++first)
        for (size_t second : {size_t{0}, size_t{1}, size_t{2}, size_t{33}}) {
            RoundTrip trip{.segment = outbound(first % 2 != 0, tcp_ack)};
            trip.segment.header.options.has_timestamps = true;
            set_payload(trip.segment, payload, {first, second, 3});
            expect_round_trip(trip, payload);
        }
}

TEST(TcpWrite, ExactBytes) {
    OutboundSegment segment = outbound(false, tcp_syn);
    segment.header.ip_ecn = 1;
    segment.header.options = {.has_mss = true,
                              .has_window_scale = true,
                              .has_timestamps = true,
                              .sack_permitted = true,
                              .window_scale = 9,
                              .mss = 1460,
                              .ts_value = 0x0a0b'0c0d,
                              .ts_echo = 0};
    Bytes frame(100);
    const LinkHeader link{.source_mac = our_mac, .destination_mac = peer_mac, .vlan = 100};
    frame.resize(write_tcp(frame, link, segment, {.ttl = 63}));
    const Bytes options{2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0x0a, 0x0b, 0x0c, 0x0d, 0, 0, 0, 0, 1, 3, 3, 9};
    Bytes tcp = concat({be16(443),
                        be16(4660),
                        be32(0x8000'0001),
                        be32(0xfedc'ba98),
                        {0xa0, tcp_syn},
                        be16(0xabcd),
                        be16(0),
                        be16(0x1234),
                        options});
    fill_checksum(tcp, 16, our_v4, peer_v4, 6);
    RawIp ip{.source = our_v4, .destination = peer_v4, .hop_limit = 63, .traffic_class = 1};
    EXPECT_EQ(frame, raw_ethernet(0x0800, raw_ip(ip, tcp), {.source = our_mac, .destination = peer_mac, .tag = 100}));

    segment = outbound(true, tcp_ack);
    segment.header.options = {.has_timestamps = true, .sack_count = 1, .ts_value = 1, .ts_echo = 2};
    segment.header.options.sack[0] = {.left = 3, .right = 4};
    const Bytes payload{'o', 'd', 'd'};
    set_payload(segment, payload, {});
    frame.assign(200, 0xee);
    frame.resize(write_tcp(frame, {.source_mac = our_mac, .destination_mac = peer_mac}, segment, {}));
    tcp = concat({be16(443),
                  be16(4660),
                  be32(0x8000'0001),
                  be32(0xfedc'ba98),
                  {0xb0, tcp_ack},
                  be16(0xabcd),
                  be16(0),
                  be16(0x1234),
                  {1, 1, 8, 10},
                  be32(1),
                  be32(2),
                  {1, 1, 5, 10},
                  be32(3),
                  be32(4),
                  payload});
    fill_checksum(tcp, 16, our_v6, peer_v6, 6);
    ip = {.source = our_v6, .destination = peer_v6, .protocol = 6, .traffic_class = 2};
    EXPECT_EQ(frame, raw_ethernet(0x86dd, raw_ip(ip, tcp), {.source = our_mac, .destination = peer_mac}));
}

TEST(TcpWrite, OptionsWithoutTimestampsArePadded) {
    const auto options_written = [](const TcpOptions& options) {
        OutboundSegment segment = outbound(false, tcp_syn);
        segment.header.options = options;
        Bytes frame(100);
        frame.resize(write_tcp(frame, {}, segment, {}));
        return Bytes(frame.begin() + 54, frame.end());
    };
    EXPECT_EQ(options_written({.has_window_scale = true, .sack_permitted = true, .window_scale = 2}),
              (Bytes{1, 1, 4, 2, 1, 3, 3, 2}));
    EXPECT_EQ(options_written({.has_timestamps = true}), (Bytes{1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(TcpWrite, RefusesWhatNoPacketCanBe) {
    Bytes out(70000);
    OutboundSegment segment = outbound(false, tcp_ack);
    segment.header.destination = peer_v6;
    EXPECT_EQ(write_tcp(out, {}, segment, {}), 0u);
    segment = outbound(false, tcp_ack);
    const Bytes payload(65496, 1);  // 65,535 is 20 + 20 + 65,495
    set_payload(segment, payload, {});
    EXPECT_EQ(write_tcp(out, {}, segment, {}), 0u);
    set_payload(segment, Bytes(payload.begin() + 1, payload.end()), {});
    segment.pieces[0] = std::span(payload).subspan(1);
    EXPECT_EQ(write_tcp(out, {}, segment, {}), 14u + 65535u);
}

TEST(TcpWriteDeathTest, AssertsThatPiecesSumToTheLength) {
    const Bytes payload(10, 1);
    Bytes out(200);
    OutboundSegment segment = outbound(false, tcp_ack);
    set_payload(segment, payload, {});
    segment.payload_length = 9;
    EXPECT_DEATH(write_tcp(out, {}, segment, {}), "");
    segment.payload_length = 11;
    EXPECT_DEATH(write_tcp(out, {}, segment, {}), "");
}

}  // namespace
}  // namespace millrace::wire
