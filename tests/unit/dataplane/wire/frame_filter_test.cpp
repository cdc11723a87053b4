// Filters on raw frames: whole, tagged, fragmented, cut short.
#include "dataplane/wire/frame_filter.h"

#include <gtest/gtest.h>

#include <millrace/capture_filter.h>

#include "guarded_bytes.h"
#include "raw_frame.h"

namespace millrace::wire::test {
namespace {

bool shown(std::string_view text, const Bytes& frame) {
    CaptureFilter filter;
    std::string error;
    EXPECT_TRUE(parse_capture_filter(text, filter, error)) << error;
    EXPECT_TRUE(is_sound(filter));
    const GuardedBytes guarded(frame);
    return matches(filter, guarded.span());
}

const Bytes tcp_v4 = raw_tcp_frame_v4(), tcp_v6 = raw_tcp_frame_v6();
const Bytes udp_v4 = raw_ethernet(0x0800, raw_ip({.protocol = 17}, concat({be16(53), be16(9000), be32(0)})));
const Bytes echo_v4 = raw_icmp_frame(raw_icmp(8, 0), icmp_v4), echo_v6 = raw_icmp_frame(raw_icmp(128, 0), icmp_v6);
const Bytes arp = raw_ethernet(0x0806, raw_arp(1));

TEST(FrameFilter, EachTest) {
    for (const Bytes& frame : {tcp_v4, tcp_v6, udp_v4, echo_v4, echo_v6, arp, Bytes{}}) EXPECT_TRUE(shown("", frame));
    EXPECT_TRUE(shown("tcp", tcp_v4));
    EXPECT_TRUE(shown("tcp", tcp_v6));
    EXPECT_FALSE(shown("tcp", udp_v4));
    EXPECT_TRUE(shown("udp", udp_v4));
    EXPECT_TRUE(shown("icmp", echo_v4));
    EXPECT_TRUE(shown("icmp", echo_v6));
    EXPECT_FALSE(shown("icmp", tcp_v6));
    EXPECT_TRUE(shown("arp", arp));
    EXPECT_FALSE(shown("arp", tcp_v4));
    for (const Bytes& frame : {tcp_v4, udp_v4, echo_v4, arp}) {
        EXPECT_TRUE(shown("host 198.18.0.1", frame));
        EXPECT_TRUE(shown("host 198.18.0.2", frame));
        EXPECT_FALSE(shown("host 198.18.0.3", frame));
    }
    EXPECT_TRUE(shown("host 2001:db8::11:2233", tcp_v6));
    EXPECT_FALSE(shown("host 2001:db8::1", tcp_v6));
    EXPECT_TRUE(shown("port 443", tcp_v4));
    EXPECT_TRUE(shown("port 4660", tcp_v6));
    EXPECT_FALSE(shown("port 80", tcp_v4));
    EXPECT_TRUE(shown("port 53", udp_v4));
    EXPECT_FALSE(shown("port 0", echo_v4)) << "no ports";
}

TEST(FrameFilter, Logic) {
    EXPECT_TRUE(shown("tcp and port 443", tcp_v4));
    EXPECT_FALSE(shown("udp and port 443", tcp_v4));
    EXPECT_FALSE(shown("tcp and port 80", tcp_v4));
    EXPECT_TRUE(shown("udp or port 443", tcp_v4));
    EXPECT_FALSE(shown("udp or arp", tcp_v4));
    EXPECT_TRUE(shown("not arp", tcp_v4));
    EXPECT_FALSE(shown("not tcp", tcp_v4));
    EXPECT_TRUE(shown("arp or tcp and port 443", tcp_v4));
    EXPECT_FALSE(shown("(arp or tcp) and port 80", tcp_v4));
    EXPECT_TRUE(shown("not (udp or arp) and (port 1 or port 443)", tcp_v4));
}

TEST(FrameFilter, LooksThroughTagsAndHeaders) {
    EXPECT_TRUE(shown("tcp and port 443", raw_tcp_frame_v4({}, {}, {.tag = 7})));
    const Bytes twice =
        raw_ethernet(0x88a8, concat({be16(5), be16(0x8100), be16(7), be16(0x0800), raw_ip({}, raw_tcp({}))}));
    EXPECT_TRUE(shown("tcp and port 443", twice));
    EXPECT_TRUE(shown("port 443", raw_tcp_frame_v4({}, {.between = Bytes(8, 1)}))) << "IPv4 options";
    RawIp options = raw_v6(0);
    options.between = concat({{60, 0, 1, 4, 0, 0, 0, 0}, {6, 1, 1, 12}, Bytes(12, 0)});
    EXPECT_TRUE(shown("tcp and port 443", raw_tcp_frame_v6({}, options)));
    RawIp fragment = raw_v6(44);
    fragment.between = {6, 0, 0, 1, 0, 0, 0, 1};
    EXPECT_TRUE(shown("port 443", raw_tcp_frame_v6({}, fragment))) << "the first one";
    fragment.between[2] = 1;
    EXPECT_FALSE(shown("port 443", raw_tcp_frame_v6({}, fragment))) << "a later one";
    EXPECT_TRUE(shown("tcp", raw_tcp_frame_v6({}, fragment)));
    EXPECT_FALSE(shown("port 443", raw_tcp_frame_v4({}, {.fragment = 0x2001})));
    EXPECT_TRUE(shown("tcp and host 198.18.0.1", raw_tcp_frame_v4({}, {.fragment = 0x2001})));
}

TEST(FrameFilter, ReadsNothingBehindTheEnd) {
    RawIp options = raw_v6(0);
    options.between = {6, 0, 1, 4, 0, 0, 0, 0};
    for (const Bytes& frame :
         {tcp_v4, tcp_v6, udp_v4, echo_v4, arp, raw_tcp_frame_v4({}, {}, {.tag = 7}), raw_tcp_frame_v6({}, options)})
        for (size_t length = 0; length <= frame.size(); ++length)
            shown("host 198.18.0.9 or port 1 or tcp and arp or icmp",
                  Bytes(frame.begin(), frame.begin() + static_cast<long>(length)));
    EXPECT_TRUE(shown("tcp", Bytes(tcp_v4.begin(), tcp_v4.begin() + 36))) << "enough to tell";
}

TEST(FrameFilter, OnlySoundProgramsRun) {
    const auto sound = [](std::initializer_list<CaptureTest> tests) {
        CaptureFilter filter{};
        for (const CaptureTest test : tests) filter.steps[filter.count++].test = test;
        return is_sound(filter);
    };
    using enum CaptureTest;
    EXPECT_TRUE(sound({}));
    EXPECT_TRUE(sound({tcp, not_, arp, or_}));
    EXPECT_FALSE(sound({not_}));
    EXPECT_FALSE(sound({tcp, and_}));
    EXPECT_FALSE(sound({tcp, arp})) << "two verdicts";
    EXPECT_FALSE(sound({static_cast<CaptureTest>(9)}));
    CaptureFilter filter{};
    filter.count = CaptureFilter::steps_max + 1;
    EXPECT_FALSE(is_sound(filter));
}

}  // namespace
}  // namespace millrace::wire::test
