// The interpreter must see what is wrong: each case runs a script that passes, and ones that differ from it by one
// mistake and fail.
#include "tests/tools/segment_script/interpreter.h"

#include <gtest/gtest.h>

namespace millrace::script {
namespace {

const std::string listening = R"(0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
)";

const std::string accepted = listening + R"(+0 < S 0:0(0) win 1000 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 1000
+0 accept(3, ..., ...) = 4
)";

Report run_text(const std::string& text, const std::vector<Setting>& settings = {}) {
    return run(parse(text), "t.pkt", settings);
}

std::string all(const Report& report) {
    std::string text;
    for (const std::string& line : report.lines) text += line + "\n";
    return text;
}

void passes(const std::string& text) {
    const Report report = run_text(text);
    EXPECT_EQ(report.verdict, Verdict::passed) << text << "\n" << all(report);
}

/// Fails at the last line of `text`, or at `line`, with `why` in the message.
void fails(const std::string& text, const std::string& why, long line = 0) {
    const Report report = run_text(text);
    EXPECT_EQ(report.verdict, Verdict::failed) << text << "\n" << all(report);
    if (line == 0) line = std::count(text.begin(), text.end(), '\n') + 1;
    EXPECT_NE(all(report).find("t.pkt:" + std::to_string(line) + ":"), std::string::npos) << all(report);
    EXPECT_NE(all(report).find(why), std::string::npos) << all(report);
}

void skips(const std::string& text, const std::string& why) {
    const Report report = run_text(text);
    EXPECT_EQ(report.verdict, Verdict::skipped) << text << "\n" << all(report);
    EXPECT_NE(all(report).find(why), std::string::npos) << all(report);
}

TEST(ScriptInterpreter, ComparesEveryFieldOfASegment) {
    const std::string start = accepted + "+0 write(4, ..., 100) = 100\n";
    passes(start + "+0 > P. 1:101(100) ack 1");
    passes(start + "+0 > P. 1:101(100) ack 1 win 65535");
    passes(start + "+0 > [noecn] P. 1:101(100) ack 1 <...>");
    fails(start + "+0 > . 1:101(100) ack 1", "flags P., not .");
    fails(start + "+0 > P. 2:102(100) ack 1", "sequence number 1, not 2");
    fails(start + "+0 > P. 1:102(101) ack 1", "payload bytes 100, not 101");
    fails(start + "+0 > P. 1:101(100) ack 2", "ack 1, not 2");
    fails(start + "+0 > P. 1:101(100) ack 1 win 65534", "win 65535, not 65534");
    fails(start + "+0 > P. 1:101(100) ack 1 urg 1", "urgent pointer 0, not 1");
    fails(start + "+0 > [ect0] P. 1:101(100) ack 1", "ECN noecn, not ect0");
    fails(start + "+0 > [ect01] P. 1:101(100) ack 1", "ECN noecn, not ect0 or ect1");
    fails(start + "+0 > P. 1:101(100) ack 1 <TS val 1 ecr 2>", "options");
    fails(start + "+0 > 8081 > 50000 P. 1:101(100) ack 1", "source port 8080, not 8081");
}

TEST(ScriptInterpreter, ComparesOptions) {
    const std::string syn = listening + "+0 < S 0:0(0) win 1000 <mss 1000,TS val 7 ecr 0,nop,wscale 3>\n";
    passes(syn + "+0 > S. 0:0(0) ack 1 <mss 1460,wscale 6,TS val 1 ecr 7>");
    fails(syn + "+0 > S. 0:0(0) ack 1 <mss 1460,TS val 1 ecr 7>", "options");
    fails(syn + "+0 > S. 0:0(0) ack 1 <mss 1460,wscale 6,TS val 1 ecr 8>", "options");
    fails(syn + "+0 > S. 0:0(0) ack 1 <mss 1459,wscale 6,TS val 1 ecr 7>", "options");
    fails("--stack=window_scale=5\n" + syn + "+0 > S. 0:0(0) ack 1 <mss 1460,wscale 6,TS val 1 ecr 7>", "options");
}

