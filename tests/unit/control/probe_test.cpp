// Probes fed with scripted bytes, cut at every place.
#include "control/health/probe.h"

#include <gtest/gtest.h>
#include <string>

#include "dataplane/http/accept_key.h"

namespace millrace::control {
namespace {

std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

std::string text(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

HealthCheck check_of(HealthType type) {
    HealthCheck check;
    check.type = type;
    check.host = "quotes.example.com:8080";
    check.path = "/live?x=1";
    return check;
}

TEST(Probe, TcpPassesWhenConnected) {
    const HealthCheck check = check_of(HealthType::tcp);
    Probe probe(check, 1);
    EXPECT_EQ(probe.verdict(), Verdict::pending);
    EXPECT_TRUE(probe.opened().empty());
    EXPECT_EQ(probe.verdict(), Verdict::pass);
    probe.closed(StreamEnd::reset);
    EXPECT_EQ(probe.verdict(), Verdict::pass) << "a verdict is final";
}

TEST(Probe, EndsOfTheStream) {
    const HealthCheck check = check_of(HealthType::tcp);
    for (const StreamEnd end : {StreamEnd::by_server, StreamEnd::reset, StreamEnd::refused, StreamEnd::timed_out,
                                StreamEnd::unreachable, StreamEnd::tls_handshake, static_cast<StreamEnd>(99)}) {
        Probe probe(check, 1);
        probe.closed(end);
        EXPECT_EQ(probe.verdict(), Verdict::fail);
        EXPECT_EQ(probe.reason(), describe(end));
    }
    Probe probe(check, 1);
    probe.closed(StreamEnd::no_memory);
    EXPECT_EQ(probe.verdict(), Verdict::inconclusive);
}

/// The verdict on `answer`, which must be the same however it is cut in two.
Verdict http_verdict(const HealthCheck& check, const std::string& answer, std::string& reason) {
    Verdict verdict = Verdict::pending;
    for (size_t cut = 0; cut <= answer.size(); ++cut) {
        Probe probe(check, 1);
        probe.opened();
        probe.received(bytes(std::string_view(answer).substr(0, cut)));
        if (probe.verdict() == Verdict::pending) probe.received(bytes(std::string_view(answer).substr(cut)));
        if (cut != 0) {
            EXPECT_EQ(probe.verdict(), verdict) << "cut at " << cut;
        }
        verdict = probe.verdict();
        reason = probe.reason();
    }
    return verdict;
}

TEST(Probe, HttpJudgesTheStatus) {
    HealthCheck check = check_of(HealthType::http);
    Probe probe(check, 1);
    EXPECT_EQ(text(probe.opened()),
              "GET /live?x=1 HTTP/1.1\r\nHost: quotes.example.com:8080\r\nUser-Agent: millrace-probe\r\n"
              "Connection: close\r\n\r\n");
    std::string reason;
    EXPECT_EQ(http_verdict(check, "HTTP/1.1 204 No Content\r\n\r\n", reason), Verdict::pass);
    EXPECT_EQ(reason, "status 204");
    EXPECT_EQ(http_verdict(check, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", reason), Verdict::pass);
    EXPECT_EQ(http_verdict(check, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", reason), Verdict::pass);
    EXPECT_EQ(http_verdict(check, "HTTP/1.1 503 Busy\r\n\r\n", reason), Verdict::fail);
    EXPECT_EQ(reason, "status 503");
    EXPECT_EQ(http_verdict(check, "HTTP/1.1 101 Switching Protocols\r\n\r\n", reason), Verdict::fail);
    EXPECT_EQ(http_verdict(check, "SSH-2.0-x\r\n\r\n", reason), Verdict::fail);
    EXPECT_EQ(http_verdict(check, "HTTP/1.1 200 OK\r\n", reason), Verdict::pending);
    check.status_low = 500;
    check.status_high = 503;
    EXPECT_EQ(http_verdict(check, "HTTP/1.1 503 Busy\r\n\r\n", reason), Verdict::pass);
    EXPECT_EQ(http_verdict(check, "HTTP/1.1 504 Late\r\n\r\n", reason), Verdict::fail);
}

TEST(Probe, HttpRefusesAnEndlessHead) {
    const HealthCheck check = check_of(HealthType::http);
    Probe probe(check, 1);
    probe.opened();
    probe.received(bytes("HTTP/1.1 200 OK\r\nX: "));
    const std::string filler(1000, 'a');
    for (int i = 0; i < 20 && probe.verdict() == Verdict::pending; ++i) probe.received(bytes(filler));
    EXPECT_EQ(probe.verdict(), Verdict::fail);
}

// ---- websocket ------------------------------------------------------------------------------------------------------

std::string key_of(const std::string& request) {
    const std::string field = "Sec-WebSocket-Key: ";
    return request.substr(request.find(field) + field.size(), 24);
}

std::string upgrade(const std::string& key) {
    const http::AcceptKey accept = http::accept_key(key);
    return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
           std::string(http::as_text(accept)) + "\r\n\r\n";
}

/// The pong that answers a masked ping.
std::string pong_of(const std::string& ping) {
    EXPECT_EQ(ping.size(), 14u);
    std::string payload = ping.substr(6);
    for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<char>(payload[i] ^ ping[2 + i % 4]);
    return std::string("\x8a\x08", 2) + payload;
}

struct WebSocketRun {
    explicit WebSocketRun(uint64_t seed = 7) : probe(check, seed) { request = text(probe.opened()); }
    HealthCheck check = check_of(HealthType::websocket);
    Probe probe;
    std::string request;
};

TEST(Probe, WebSocketUpgradesPingsAndWantsThePong) {
    WebSocketRun run;
    EXPECT_NE(run.request.find("\r\nUpgrade: websocket\r\n"), std::string::npos);
    EXPECT_NE(run.request.find("\r\nSec-WebSocket-Version: 13\r\n"), std::string::npos);
    const std::string ping = text(run.probe.received(bytes(upgrade(key_of(run.request)))));
    ASSERT_EQ(ping.size(), 14u);
    EXPECT_EQ(ping[0], '\x89');
    EXPECT_EQ(ping[1], '\x88') << "masked, 8 bytes";
    EXPECT_EQ(run.probe.verdict(), Verdict::pending);
    // A ticker pushes at once: text, a fragmented message with a ping in between, a long binary frame.
    std::string pushes =
        std::string("\x81\x05hello\x01\x01x\x89\x02yz\x80\x01w\x82\x7e\x01\x00", 21) + std::string(256, 'q');
    const std::string all = pushes + pong_of(ping);
    for (size_t i = 0; i + 1 < all.size(); ++i) {
        run.probe.received(bytes(std::string_view(all).substr(i, 1)));
        ASSERT_EQ(run.probe.verdict(), Verdict::pending) << i << run.probe.reason();
    }
    run.probe.received(bytes(std::string_view(all).substr(all.size() - 1)));
    EXPECT_EQ(run.probe.verdict(), Verdict::pass) << run.probe.reason();
}

TEST(Probe, WebSocketHeadAndFirstFramesInOneSegment) {
    WebSocketRun first;
    const std::string ping = text(first.probe.received(bytes(upgrade(key_of(first.request)))));
    WebSocketRun run;  // the same seed, so the same ping
    run.probe.received(bytes(upgrade(key_of(run.request)) + std::string("\x81\x01x", 3) + pong_of(ping)));
    EXPECT_EQ(run.probe.verdict(), Verdict::pass);
}

TEST(Probe, WebSocketFreshKeyAndPingForEverySeed) {
    EXPECT_NE(key_of(WebSocketRun(1).request), key_of(WebSocketRun(2).request));
}

TEST(Probe, WebSocketFailures) {
    const auto verdict = [](const std::string& answer_template, const std::string& frames) {
        WebSocketRun run;
        std::string answer = answer_template.empty() ? upgrade(key_of(run.request)) : answer_template;
        run.probe.received(bytes(answer + frames));
        return run.probe.verdict();
    };
    EXPECT_EQ(verdict(upgrade("AAAAAAAAAAAAAAAAAAAAAA=="), ""), Verdict::fail) << "another key's accept value";
    EXPECT_EQ(verdict("HTTP/1.1 200 OK\r\n\r\n", ""), Verdict::fail);
    EXPECT_EQ(verdict("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", ""), Verdict::fail);
    EXPECT_EQ(verdict("", std::string("\x88\x02\x03\xe8", 4)), Verdict::fail) << "close";
    EXPECT_EQ(verdict("", "\xf3zzz"), Verdict::fail) << "reserved bits";
    EXPECT_EQ(verdict("", std::string("\x8a\x08", 2) + "12345678"), Verdict::pending) << "a pong that is not ours";
    EXPECT_EQ(verdict("", std::string("\x8a\x00", 2)), Verdict::pending);
    EXPECT_EQ(verdict("", ""), Verdict::pending);
}

}  // namespace
}  // namespace millrace::control
