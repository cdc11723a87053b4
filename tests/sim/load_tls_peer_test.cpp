// Clients of the load generator with a server of OpenSSL's, for what the balancer does not do by itself.

#include <gtest/gtest.h>

#include "load/result.h"
#include "tests/sim/load_scene.h"
#include "tests/sim/tls_server.h"

namespace millrace::sim {
namespace {

/// One client, which asks once after a second of silence.
struct PeerScene {
    explicit PeerScene(tls::Version version, uint32_t connections = 1) : server(network, version) {
        settings = LoadScene(WorkloadKind::idle).settings;
        settings.server = false;
        settings.targets = {{TlsServer::address, TlsServer::port}};
        settings.connections = connections;
        settings.hold_s = 1;
        settings.tls = load::TlsSettings{
            .version = version, .resume_share = 0, .name = "ticker.test", .ca_pem = tls::authority_pem()};
    }
    const load::Run& run(bool well) {
        node = std::make_unique<LoadNode>(settings, 64, network.now());
        network.attach(*node, load_mac, {});
        EXPECT_TRUE(network.run(network.now() + 60 * us_per_s, [this] { return node->run().over(); }));
        EXPECT_EQ(node->run().succeeded(), well) << load::summary(node->run());
        return node->run();
    }
    TlsSession& session() { return *server.sessions.begin()->second; }

    Network network{1};
    TlsServer server;
    load::Settings settings;
    std::unique_ptr<LoadNode> node;
};

struct LoadTlsPeer : testing::TestWithParam<tls::Version> {};
INSTANTIATE_TEST_SUITE_P(Versions, LoadTlsPeer, testing::Values(tls::Version::tls12, tls::Version::tls13),
                         [](const auto& of) { return of.param == tls::Version::tls12 ? "Tls12" : "Tls13"; });

TEST_P(LoadTlsPeer, ARequestIsAnswered) {
    PeerScene scene(GetParam());
    EXPECT_EQ(scene.run(true).figures().connections.proven_alive, 1u);
}

TEST_P(LoadTlsPeer, CloseNotifyIsTheEndAndIsAnswered) {
    PeerScene scene(GetParam());
    scene.server.on_upgraded = [](TlsSession& session) {
        SSL_shutdown(session.ssl());
        session.flush();
    };
    EXPECT_EQ(scene.run(false).figures().connections.closed_by_peer, 1u);
    EXPECT_TRUE(scene.session().fin);
    EXPECT_EQ(scene.session().alert, static_cast<int>(tls::Alert::close_notify));
}

TEST_P(LoadTlsPeer, ADamagedRecordIsNoMessage) {
    PeerScene scene(GetParam());
    scene.server.on_upgraded = [](TlsSession& session) {
        SSL_write(session.ssl(), "damaged", 7);
        session.flush([](tls::Buffer& records) { records.back() ^= 1; });
    };
    const load::Run& run = scene.run(false);
    EXPECT_EQ(run.figures().connections.closed_by_peer, 1u);
    EXPECT_EQ(run.messages().corrupted, 1u);
    EXPECT_EQ(scene.session().alert, static_cast<int>(tls::Alert::bad_record_mac));
}

/// RFC 8446 §4.6.3: before the next data, once.
TEST(LoadTlsPeer13, KeyUpdatesAreAnswered) {
    PeerScene scene(tls::Version::tls13);
    scene.server.on_upgraded = [](TlsSession& session) {
        for (const int kind : {SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED}) {
            SSL_key_update(session.ssl(), kind);
            SSL_do_handshake(session.ssl());
        }
        session.flush();
    };
    EXPECT_EQ(scene.run(true).figures().connections.proven_alive, 1u);
    EXPECT_EQ(scene.session().key_updates, 1);
}

/// The first connection waits for a ticket as long as it is there.
TEST(LoadTlsPeer13, AServerWithoutTicketsIsNotResumed) {
    PeerScene scene(tls::Version::tls13, 3);
    scene.settings.tls->resume_share = 1;
    scene.server.on_connected = [](TlsSession& session) { SSL_set_num_tickets(session.ssl(), 0); };
    const load::Run& run = scene.run(true);
    EXPECT_EQ(run.engine().handshakes()->figures().done, 3u);
    EXPECT_EQ(run.engine().handshakes()->figures().resumed, 0u);
    EXPECT_EQ(run.engine().handshakes()->held(), 0u);
}

/// Who waits for a ticket reads along through key updates.
TEST(LoadTlsPeer13, ALateTicketIsTaken) {
    PeerScene scene(tls::Version::tls13, 3);
    scene.settings.tls->resume_share = 1;
    scene.settings.ramp_rate = 2;  // two at once, the third after half a second
    scene.server.on_connected = [](TlsSession& session) { SSL_set_num_tickets(session.ssl(), 0); };
    scene.server.on_upgraded = [](TlsSession& session) {
        SSL_key_update(session.ssl(), SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(session.ssl());
        SSL_new_session_ticket(session.ssl());
        SSL_do_handshake(session.ssl());
        session.flush();
    };
    const load::Run& run = scene.run(true);
    EXPECT_EQ(run.engine().handshakes()->figures().done, 3u);
    EXPECT_EQ(run.engine().handshakes()->figures().resumed, 1u);
    EXPECT_EQ(run.engine().handshakes()->held(), 0u);
}

/// Two at once, which find none; then tickets have another key: the third is refused.
TEST_P(LoadTlsPeer, ARefusedSessionIsNotOfferedAgain) {
    PeerScene scene(GetParam(), 5);
    scene.settings.tls->resume_share = 1;
    scene.settings.ramp_rate = 2;
    scene.server.on_connected = [&](TlsSession& session) {
        session.use_ticket_key(scene.server.sessions.size() <= 2 ? 1 : 2);
    };
    const load::Run& run = scene.run(true);
    EXPECT_EQ(run.engine().handshakes()->figures().done, 5u);
    EXPECT_EQ(run.engine().handshakes()->figures().resumed, 2u);
}

/// Servers that don't wait for the client's Finished; nobody may want to hear that before his request.
TEST(LoadTlsPeer13, WhatComesBehindTheHandshakeCounts) {
    for (const double resume_share : {0, 1}) {
        PeerScene scene(tls::Version::tls13, 3);
        scene.settings.tls->resume_share = resume_share;
        scene.server.on_connected = [](TlsSession& session) { session.write_early("early"); };
        EXPECT_EQ(scene.run(true).figures().connections.proven_alive, 3u);
    }
}

/// RFC 5246 §7.2.2.
TEST(LoadTlsPeer12, NothingIsRenegotiated) {
    PeerScene scene(tls::Version::tls12);
    scene.server.on_upgraded = [](TlsSession& session) {
        SSL_renegotiate(session.ssl());
        SSL_do_handshake(session.ssl());
        session.flush();
    };
    scene.run(false);
    EXPECT_EQ(scene.session().alert, static_cast<int>(tls::Alert::no_renegotiation));
}

}  // namespace
}  // namespace millrace::sim
