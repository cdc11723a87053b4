// The text of a capture's filter: precedence as everywhere, and refusals that say where.
#include <gtest/gtest.h>

#include <millrace/capture_filter.h>

namespace millrace {
namespace {

/// The program as words in postfix order; the error when there is one.
std::string parsed(std::string_view text) {
    static constexpr const char* names[] = {"host", "port", "tcp", "udp", "icmp", "arp", "not", "and", "or"};
    CaptureFilter filter;
    std::string error, out;
    if (!parse_capture_filter(text, filter, error)) return error;
    for (uint32_t i = 0; i < filter.count; ++i) {
        const CaptureStep& step = filter.steps[i];
        out += (i == 0 ? "" : " ") + std::string(names[static_cast<size_t>(step.test)]);
        if (step.test == CaptureTest::host) out += ':' + to_string(step.address);
        if (step.test == CaptureTest::port) out += ':' + std::to_string(step.port);
    }
    return out;
}

TEST(CaptureFilter, Tests) {
    EXPECT_EQ(parsed(""), "");
    EXPECT_EQ(parsed("  \n"), "");
    EXPECT_EQ(parsed("tcp"), "tcp");
    EXPECT_EQ(parsed(" udp "), "udp");
    EXPECT_EQ(parsed("host 198.18.0.1"), "host:198.18.0.1");
    EXPECT_EQ(parsed("host 2001:DB8::1"), "host:2001:db8::1");
    EXPECT_EQ(parsed("port 65535"), "port:65535");
}

TEST(CaptureFilter, Precedence) {
    EXPECT_EQ(parsed("tcp and port 80"), "tcp port:80 and");
    EXPECT_EQ(parsed("arp or tcp and port 80 or icmp"), "arp tcp port:80 and or icmp or");
    EXPECT_EQ(parsed("(arp or tcp)and port 80"), "arp tcp or port:80 and");
    EXPECT_EQ(parsed("not tcp and not not arp"), "tcp not arp not not and");
    EXPECT_EQ(parsed("not (tcp or udp)"), "tcp udp or not");
}

TEST(CaptureFilter, RefusalsSayWhere) {
    EXPECT_EQ(parsed("tcp udp"), "\"and\" or \"or\" is expected at character 5");
    EXPECT_EQ(parsed("tcp and"), "host, port, tcp, udp, icmp, arp, not or \"(\" is expected at character 8");
    EXPECT_EQ(parsed("TCP"), "host, port, tcp, udp, icmp, arp, not or \"(\" is expected at character 1");
    EXPECT_EQ(parsed("host"), "an IPv4 or IPv6 address is expected at character 5");
    EXPECT_EQ(parsed("host example"), "an IPv4 or IPv6 address is expected at character 6");
    for (const char* port : {"port", "port x", "port -1", "port 65536", "port 80x", "port 8 0x"})
        EXPECT_NE(parsed(port).find("expected at character"), std::string::npos) << port;
    EXPECT_EQ(parsed("(tcp"), "\")\" is expected at character 5");
    EXPECT_EQ(parsed("tcp)"), "\"and\" or \"or\" is expected at character 4");
}

TEST(CaptureFilter, IsBounded) {
    std::string sixteen = "tcp", deep, negated;
    for (int i = 1; i < 16; ++i) sixteen += " or tcp";
    EXPECT_EQ(parsed(sixteen).find("expected"), std::string::npos);
    EXPECT_EQ(parsed(sixteen + " or tcp").find("the expression is too long at character"), 0u);
    for (int i = 0; i < 200; ++i) deep += '(';
    EXPECT_EQ(parsed(deep).find("the brackets and \"not\" are too deep"), 0u);
    for (int i = 0; i < 200; ++i) negated += "not ";
    EXPECT_EQ(parsed(negated).find("the brackets and \"not\" are too deep"), 0u);
    EXPECT_EQ(parsed(std::string(1025, ' ')), "longer than 1024 characters");
}

}  // namespace
}  // namespace millrace