TEST(ScriptInterpreter, ComparesTimes) {
    const std::string start =
        "--tolerance_usecs=1000\n" + accepted + "+0 write(4, ..., 100) = 100\n" + "+0 > P. 1:101(100) ack 1\n";
    passes(start + "+.3 > P. 1:101(100) ack 1");
    passes(start + "0.4 > P. 1:101(100) ack 1");
    passes(start + "+.301 > P. 1:101(100) ack 1");
    passes(start + "+.2~+.35 > P. 1:101(100) ack 1");
    passes(start + "0.3~0.45 > P. 1:101(100) ack 1");
    passes(start + "* > P. 1:101(100) ack 1");
    fails(start + "+.302 > P. 1:101(100) ack 1", "sent at 0.400000, not at 0.402000");
    fails(start + "+.298 > P. 1:101(100) ack 1", "the stack sent nothing");
    fails(start + "+.302~+.35 > P. 1:101(100) ack 1", "sent at 0.400000, not at 0.402000~0.450000");
    fails(start + "+.2~+.298 > P. 1:101(100) ack 1", "the stack sent nothing");
    fails(start + "0.05 < . 1:1(0) ack 101 win 1000", "already");
}

TEST(ScriptInterpreter, MissesSegments) {
    fails(accepted + "+.1 > . 1:1(0) ack 1", "the stack sent nothing");
    fails(accepted + "* > . 1:1(0) ack 1", "the stack sent nothing");
}

TEST(ScriptInterpreter, NoticesSegmentsThatNobodyExpects) {
    fails(accepted + "+0 write(4, ..., 100) = 100", "had sent more");
    fails(accepted + "+0 < . 5:15(10) ack 1", "had sent more");  // a gap is answered at once
    fails(accepted + "+0 write(4, ..., 10) = 10\n+0 < . 1:11(10) ack 1\n+0 > . 11:11(0) ack 11", "flags P., not .");
    // A retransmission that the script passes over.
    fails(accepted + "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+1 < . 1:1(0) ack 11", "had sent more");
    passes(accepted + "+0 close(4) = 0");
    passes(accepted + "+0 close(4) = 0\n+0 > F. 1:1(0) ack 1");
}

TEST(ScriptInterpreter, ComparesResultsOfCalls) {
    passes(accepted + "+0 < P. 1:11(10) ack 1\n+0~+.5 > . 1:1(0) ack 11\n+0 read(4, ..., 100) = 10");
    fails(accepted + "+0 < P. 1:11(10) ack 1\n+0~+.5 > . 1:1(0) ack 11\n+0 read(4, ..., 100) = 11", "read() = 10");
    fails(accepted + "+0 read(4, ..., 100) = 0", "read() blocks");
    const std::string nonblocking = accepted + "+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n";
    passes(nonblocking + "+0 read(4, ..., 100) = -1 EAGAIN (Resource temporarily unavailable)");
    fails(nonblocking + "+0 read(4, ..., 100) = -1 ECONNRESET (Connection reset by peer)", "-1 EAGAIN");
    fails(nonblocking + "+0 fcntl(4, F_GETFL) = 2", "fcntl() = 2050");
    fails(accepted + "+0 read(5, ..., 1) = 0", "EBADF");
    passes(accepted +
           "+0 < R. 1:1(0) ack 1\n+0 read(4, ..., 1) = -1 ECONNRESET (…)\n+0 write(4, ..., 1) = -1 EPIPE (…)");
    passes(accepted + "+0 < R. 1:1(0) ack 1\n+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [ECONNRESET], [4]) = 0");
    fails(accepted + "+0 < R. 1:1(0) ack 1\n+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0", "SO_ERROR");
}

TEST(ScriptInterpreter, TimesBlockingCalls) {
    const std::string data = "+.2 < P. 1:11(10) ack 1\n+0 > . 1:1(0) ack 11";
    passes(accepted + "+0...0.2 read(4, ..., 100) = 10\n" + data);
    passes(accepted + "0.1...0.3 read(4, ..., 100) = 10\n" + data);
    const auto second = std::count(accepted.begin(), accepted.end(), '\n') + 1;
    fails(accepted + "0.1...0.2 read(4, ..., 100) = 10\n" + data, "returned at 0.300000, not 0.200000", second);
    fails(accepted + "0.1...0.4 read(4, ..., 100) = 10\n" + data, "returned at 0.300000, not 0.400000", second);
    fails(accepted + "0.1...0.3 read(4, ..., 100) = 9\n" + data, "read() = 10", second);
    fails(accepted + "0.1...0.2 read(4, ..., 100) = 10", "still blocks");
    fails(accepted + "0.1...0.2 write(4, ..., 10) = 10", "did not block");
    passes(R"(0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0...0.1 connect(3, ..., ...) = 0
+0 > S 0:0(0) <...>
+.1 < S. 0:0(0) ack 1 win 1000 <mss 1000>
+0 > . 1:1(0) ack 1)");
}

