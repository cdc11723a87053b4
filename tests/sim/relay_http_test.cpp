// The balancer's worker between simulated clients and servers: HTTP exchanges, upgrades, and the answers that it gives
// itself. RFC 9110, RFC 9112, RFC 6455.
#include "tests/sim/scene.h"

namespace millrace::sim {
namespace {

using std::string_literals::operator""s;

const std::string get = "GET /a HTTP/1.1\r\nHost: sim.test\r\n\r\n";

std::string body_of(const std::string& answer) {
    return answer.substr(head_length(answer));
}

TEST(RelayHttp, UpgradeThenBytesBothWays) {
    Scene scene;
    scene.start();
    Station& server = scene.server(1, echo_upgraded);
    Peer* far = nullptr;
    Peer& peer = scene.upgraded(scene.client(), server, far);
    peer.send("hello");
    EXPECT_TRUE(scene.run(5, [&] { return peer.received == "hello"; }));
    peer.shutdown();
    EXPECT_TRUE(scene.run(5, [&] { return peer.end_ && far->end_; }));
    EXPECT_EQ(peer.end_, End::closed);
    EXPECT_EQ(far->end_, End::closed);
    scene.expect_idle();
    const RelayEvent closed = scene.closing();
    EXPECT_EQ(closed.reason, CloseReason::fin);
    EXPECT_EQ(closed.closer, Closer::client);
    EXPECT_EQ(closed.http_status, 101);
    EXPECT_EQ(closed.bytes_up, 5u);
    EXPECT_EQ(closed.bytes_down, 5u);
    EXPECT_EQ(closed.client, Station::address_of(false, 1));
    EXPECT_EQ(closed.server, Station::address_of(true, 1));
}

TEST(RelayHttp, BytesThatComeWithTheAnswerToTheUpgradeArrive) {
    Scene scene;
    scene.start();
    scene.server(1, answering(upgrade_answer() + "tick"));
    Peer& peer = scene.client().connect(http_port);
    peer.send(upgrade_request("/") + "early");
    EXPECT_TRUE(scene.run(5, [&] { return body_of(peer.received) == "tick"; }));
    peer.abort();
    scene.expect_idle();
    EXPECT_EQ(scene.closing().bytes_up, 5u);
}

TEST(RelayHttp, GetIsAnsweredAndClosed) {
    for (const std::string& framing :
         {"Content-Length: 5\r\n\r\nhello"s, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"s}) {
        Scene scene;
        scene.start();
        scene.server(1, answering("HTTP/1.1 200 OK\r\n" + framing));
        const std::string answer = scene.exchange(get);
        EXPECT_EQ(status_of(answer), 200);
        EXPECT_EQ(body_of(answer), framing.substr(head_length(framing)));
        scene.expect_idle();
        const RelayEvent closed = scene.closing();
        EXPECT_EQ(closed.closer, Closer::server);
        EXPECT_EQ(closed.reason, CloseReason::fin);
        EXPECT_EQ(closed.http_status, 200);
    }
}

TEST(RelayHttp, AnswerUntilClose) {
    Scene scene;
    scene.start();
    scene.server(1, answering("HTTP/1.1 200 OK\r\n\r\n" + std::string(100'000, 'x'), true));
    EXPECT_TRUE(body_of(scene.exchange(get)) == std::string(100'000, 'x'));
    scene.expect_idle();
}

TEST(RelayHttp, HeadHasNoBody) {
    Scene scene;
    scene.start();
    scene.server(1, answering("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
    const std::string answer = scene.exchange("HEAD / HTTP/1.1\r\nHost: sim.test\r\n\r\n");
    EXPECT_EQ(field(answer, "content-length"), "1000");
    EXPECT_EQ(body_of(answer), "");
    scene.expect_idle();
}

TEST(RelayHttp, RefusedUpgradeIsAnOrdinaryAnswer) {
    Scene scene;
    scene.start();
    scene.server(1, answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"));
    const std::string answer = scene.exchange(upgrade_request("/"));
    EXPECT_EQ(status_of(answer), 403);
    EXPECT_EQ(body_of(answer), "no");
    scene.expect_idle();
}

/// A server that answers once the body's end has come.
Station::Handler answer_after(std::string end, std::string answer) {
    return [end, answer](Peer& peer) {
        if (!peer.end_ && peer.received.ends_with(end) && peer.once()) peer.send(answer);
        if (peer.fin) peer.shutdown();
    };
}

TEST(RelayHttp, PostBodiesArriveWhole) {
    const std::string content(150'000, 'b');
    for (const std::string& request :
         {"POST / HTTP/1.1\r\nHost: sim.test\r\nContent-Length: 150003\r\n\r\n" + content + "end",
          "POST / HTTP/1.1\r\nHost: sim.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(content + "end", 7000)}) {
        Scene scene;
        scene.start();
        Station& server =
            scene.server(1, answer_after(request.substr(request.size() - 5), "HTTP/1.1 204 No Content\r\n\r\n"));
        EXPECT_EQ(status_of(scene.exchange(request)), 204);
        const std::string& got = server.peers().at(0)->received;
        EXPECT_TRUE(body_of(got) == body_of(request));
        scene.expect_idle();
    }
}

TEST(RelayHttp, ContinueIsPassedOnBeforeTheAnswer) {
    Scene scene;
    scene.start();
    scene.server(1, [](Peer& peer) {
        if (peer.end_ || head_length(peer.received) == 0) return;
        if (peer.once()) peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        if (peer.received.ends_with("\r\n\r\nbody")) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    Peer& peer = scene.client().connect(http_port);
    peer.send("POST / HTTP/1.1\r\nHost: sim.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    EXPECT_TRUE(scene.run(5, [&] { return status_of(peer.received) == 100 && head_length(peer.received) != 0; }));
    peer.received.clear();
    peer.send("body");
    EXPECT_TRUE(scene.run(5, [&] { return peer.fin; }));
    EXPECT_EQ(status_of(peer.received), 200);
    peer.shutdown();
    scene.expect_idle();
}

TEST(RelayHttp, ErrorAfterAContinueIsStillAnswered) {
    Scene scene;
    scene.config.backends[0].upgrade_timeout_ms = 500;
    scene.start();
    scene.server(1, answering("HTTP/1.1 100 Continue\r\n\r\n"));
    const std::string answer = scene.exchange("POST / HTTP/1.1\r\nHost: sim.test\r\nContent-Length: 4\r\n\r\n");
    EXPECT_EQ(status_of(answer), 100);
    EXPECT_EQ(status_of(body_of(answer)), 408);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::body_timeout);
}

TEST(RelayHttp, AnUploadHasTimeAsLongAsItMovesAndTheServerAfterIt) {
    for (const bool answered : {true, false}) {
        Scene scene;
        scene.config.backends[0].upgrade_timeout_ms = 1000;
        scene.start();
        const std::string answer = answered ? "HTTP/1.1 204 No Content\r\n\r\n" : "";
        scene.server(1, answer_after("\r\n\r\n0123456789", answer));
        Peer& peer = scene.client().connect(http_port);
        peer.send("POST / HTTP/1.1\r\nHost: sim.test\r\nContent-Length: 10\r\n\r\n");
        for (const char* byte : {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}) {
            scene.run(0.7);
            EXPECT_EQ(peer.received, "");
            peer.send(byte);
        }
        scene.run(0.9);
        EXPECT_EQ(status_of(peer.received), answered ? 204 : 0);
        scene.run(0.3);
        EXPECT_EQ(status_of(peer.received), answered ? 204 : 504);
        peer.shutdown();
        scene.expect_idle();
    }
}

TEST(RelayHttp, NothingButTheRequestPostponesTheAnswersDeadline) {
    for (const std::string& request : {get, upgrade_request("/")}) {
        Scene scene;
        scene.config.backends[0].upgrade_timeout_ms = 1000;
        scene.start();
        scene.server();
        Peer& peer = scene.client().connect(http_port);
        peer.send(request);
        for (int i = 0; i < 12; ++i) {
            scene.run(0.1);
            peer.send("more");
        }
        EXPECT_EQ(status_of(peer.received), 504);
        peer.shutdown();
        scene.expect_idle();
    }
}

TEST(RelayHttp, EndlessInterimAnswersAreCutOff) {
    Scene scene;
    scene.start();
    std::string many;
    for (int i = 0; i < 20; ++i) many += "HTTP/1.1 103 Early Hints\r\n\r\n";
    scene.server(1, answering(many));
    scene.exchange(get);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::bad_response);
}

TEST(RelayHttp, SecondRequestNeverReachesTheServer) {
    for (const bool late : {false, true}) {
        Scene scene;
        scene.start();
        Station& server = scene.server(1, [&](Peer& peer) {
            if (peer.end_) return;
            if (!late && head_length(peer.received) != 0 && peer.once())
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            if (peer.fin) peer.shutdown();
        });
        Peer& peer = scene.client().connect(http_port);
        const std::string smuggled = "GET /smuggled HTTP/1.1\r\nHost: sim.test\r\n\r\n";
        peer.send(late ? get : get + smuggled);
        scene.run(1);
        if (late) {
            peer.send(smuggled);
            scene.run(1);
            server.peers().at(0)->send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n");
        }
        EXPECT_TRUE(scene.run(5, [&] { return peer.fin; }));
        EXPECT_EQ(body_of(peer.received), "ok");
        EXPECT_EQ(server.peers().at(0)->received.find("smuggled"), std::string::npos);
        peer.shutdown();
        scene.expect_idle();
    }
}

TEST(RelayHttp, MalformedChunkEndsTheRequest) {
    Scene scene;
    scene.start();
    Station& server = scene.server();
    Peer& peer = scene.client().connect(http_port, [](Peer& p) {
        if (p.fin && p.once()) p.shutdown();
    });
    const std::string head = "POST / HTTP/1.1\r\nHost: sim.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    peer.send(head + "5\r\nhello\r\nzz\r\n");
    EXPECT_TRUE(scene.run(2, [&] { return status_of(peer.received) == 400; })) << peer.received;
    scene.run(0.1);
    for (const auto& far : server.peers()) EXPECT_EQ(far->received.find("zz"), std::string::npos);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::bad_request);
}

TEST(RelayHttp, ClientThatGoesOnSendingAfterItsBadRequestReadsTheAnswer) {
    Scene scene;
    scene.start();
    scene.server();
    Peer& peer = scene.client().connect(http_port);
    peer.send("POST / HTTP/1.1\r\nHost: sim.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    scene.run(1);
    for (int i = 0; i < 20; ++i) {
        peer.send("zz\r\n");
        scene.run(0.0002);
    }
    scene.run(2);
    EXPECT_EQ(status_of(peer.received), 400);
    EXPECT_TRUE(peer.fin);
    EXPECT_FALSE(peer.end_) << "reset";
    peer.shutdown();
    scene.expect_idle();
}

TEST(RelayHttp, RequestCutShortByTheClientIsRefused) {
    for (const bool early : {true, false}) {
        Scene scene;
        scene.start();
        scene.server();
        Peer& peer = scene.client().connect(http_port);
        peer.send("POST / HTTP/1.1\r\nHost: sim.test\r\nContent-Length: 10\r\n\r\nhalf");
        if (!early) scene.run(1);
        peer.shutdown();
        EXPECT_TRUE(scene.run(2, [&] { return peer.end_.has_value(); }));
        EXPECT_EQ(status_of(peer.received), 400);
        scene.expect_idle();
        EXPECT_EQ(scene.closing().reason, CloseReason::bad_request);
    }
}

TEST(RelayHttp, ClientMayFinishAfterItsRequest) {
    Scene scene;
    scene.start();
    scene.server(1, answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    Peer& peer = scene.client().connect(http_port);
    peer.send(get);
    peer.shutdown();
    EXPECT_TRUE(scene.run(5, [&] { return peer.end_ == End::closed; }));
    EXPECT_EQ(body_of(peer.received), "ok");
    scene.expect_idle();
}

TEST(RelayHttp, AnswerOutlivesAServerThatResetsBehindIt) {
    Scene scene;
    scene.start();
    const std::string content(50'000, 'c');
    Station& server = scene.server(1, [&](Peer& far) {  // never closes by itself
        if (head_length(far.received) != 0 && far.once())
            far.send("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + content);
    });
    Peer& peer = scene.client(1, 8192).connect(http_port);
    peer.send(get);
    EXPECT_TRUE(scene.run(1, [&] { return peer.open_; }));
    peer.pause();  // so that most of the answer still lies with the balancer when the server is done
    scene.run(1);
    EXPECT_EQ(scene.balancer->worker_total(&relay::WorkerStats::relays_answering), 1u);
    server.peers().at(0)->abort();
    scene.run(1);
    peer.resume();
    EXPECT_TRUE(scene.run(5, [&] { return peer.fin || peer.end_; }));
    EXPECT_EQ(body_of(peer.received).size(), content.size());
    peer.shutdown();
    scene.expect_idle();
}

TEST(RelayHttp, TruncatedAnswerIsNoOrderlyEnd) {
    Scene scene;
    scene.start();
    scene.server(1, answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", true));
    EXPECT_EQ(body_of(scene.exchange(get)), "half");
    scene.expect_idle();
    const RelayEvent closed = scene.closing();
    EXPECT_EQ(closed.reason, CloseReason::bad_response);
    EXPECT_EQ(closed.closer, Closer::server);
}

TEST(RelayHttp, WrongAcceptKeyGets502) {
    Scene scene;
    scene.start();
    scene.server(1, answering(upgrade_answer("AAAAAAAAAAAAAAAAAAAAAAAAAAA=") + "poison"));
    const std::string answer = scene.exchange(upgrade_request("/"));
    EXPECT_EQ(status_of(answer), 502);
    EXPECT_EQ(answer.find("poison"), std::string::npos);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::bad_response);
    EXPECT_EQ(scene.balancer->stats().listeners[0].responses[6], 1u);
    EXPECT_EQ(scene.balancer->stats().servers[0].upgrade_failures, 1u);
}

TEST(RelayHttp, GarbageAndClosedConnectionsGet502) {
    for (const std::string& answer : {"SSH-2.0-x\r\n\r\n"s, "HTTP/1.1 200 OK\r\nContent-Le"s, ""s}) {
        Scene scene;
        scene.start();
        scene.server(1, answering(answer, true));
        EXPECT_EQ(status_of(scene.exchange(get)), 502) << answer;
        scene.expect_idle();
        EXPECT_EQ(scene.closing().reason, CloseReason::bad_response);
    }
    Scene scene;
    scene.start();
    scene.server(1, [](Peer& peer) {
        if (!peer.received.empty()) peer.abort();
    });
    EXPECT_EQ(status_of(scene.exchange(get)), 502);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::reset);
}

TEST(RelayHttp, SilentServerGets504) {
    Scene scene;
    scene.config.backends[0].upgrade_timeout_ms = 1500;
    scene.start();
    scene.server();
    const TimeUs began = scene.network.now();
    EXPECT_EQ(status_of(scene.exchange(upgrade_request("/"))), 504);
    EXPECT_NEAR(static_cast<double>(scene.network.now() - began), 1.5e6, 0.1e6);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::upgrade_timeout);
}

TEST(RelayHttp, SlowHeadGets408AndSilenceNothing) {
    for (const bool something : {true, false}) {
        Scene scene;
        scene.config.listeners[0].head_timeout_ms = 2000;
        scene.start();
        scene.server();
        Peer& peer = scene.client().connect(http_port);
        if (something) peer.send("GET / HT");
        scene.run(1);
        if (something) peer.send("TP/1.1\r\n");  // does not prolong it
        EXPECT_TRUE(scene.run(1.2, [&] { return peer.fin; }));
        EXPECT_EQ(status_of(peer.received), something ? 408 : 0);
        scene.expect_idle();
        EXPECT_EQ(scene.closing().reason, CloseReason::head_timeout);
    }
}

TEST(RelayHttp, BadRequestsAreAnsweredAndReachNoServer) {
    struct Case {
        int status;
        std::string request;
    };
    const Case cases[] = {
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {414, "GET /" + std::string(20'000, 'a')},
        {431, "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'a')},
        {501, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"},
        {505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
    };
    for (const Case& one : cases) {
        Scene scene;
        scene.start();
        Station& server = scene.server();
        EXPECT_EQ(status_of(scene.exchange(one.request)), one.status);
        EXPECT_TRUE(server.peers().empty());
        scene.expect_idle();
        EXPECT_EQ(scene.closing().reason, CloseReason::bad_request);
    }
}

TEST(RelayHttp, NoRouteGets404) {
    Scene scene;
    scene.config.http_routes[0].host = scene.config.text("other.test");
    scene.start();
    EXPECT_EQ(status_of(scene.exchange(get)), 404);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::error_response);
}

TEST(RelayHttp, HeadInManyPieces) {
    Scene scene;
    scene.start();
    scene.server(1, echo_upgraded);
    Peer& peer = scene.client().connect(http_port);
    const std::string request = upgrade_request("/" + std::string(3000, 'p'));
    for (size_t at = 0; at < request.size(); at += 7) {
        peer.send(request.substr(at, 7));
        scene.run(0.001);
    }
    EXPECT_TRUE(scene.run(5, [&] { return status_of(peer.received) == 101; }));
    peer.abort();
    scene.expect_idle();
}

TEST(RelayHttp, InterimAnswersAreNotForHttp10) {
    Scene scene;
    scene.start();
    scene.server(1, answering("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    EXPECT_EQ(status_of(scene.exchange("GET / HTTP/1.0\r\n\r\n")), 200);
    scene.expect_idle();
}

// The time to close counts from the last byte that the client took, not from the answer's beginning.
TEST(RelayHttp, SlowReaderHasTimeToCloseAfterTheLastByte) {
    Scene scene;
    scene.start();
    const std::string content(50'000, 'c');
    scene.server(1, answering("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + content));
    Peer& peer = scene.client(1, 8192).connect(http_port);
    peer.send(get);
    EXPECT_TRUE(scene.run(1, [&] { return peer.open_; }));
    peer.pause();
    scene.run(2.5);
    peer.resume();
    EXPECT_TRUE(scene.run(2, [&] { return peer.fin || peer.end_; }));
    EXPECT_EQ(body_of(peer.received).size(), content.size());
    EXPECT_FALSE(scene.run(4, [&] { return peer.end_.has_value(); }));
    peer.shutdown();
    scene.expect_idle();
}

TEST(RelayHttp, ClientThatNeverReadsTheEndIsResetAfterAWhile) {
    Scene scene;
    scene.start();
    scene.server(1, answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    Peer& peer = scene.client().connect(http_port);
    peer.send(get);
    EXPECT_TRUE(scene.run(2, [&] { return peer.fin; }));
    EXPECT_FALSE(scene.run(4, [&] { return peer.end_.has_value(); }));
    EXPECT_TRUE(scene.run(7, [&] { return peer.end_ == End::reset; }));  // it never closed itself
    scene.expect_idle();
}

}  // namespace
}  // namespace millrace::sim
