#include "tests/tools/segment_script/parser.h"

#include <gtest/gtest.h>

#include "dataplane/wire/tcp_segment.h"

namespace millrace::script {
namespace {

SegmentSpec segment(const std::string& line) {
    const Script script = parse(line);
    EXPECT_FALSE(script.problem) << script.problem->reason;
    if (script.events.size() != 1) return {};
    return std::get<SegmentSpec>(script.events[0].action);
}

Problem problem(const std::string& text) {
    const Script script = parse(text);
    EXPECT_TRUE(script.problem) << text;
    return script.problem.value_or(Problem{});
}

TEST(ScriptParser, ReadsEveryFormOfTime) {
    const Script script = parse(R"(0 > . 1:1(0) ack 1
        1.5 > . 1:1(0) ack 1
        +.25 > . 1:1(0) ack 1
        0.1~0.2 > . 1:1(0) ack 1
        +0~+0.1 > . 1:1(0) ack 1
        * > . 1:1(0) ack 1)");
    ASSERT_FALSE(script.problem);
    ASSERT_EQ(script.events.size(), 6u);
    const auto is = [&](size_t at, TimeKind kind, int64_t us, int64_t end_us) {
        EXPECT_EQ(script.events[at].time.kind, kind) << at;
        EXPECT_EQ(script.events[at].time.us, us) << at;
        EXPECT_EQ(script.events[at].time.end_us, end_us) << at;
        EXPECT_EQ(script.events[at].line, static_cast<int>(at) + 1);
    };
    is(0, TimeKind::absolute, 0, 0);
    is(1, TimeKind::absolute, 1'500'000, 0);
    is(2, TimeKind::relative, 250'000, 0);
    is(3, TimeKind::absolute_range, 100'000, 200'000);
    is(4, TimeKind::relative_range, 0, 100'000);
    is(5, TimeKind::any, 0, 0);
}

TEST(ScriptParser, ReadsSegments) {
    const SegmentSpec spec = segment(
        "+0 < [ce] 40000 > 80 FSRPUEW. 1:11(10) ack 7 win 9 urg 3 <mss 1460,sackOK,"
        "TS val 100 ecr 0,nop,wscale 7,eol,sack 1:2,raw 0x0203ff>");
    EXPECT_TRUE(spec.inbound);
    EXPECT_EQ(spec.ecn, 3);
    EXPECT_EQ(spec.ports, (std::pair<uint16_t, uint16_t>(40000, 80)));
    EXPECT_EQ(spec.flags, 0xff);
    EXPECT_EQ(spec.seq, 1u);
    EXPECT_EQ(spec.length, 10u);
    EXPECT_EQ(spec.ack, 7u);
    EXPECT_EQ(spec.window, 9);
    EXPECT_EQ(spec.urgent, 3);
    ASSERT_EQ(spec.options.size(), 8u);
    EXPECT_EQ(spec.options[0], (Option{Option::mss, {0x05, 0xb4}, false}));
    EXPECT_EQ(spec.options[2], (Option{Option::timestamps, {0, 0, 0, 100, 0, 0, 0, 0}, false}));
    EXPECT_EQ(spec.options[6].value.size(), 8u);
    EXPECT_EQ(spec.options[7].value, (std::vector<uint8_t>{2, 3, 255}));
    EXPECT_TRUE(spec.options[7].raw);

    const SegmentSpec bare = segment("+0 > - 4294967295:4(5)");
    EXPECT_EQ(bare.flags, 0);
    EXPECT_FALSE(bare.ack || bare.window || bare.ports);
    EXPECT_TRUE(segment("+0 > . 1:1(0) ack 1 <...>").any_options);
    EXPECT_EQ(segment("+0 > [ect01] . 1:1(0) ack 1").ecn_check, EcnCheck::capable);
    EXPECT_EQ(segment("+0 < [ECT0] . 1:1(0) ack 1").ecn, 2);
}

TEST(ScriptParser, ReadsCalls) {
    const Script script =
        parse(R"(0.1...0.25 connect(3, {sa_family = AF_INET, sin_port = htons(80)}, ...) = -1 EAGAIN (try it again)
        +0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0x2 (flags O_RDWR)
        +0 write(4, "ab\"c"..., 3) = 3
        +0 setsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0
        +0 getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0)");
    ASSERT_FALSE(script.problem) << script.problem->reason;
    ASSERT_EQ(script.events.size(), 5u);
    const Call& connect = std::get<Call>(script.events[0].action);
    EXPECT_EQ(connect.ends_us, 250'000);
    EXPECT_EQ(connect.result.number, -1);
    EXPECT_EQ(connect.error, "EAGAIN");
    EXPECT_EQ(connect.arguments[1].items[1].name, "sin_port");
    EXPECT_EQ(connect.arguments[1].items[1].items[0].number, 80);
    const Call& fcntl = std::get<Call>(script.events[1].action);
    EXPECT_EQ(fcntl.arguments[2].kind, Value::Kind::any_of);
    EXPECT_EQ(fcntl.result.number, 2);
    EXPECT_EQ(std::get<Call>(script.events[2].action).arguments[1].text, "ab\\\"c");
    EXPECT_EQ(std::get<Call>(script.events[3].action).arguments[3].kind, Value::Kind::record);
    EXPECT_EQ(std::get<Call>(script.events[4].action).arguments[3].kind, Value::Kind::list);
}

TEST(ScriptParser, ReadsIcmpSettingsCommandsAndComments) {
    const Script script = parse(R"(// about
        --tolerance_usecs=5
        --ip_version=ipv6 --define=PORT=7
        `set up`
        /* a
           comment */
        0 < icmp unreachable frag_needed mtu 1400 [1:1461(1460)]
        +0 `a command`
        +0 %{ assert x == {1}, y }%
        +0 < . 1:1(0) ack PORT
        `clean up`)");
    ASSERT_FALSE(script.problem) << script.problem->reason;
    ASSERT_EQ(script.settings.size(), 2u);
    EXPECT_EQ(script.settings[0].name, "tolerance_usecs");
    EXPECT_EQ(script.settings[0].value, "5");
    EXPECT_EQ(script.set_up.size(), 1u);
    ASSERT_EQ(script.events.size(), 4u);
    const IcmpSpec& icmp = std::get<IcmpSpec>(script.events[0].action);
    EXPECT_EQ(icmp.code, "frag_needed");
    EXPECT_EQ(icmp.mtu, 1400u);
    EXPECT_EQ(icmp.seq, 1u);
    EXPECT_EQ(script.events[0].line, 7);
    EXPECT_FALSE(std::get<Command>(script.events[1].action).python);
    EXPECT_TRUE(std::get<Command>(script.events[2].action).python);
    EXPECT_EQ(std::get<SegmentSpec>(script.events[3].action).ack, 7u);
}

TEST(ScriptParser, DefinesOfTheCommandLineWin) {
    const std::string text = "--define=A=1\n0 < . 1:1(0) ack A";
    EXPECT_EQ(std::get<SegmentSpec>(parse(text).events.at(0).action).ack, 1u);
    EXPECT_EQ(std::get<SegmentSpec>(parse(text, {{"A", "2"}}).events.at(0).action).ack, 2u);
}

TEST(ScriptParser, SaysWhatIsNotInTheNotation) {
    const auto malformed = [](const std::string& line) {
        const Problem found = problem("0 < . 1:1(0) ack 1\n" + line);
        EXPECT_TRUE(found.malformed) << line << ": " << found.reason;
        EXPECT_EQ(found.line, 2) << line;
    };
    malformed("+0 < . 1:2(0) ack 1");
    malformed("+0 < Q 1:1(0)");
    malformed("+0 < . 1:1(0) ack 4294967296");
    malformed("+0 < . 1:1(0) win 65536");
    malformed("+0 < . 1:1(0) <...>");
    malformed("+0 < . 1:1(0) <mss 70000>");
    malformed("+0 < . 1:1(0) <what>");
    malformed("+0 < . 1:1(0) <TS val 1>");
    malformed("+0 < . 1:1(0) <raw abc>");
    malformed("+0 < . 1:1(0) <sack 1:2 3:4 5:6 7:8 9:10>");
    malformed("0.2~0.1 > . 1:1(0)");
    malformed("* < . 1:1(0)");
    malformed("+0~+1 < . 1:1(0)");
    malformed("+x < . 1:1(0)");
    malformed("+0 socket(...)");
    malformed("+0 socket(... = 3");
    malformed("+0 \"text\"");
    malformed("+0 \"text");
    malformed("hello");
    EXPECT_TRUE(problem("").malformed);
    EXPECT_TRUE(problem("0 f(" + std::string(1000, '[')).malformed);
}

TEST(ScriptParser, TellsTheUnsupportedFromTheMalformed) {
    for (const char* line : {"+0 < udp (10)", "+0 > . 1:1(0) ack 1 <FOEXP>", "+0 < .5 1:1(0)", "+0 > icmp unreachable",
                             "+0 < [tos 0x10] . 1:1(0)", "+0 < ipv4 1.1.1.1 > 2.2.2.2: . 1:1(0)"}) {
        const Problem found = problem(std::string("0 < . 1:1(0) ack 1\n") + line);
        EXPECT_FALSE(found.malformed) << line << ": " << found.reason;
        EXPECT_EQ(found.line, 2) << line;
    }
}

}  // namespace
}  // namespace millrace::script