TEST(ScriptInterpreter, MapsTimestampsOfTheScript) {
    const std::string start = listening + R"(+0 < S 0:0(0) win 1000 <mss 1000,TS val 7 ecr 0>
+0 > S. 0:0(0) ack 1 <mss 1460,TS val 100 ecr 7>
+.1 < . 1:1(0) ack 1 win 1000 <TS val 8 ecr 100>
+0 accept(3, ..., ...) = 4
+0 write(4, ..., 10) = 10
)";
    passes(start + "+0 > P. 1:11(10) ack 1 <TS val 200 ecr 8>");
    passes("--tcp_ts_tick_usecs=1000\n" + start + "+0 > P. 1:11(10) ack 1 <TS val 200 ecr 8>");
    fails("--tcp_ts_tick_usecs=1000\n" + start + "+0 > P. 1:11(10) ack 1 <TS val 300 ecr 8>", "options");
    fails(start + "+0 > P. 1:11(10) ack 1 <TS val 200 ecr 7>", "options");
}

TEST(ScriptInterpreter, PutsSegmentsTogetherUnlessStrict) {
    const std::string start = accepted + "+0 < . 1:1(0) ack 1 win 5000\n+0 write(4, ..., 3000) = 3000\n";
    passes(start + "+0 > P. 1:3001(3000) ack 1");
    fails("--strict_segments\n" + start + "+0 > P. 1:3001(3000) ack 1", "payload bytes 1000, not 3000");
    fails(start + "+0 > . 1:3001(3000) ack 1", "flags");
    fails(start + "+0 > P. 1:3002(3001) ack 1", "payload");
}

TEST(ScriptInterpreter, BeginsWhereItIsTold) {
    for (const std::string isn : {"0", "4294967290", "2147483640"})
        passes("--local_isn=" + isn + "\n" + accepted + "+0 write(4, ..., 100) = 100\n+0 > P. 1:101(100) ack 1\n" +
               "+.1 < . 1:1(0) ack 101\n+0 write(4, ..., 10) = 10\n+0 > P. 101:111(10) ack 1");
    // Without a SYN of ours the numbers of the script are those of the wire, so the wrong one shows.
    fails("--local_isn=100\n" + listening + "+0 < S 0:0(0) win 9 <mss 1000>\n+0 > . 99:99(0) ack 1",
          "sequence number 100");
    passes("--ip_version=ipv6\n" + listening + "+0 < S 0:0(0) win 9 <mss 1000>\n+0 > S. 0:0(0) ack 1 <mss 1440>");
}

TEST(ScriptInterpreter, ReportsWhatItDoesNotRun) {
    skips("`./defaults.sh`\n" + accepted + "+0 write(4, ..., 1) = 1\n+0 > P. 1:2(1) ack 1", "t.pkt:1: skipped: shell");
    skips(accepted + "+0 `sysctl -w a=b`", "t.pkt:8: skipped: shell commands");
    skips(accepted + "+0 %{ assert tcpi_snd_cwnd == 10 }%", "t.pkt:8: skipped: Python");
    skips(accepted + "+0 epoll_wait(4) = 1", "t.pkt:8: skipped: epoll_wait()");
    skips(accepted + "+0 setsockopt(4, SOL_TCP, TCP_FASTOPEN, [1], 4) = 0", "TCP_FASTOPEN");
    skips(accepted + "+0 send(4, ..., 10, MSG_OOB) = 10", "MSG_OOB");
    skips(accepted + "+0 < udp (10)\n+0 write(4, ..., 1) = 2", "t.pkt:8: skipped: udp packets");
    skips("--wire_client\n" + accepted, "t.pkt:1: skipped: the option --wire_client");
    // A failure is worth more than what was skipped.
    fails(accepted + "+0 `sysctl`\n+0 read(4, ..., 1) = 1", "blocks");
    fails(accepted + "+0 gibberish", "'(' wanted");
}

}  // namespace
}  // namespace millrace::script
