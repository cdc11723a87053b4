// Servers with TLS, OpenSSL's, behind the whole worker: our handshakes with them, records, resumption, ends, probes,
// and servers that misbehave.
#include "tests/sim/tls_scene.h"

namespace millrace::sim {
namespace {

using relay::TlsStats;
using relay::WorkerStats;

struct ServerScene : TlsScene {
    explicit ServerScene(size_t server_count = 1, uint16_t workers = 1) : TlsScene(server_count, workers) {
        secure_servers();
    }
    /// All of them are upgraded, and then go.
    void expect_upgraded(const std::vector<Peer*>& clients) {
        EXPECT_TRUE(run(20, [&] {
            return std::ranges::all_of(clients, [](const Peer* p) { return head_length(p->received) != 0; });
        }));
        for (Peer* client : clients) {
            EXPECT_EQ(status_of(client->received), 101);
            client->abort();
        }
    }
    /// A relay of bytes as they are, and the server's end of it.
    Peer& raw(Station& from, Station& to, Peer*& server_end) {
        const size_t before = to.peers().size();
        Peer& peer = from.connect(tcp_port);
        EXPECT_TRUE(run(10, [&] { return to.peers().size() > before && to.peers().back()->tls->established(); }));
        run(0.1);
        server_end = to.peers().back().get();
        return peer;
    }
};

struct RelayTlsServer : testing::TestWithParam<tls::Version> {
    PeerTlsOptions options() const { return {.version = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(Versions, RelayTlsServer, testing::Values(tls::Version::tls12, tls::Version::tls13),
                         [](const auto& of) { return of.param == tls::Version::tls12 ? "Tls12" : "Tls13"; });

TEST_P(RelayTlsServer, AWebSocketIsRelayedBothWays) {
    for (const bool secure_client : {false, true}) {
        ServerScene scene;
        scene.start();
        Station& server = scene.tls_server(1, only_upgrade, options());
        Peer* far = nullptr;
        Station& from = scene.client(1);
        Peer& client = secure_client ? scene.secured(from, server, far) : scene.upgraded(from, server, far);
        client.send("upward");
        far->send("downward");
        EXPECT_TRUE(scene.run(5, [&] { return client.received == "downward" && far->received == "upward"; }));
        EXPECT_EQ(scene.tls_total(GetParam() == tls::Version::tls13 ? &TlsStats::server_handshakes_tls13
                                                                    : &TlsStats::server_handshakes_tls12),
                  1u);
        client.shutdown();
        EXPECT_TRUE(scene.run(5, [&] { return far->fin; }));
        EXPECT_TRUE(far->tls->notified()) << "close_notify comes before the FIN";
        far->shutdown();
        scene.expect_idle();
        EXPECT_EQ(scene.closing().reason, CloseReason::fin);
        EXPECT_EQ(scene.tls_total(&TlsStats::truncated), 0u);
        scene.expect_no_keys();
    }
}

TEST_P(RelayTlsServer, BulkArrivesBothWays) {
    ServerScene scene;
    scene.link.loss = 0.01;
    scene.start();
    const std::string content = pattern(400'000);
    Station& server = scene.tls_server(
        1, [](Peer&) {}, options());
    Peer& client = scene.client(1).connect_tls(tls_port);
    client.send(content);
    ASSERT_TRUE(scene.run(60, [&] { return !server.peers().empty(); }));
    Peer& far = *server.peers()[0];
    far.send(content);
    EXPECT_TRUE(scene.run(120, [&] { return far.received.size() == content.size(); })) << far.received.size();
    EXPECT_TRUE(scene.run(120, [&] { return client.received.size() == content.size(); })) << client.received.size();
    EXPECT_TRUE(far.received == content);
    EXPECT_TRUE(client.received == content);
    scene.run(20);
    EXPECT_EQ(scene.balancer->chunk_bytes(), 0u) << "an idle relay holds nothing";
    far.shutdown();
    EXPECT_TRUE(scene.run(60, [&] { return client.fin; }));
    client.shutdown();
    scene.expect_idle(60);
}

TEST_P(RelayTlsServer, ASessionIsResumed) {
    ServerScene scene;
    scene.start();
    Station& server = scene.tls_server(1, only_upgrade, options());
    for (int i = 1; i <= 3; ++i) {
        Peer* far = nullptr;
        Peer& client = scene.upgraded(scene.client(i), server, far);
        EXPECT_EQ(SSL_session_reused(far->tls->ssl()), i == 1 ? 0 : 1) << i;
        client.abort();
        scene.expect_idle();
    }
    EXPECT_EQ(scene.tls_total(&TlsStats::server_handshakes_resumed), 2u);
    scene.expect_no_keys();
}

TEST_P(RelayTlsServer, AServerMaySpeakFirst) {
    ServerScene scene;
    scene.start();
    Station& server = scene.tls_server(
        1,
        [](Peer& peer) {
            if (peer.open_ && peer.once()) peer.send("welcome");
        },
        options());
    Peer* far = nullptr;
    Peer& client = scene.raw(scene.client(1), server, far);
    EXPECT_TRUE(scene.run(5, [&] { return client.received == "welcome"; })) << client.received;
    client.shutdown();
    EXPECT_TRUE(scene.run(5, [&] { return far->fin; }));
    far->shutdown();
    scene.expect_idle();
}

TEST_P(RelayTlsServer, AFinWithoutCloseNotifyIsToldApart) {
    ServerScene scene;
    scene.start();
    Station& server = scene.tls_server(1, only_upgrade, options());
    Peer* far = nullptr;
    Peer& client = scene.upgraded(scene.client(1), server, far);
    far->truncate();
    EXPECT_TRUE(scene.run(10, [&] { return client.fin; }));
    client.shutdown();
    scene.expect_idle();
    const RelayEvent closed = scene.closing();
    EXPECT_EQ(closed.closer, Closer::server);
    EXPECT_EQ(closed.reason, CloseReason::tls_truncated);
}

TEST_P(RelayTlsServer, WhatMayBeCutOffDoesNotLookWholeToTheClient) {
    ServerScene scene;
    scene.start();
    Station& server = scene.tls_server(1, only_upgrade, options());
    Peer* far = nullptr;
    Peer& client = scene.secured(scene.client(1), server, far);
    far->truncate();
    EXPECT_TRUE(scene.run(10, [&] { return client.fin; }));
    EXPECT_FALSE(client.tls->notified());
    client.shutdown();
    scene.expect_idle();
}

TEST_P(RelayTlsServer, AnAnswerThatLastsUntilTheEndMustHaveOne) {
    for (const bool whole : {true, false}) {
        ServerScene scene;
        scene.start();
        scene.tls_server(
            1,
            [whole](Peer& peer) {
                if (peer.end_ || head_length(peer.received) == 0 || !peer.once()) return;
                peer.send("HTTP/1.1 200 OK\r\n\r\nhalf of it");
                whole ? peer.shutdown() : peer.truncate();
            },
            options());
        EXPECT_EQ(status_of(scene.exchange("GET / HTTP/1.1\r\nHost: sim.test\r\n\r\n")), 200);
        scene.expect_idle();
        EXPECT_EQ(scene.closing().reason, whole ? CloseReason::fin : CloseReason::tls_truncated);
    }
}

TEST_P(RelayTlsServer, ARecordThatIsNotTheServersEndsItsRelay) {
    ServerScene scene;
    scene.start();
    Station& server = scene.tls_server(1, only_upgrade, options());
    Peer* far = nullptr;
    Peer& client = scene.upgraded(scene.client(1), server, far);
    far->send_raw(std::string("\x17\x03\x03\x00\x40", 5) + std::string(64, 'x'));
    EXPECT_TRUE(scene.run(10, [&] { return client.end_ && far->fin; }));
    EXPECT_EQ(client.end_, End::reset) << "what is cut off must not look whole";
    EXPECT_EQ(far->tls->alert(), static_cast<int>(tls::Alert::bad_record_mac));
    far->shutdown();
    scene.expect_idle();
    const RelayEvent closed = scene.closing();
    EXPECT_EQ(closed.closer, Closer::balancer);
    EXPECT_EQ(closed.reason, CloseReason::tls_bad_record);
    EXPECT_EQ(scene.tls_total(&TlsStats::bad_records), 1u);
}

TEST_P(RelayTlsServer, ABadRecordBeforeTheAnswerGivesTheClientAnError) {
    ServerScene scene;
    scene.start();
    scene.tls_server(
        1,
        [](Peer& peer) {
            if (!peer.end_ && head_length(peer.received) != 0 && peer.once())
                peer.send_raw(std::string("\x17\x03\x03\x00\x40", 5) + std::string(64, 'x'));
        },
        options());
    EXPECT_EQ(status_of(scene.exchange(upgrade_request("/"))), 502);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::tls_bad_record);
    scene.expect_no_keys();
}

TEST(RelayTlsServer13, KeysChangeInMidStream) {
    ServerScene scene;
    scene.start();
    Station& server = scene.tls_server(1, only_upgrade);
    Peer* far = nullptr;
    Peer& client = scene.upgraded(scene.client(1), server, far);
    std::string down, up;
    for (int i = 0; i < 40; ++i) {
        if (i % 3 == 0) far->key_update(i % 2 == 0);
        const std::string part = pattern(100 + 700 * static_cast<size_t>(i % 5));
        far->send(part);
        client.send(part);
        down += part;
        scene.run(0.01);
    }
    EXPECT_TRUE(scene.run(10, [&] { return client.received.size() == down.size(); }));
    EXPECT_TRUE(scene.run(10, [&] { return far->received.size() == down.size(); }));
    EXPECT_TRUE(client.received == down);
    EXPECT_TRUE(far->received == down);
    EXPECT_GE(scene.tls_total(&TlsStats::key_updates_out), 5u);
    client.abort();
    scene.expect_idle();
}

TEST(RelayTlsServerHandshake, WhoSpeaksNoTlsIsLeftForTheNext) {
    ServerScene scene(2);
    scene.start();
    scene.server(1, [](Peer& peer) {  // says more than one step takes
        if (!peer.received.empty() && peer.once()) peer.send("HTTP/1.1 400 Bad Request\r\n" + std::string(6'000, 'x'));
    });
    Station& good = scene.tls_server(2, only_upgrade);
    for (int i = 1; i <= 2; ++i) {  // one of the two comes to the first server first
        Peer* far = nullptr;
        Peer& client = scene.upgraded(scene.client(i), good, far);
        client.abort();
        scene.expect_idle();
    }
    EXPECT_EQ(
        scene.tls_total(&TlsStats::server_handshakes_failed) + scene.tls_total(&TlsStats::server_handshakes_timed_out),
        1u);
    EXPECT_EQ(scene.balancer->stats().servers[0].connect_failures.load(), 1u);
    scene.expect_no_keys();
}

TEST(RelayTlsServerHandshake, ASilentServerTimesOut) {
    ServerScene scene;
    scene.config.backends[0].retries = 0;
    scene.start();
    scene.server(1);
    EXPECT_EQ(status_of(scene.exchange(upgrade_request("/"))), 504);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::tls_timeout);
    EXPECT_EQ(scene.tls_total(&TlsStats::server_handshakes_timed_out), 1u);
    scene.expect_no_keys();
}

TEST(RelayTlsServerHandshake, AServerThatEndsItIsAFailure) {
    for (const bool reset : {false, true}) {
        ServerScene scene;
        scene.config.backends[0].retries = 0;
        scene.start();
        scene.server(1, [&](Peer& peer) {
            if (peer.end_ || peer.received.empty()) return;
            reset ? peer.abort() : peer.shutdown();
        });
        EXPECT_EQ(status_of(scene.exchange(upgrade_request("/"))), 502);
        scene.expect_idle();
        EXPECT_EQ(scene.closing().reason, CloseReason::tls_handshake);
        scene.expect_no_keys();
    }
}

TEST(RelayTlsServerHandshake, AnAlertOfTheServerIsHeardBeforeItsFin) {
    ServerScene scene;
    scene.config.backends[0].retries = 0;
    scene.start();
    scene.server(1, [](Peer& peer) {
        if (peer.end_ || peer.received.empty() || !peer.once()) return;
        peer.send(std::string("\x15\x03\x03\x00\x02\x02\x28", 7));
        peer.shutdown();
    });
    EXPECT_EQ(status_of(scene.exchange(upgrade_request("/"))), 502);
    scene.expect_idle();
    EXPECT_EQ(scene.tls_total(&TlsStats::server_handshakes_failed), 1u);
}

TEST(RelayTlsServerHandshake, ManyShareAFewSeats) {
    ServerScene scene;
    scene.options.tls_seats = 2;
    scene.start();
    scene.tls_server(1, only_upgrade);
    std::vector<Peer*> clients;
    for (int i = 1; i <= 12; ++i) {
        clients.push_back(&scene.client(i).connect_tls(https_port));
        clients.back()->send(upgrade_request("/"));
    }
    scene.expect_upgraded(clients);
    scene.expect_idle();
    scene.expect_no_keys();
}

TEST(RelayTlsServerHandshake, SilentServersDoNotKeepOthersOut) {
    ServerScene scene(2);
    scene.options.tls_seats = 2;
    scene.config.backends[0].handshake_timeout_ms = 60'000;
    scene.start();
    scene.server(1);
    scene.tls_server(2, only_upgrade);
    std::vector<Peer*> clients;
    for (int i = 1; i <= 8; ++i) {
        clients.push_back(&scene.client(i).connect(http_port));
        clients.back()->send(upgrade_request("/"));
    }
    scene.expect_upgraded(clients);
    EXPECT_GT(scene.tls_total(&TlsStats::seats_reclaimed), 0u);
    scene.expect_idle(90);
}

TEST(RelayTlsServerHandshake, SilentClientsKeepNoServerOut) {
    ServerScene scene;
    scene.options.tls_seats = 4;
    scene.config.backends[0].handshake_timeout_ms = 500;
    scene.start();
    scene.tls_server(1, only_upgrade);
    for (int i = 1; i <= 8; ++i) {
        scene.client(i).connect(https_port).send(PeerTls({}).start());
        scene.run(0.01);
    }
    Peer& client = scene.client(9).connect(http_port);
    client.send(upgrade_request("/"));
    EXPECT_TRUE(scene.run(0.4, [&] { return status_of(client.received) == 101; })) << client.received;
    client.abort();
    scene.expect_idle(60);
}

TEST(RelayTlsServerHandshake, SilentPeersOfBothSidesLoseTheirSeats) {
    ServerScene scene;
    scene.options.tls_seats = 4;
    scene.config.backends[0].handshake_timeout_ms = 60'000;
    scene.config.listeners[2].handshake_timeout_ms = 60'000;
    scene.start();
    scene.silent_host(1).listen(server_port, [](Peer&) {});
    for (int i = 1; i <= 24; ++i) scene.client(i).connect(http_port).send(upgrade_request("/"));
    scene.run(0.1);
    for (int i = 25; i <= 27; ++i) scene.client(i).connect(https_port).send(PeerTls({}).start());
    scene.run(0.1);
    scene.client(28).connect_tls(https_port, {}).send(upgrade_request("/"));
    EXPECT_TRUE(scene.run(3, [&] { return scene.tls_total(&TlsStats::handshakes_tls13) != 0; }));
    scene.expect_idle(200);
}

TEST(RelayTlsServerHandshake, WhoWaitedForUsIsNotBlamed) {
    ServerScene scene;
    scene.config.backends[0].retries = 0;
    scene.config.backends[0].eject_after = 1;
    scene.start();
    scene.tls_server(1, only_upgrade);
    scene.balancer->run_crypto(false);
    EXPECT_EQ(status_of(scene.exchange(upgrade_request("/"))), 503);
    EXPECT_EQ(scene.balancer->stats().servers[0].connect_failures.load(), 0u);
    scene.balancer->run_crypto(true);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::tls_refused);
}

TEST(RelayTlsServerHandshake, WithoutKeysNoServerIsBlamed) {
    ServerScene scene(2);
    scene.config.backends[0].eject_after = 1;
    scene.start();
    for (const int server : {1, 2}) scene.tls_server(server, only_upgrade);
    scene.balancer->take_keys(0);
    EXPECT_EQ(status_of(scene.exchange(upgrade_request("/"))), 503);
    for (const size_t server : {0u, 1u}) EXPECT_EQ(scene.balancer->stats().servers[server].connect_failures.load(), 0u);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::tls_refused);
}

TEST(RelayTlsServerHandshake, AConnectionThatIsGivenUpGivesItsSeatBack) {
    ServerScene scene;
    scene.options.tls_seats = 1;
    scene.config.backends[0].handshake_timeout_ms = 60'000;
    scene.start();
    Station& silent = scene.server(1);
    Peer& gone = scene.client(1).connect(http_port);
    gone.send(upgrade_request("/"));
    EXPECT_TRUE(scene.run(2, [&] { return !silent.peers().empty() && !silent.peers()[0]->received.empty(); }));
    gone.shutdown();
    scene.run(0.1);
    scene.client(2).connect(http_port).send(upgrade_request("/"));
    EXPECT_TRUE(scene.run(0.5, [&] { return silent.peers().size() == 2 && !silent.peers()[1]->received.empty(); }));
    for (const auto& far : silent.peers()) far->abort();
    scene.expect_idle(120);
}

TEST(RelayTlsServerHandshake, AMoveOfItsShardIsNotTheServersFault) {
    ServerScene scene(2, 2);
    scene.start();
    scene.balancer->share_out(1);
    Station &first = scene.tls_server(1, only_upgrade), &second = scene.tls_server(2, only_upgrade);
    scene.balancer->run_crypto(false);
    std::vector<Peer*> clients;
    for (int i = 1; i <= 8; ++i) {
        clients.push_back(&scene.client(i).connect(http_port));
        clients.back()->send(upgrade_request("/"));
    }
    scene.run(0.5);
    EXPECT_GT(scene.balancer->share_out(2), 0u);
    scene.run(0.1);
    scene.balancer->run_crypto(true);
    EXPECT_TRUE(scene.run(
        5, [&] { return std::ranges::all_of(clients, [](const Peer* p) { return status_of(p->received) == 101; }); }));
    for (uint16_t worker = 0; worker < 2; ++worker)
        for (size_t slot = 0; slot < 2; ++slot)
            EXPECT_EQ(scene.balancer->stats(worker).servers[slot].connect_failures.load(), 0u);
    EXPECT_EQ(first.peers().size() + second.peers().size() > 8, true) << "some began anew";
    for (Peer* client : clients) client->abort();
    scene.expect_idle();
    scene.expect_no_keys();
}

}  // namespace
}  // namespace millrace::sim
