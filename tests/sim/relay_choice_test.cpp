// Which server a relay goes to, and what happens when it can't be reached: retries, time-outs, ejection, draining,
// source ports, reloads.
#include <map>

#include "tests/sim/scene.h"

namespace millrace::sim {
namespace {

const std::string get = "GET /a HTTP/1.1\r\nHost: sim.test\r\n\r\n";
const std::string fine = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

TEST(RelayChoice, RefusedConnectionIsTriedOnAnotherServer) {
    Scene scene(2);
    scene.start();
    scene.silent_host(1);
    Station& good = scene.server(2, answering(fine));
    for (int i = 0; i < 4; ++i) EXPECT_EQ(status_of(scene.exchange(get)), 200);
    EXPECT_EQ(good.peers().size(), 4u);
    scene.expect_idle();
    const relay::StatsBlock& stats = scene.balancer->stats();
    EXPECT_EQ(stats.servers[0].connect_failures, stats.backends[0].retries);
    EXPECT_GE(stats.servers[0].connect_failures, 1u);
    EXPECT_EQ(stats.servers[1].opened, 4u);
}

TEST(RelayChoice, SilentServerTimesOutAndAnotherServes) {
    Scene scene(2);
    scene.config.backends[0].connect_timeout_ms = 1000;
    scene.start();
    Station& good = scene.server(2, answering(fine));  // server 1 is not on the link at all
    for (int i = 0; i < 2; ++i) EXPECT_EQ(status_of(scene.exchange(get)), 200);
    EXPECT_EQ(good.peers().size(), 2u);
    scene.expect_idle();
}

TEST(RelayChoice, OnlyServerTellsWhyItFailed) {
    struct Case {
        bool on_link;
        int status;
        CloseReason reason;
    };
    for (const Case& one :
         {Case{true, 502, CloseReason::connect_refused}, {false, 504, CloseReason::connect_timeout}}) {
        Scene scene;
        scene.config.backends[0].connect_timeout_ms = 1000;
        scene.start();
        if (one.on_link) scene.silent_host(1);
        EXPECT_EQ(status_of(scene.exchange(get)), one.status);
        scene.expect_idle();
        EXPECT_EQ(scene.closing().reason, one.reason);
    }
}

TEST(RelayChoice, AllDownGets503UnlessAllAreToBeTried) {
    Scene scene(2);
    scene.start();
    for (const int i : {1, 2}) scene.server(i, answering(fine));
    for (const uint16_t slot : {uint16_t{0}, uint16_t{1}})
        scene.balancer->control_server(slot, {.probe = ProbeState::down});
    const std::string answer = scene.exchange(get);
    EXPECT_EQ(status_of(answer), 503);
    EXPECT_EQ(field(answer, "retry-after"), "7");
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::no_server);
    EXPECT_EQ(scene.balancer->stats().backends[0].no_server, 1u);
    scene.config.backends[0].when_all_down = WhenAllDown::try_all;
    ASSERT_TRUE(scene.balancer->reload(scene.config));
    EXPECT_EQ(status_of(scene.exchange(get)), 200);
    scene.expect_idle();
}

TEST(RelayChoice, RoundRobinByWeight) {
    Scene scene(3);
    scene.config.servers[1].weight = 2;
    scene.config.servers[2].weight = 3;
    scene.start();
    std::vector<Station*> servers;
    for (const int i : {1, 2, 3}) servers.push_back(&scene.server(i, answering(fine)));
    for (int i = 0; i < 12; ++i) EXPECT_EQ(status_of(scene.exchange(get)), 200);
    EXPECT_EQ(servers[0]->peers().size(), 2u);
    EXPECT_EQ(servers[1]->peers().size(), 4u);
    EXPECT_EQ(servers[2]->peers().size(), 6u);
    scene.expect_idle();
}

TEST(RelayChoice, HashesKeepAClientOnItsServer) {
    for (const Algorithm algorithm : {Algorithm::ip_hash, Algorithm::maglev}) {
        Scene scene(3, 2);
        scene.config.backends[0].algorithm = algorithm;
        scene.start();
        std::vector<Station*> servers;
        for (const int i : {1, 2, 3}) servers.push_back(&scene.server(i, answering(fine)));
        size_t used = 0;
        for (uint8_t number = 1; number <= 12; ++number) {
            Station& client = scene.client(number);
            size_t before[3];
            for (size_t i = 0; i < 3; ++i) before[i] = servers[i]->peers().size();
            for (int i = 0; i < 4; ++i) {
                Peer& peer = client.connect(http_port);
                peer.send(get);
                EXPECT_TRUE(scene.run(5, [&] { return peer.fin; }));
                peer.shutdown();
            }
            for (size_t i = 0; i < 3; ++i) {
                const size_t more = servers[i]->peers().size() - before[i];
                EXPECT_TRUE(more == 0 || more == 4) << "client " << int{number} << " came " << more << " times";
            }
        }
        for (Station* server : servers) used += server->peers().empty() ? 0 : 1;
        EXPECT_GE(used, 2u);
        scene.expect_idle();
    }
}

TEST(RelayChoice, HeaderCanBeTheKey) {
    Scene scene(3);
    scene.config.backends[0].algorithm = Algorithm::maglev;
    scene.config.backends[0].hash_header = scene.config.text("x-user");
    scene.start();
    std::vector<Station*> servers;
    for (const int i : {1, 2, 3}) servers.push_back(&scene.server(i, answering(fine)));
    const std::string request = "GET / HTTP/1.1\r\nHost: a\r\nX-User: joe\r\n\r\n";
    for (int i = 0; i < 5; ++i) EXPECT_EQ(status_of(scene.exchange(request)), 200);  // each from another address
    EXPECT_TRUE(std::ranges::any_of(servers, [](Station* s) { return s->peers().size() == 5; }));
    scene.expect_idle();
}

TEST(RelayChoice, LeastConnectionsAvoidsTheLoaded) {
    Scene scene(2);
    scene.config.backends[0].algorithm = Algorithm::least_conn;
    scene.start();
    std::vector<Station*> servers;
    for (const int i : {1, 2}) servers.push_back(&scene.server(i, echo_upgraded));
    Station& client = scene.client();
    for (int i = 0; i < 10; ++i) {
        Peer& peer = client.connect(http_port);
        peer.send(upgrade_request("/"));
        EXPECT_TRUE(scene.run(5, [&] { return !peer.received.empty(); }));
    }
    EXPECT_EQ(servers[0]->peers().size(), 5u);
    EXPECT_EQ(servers[1]->peers().size(), 5u);
    for (const auto& peer : client.peers()) peer->abort();
    scene.expect_idle();
}

TEST(RelayChoice, DrainingServerKeepsWhatItHasAndTakesNothingNew) {
    for (const AdminState state : {AdminState::drain, AdminState::disabled}) {
        Scene scene(2);
        scene.start();
        Station& first = scene.server(1, echo_upgraded);
        Station& second = scene.server(2, echo_upgraded);
        scene.balancer->control_server(1, {.admin = AdminState::disabled});
        Peer* far = nullptr;
        Peer& old = scene.upgraded(scene.client(), first, far);
        scene.balancer->control_server(0, {.admin = state});
        scene.balancer->control_server(1, {});
        Peer* other = nullptr;
        for (uint8_t i = 2; i < 6; ++i) scene.upgraded(scene.client(i), second, other).abort();
        old.send("still here");
        EXPECT_TRUE(scene.run(5, [&] { return old.received == "still here"; }));
        EXPECT_EQ(first.peers().size(), 1u);
        old.abort();
        scene.expect_idle();
    }
}

TEST(RelayChoice, EjectionAfterFailuresAndReturn) {
    Scene scene(2);
    scene.config.backends[0].eject_after = 2;
    scene.config.backends[0].eject_ms = 3000;
    scene.config.backends[0].retries = 1;
    scene.start();
    Station& bad = scene.silent_host(1);
    scene.server(2, answering(fine));
    for (int i = 0; i < 8; ++i) EXPECT_EQ(status_of(scene.exchange(get)), 200);
    const relay::ServerStats& stats = scene.balancer->stats().servers[0];
    EXPECT_EQ(stats.connect_failures, 2u);
    EXPECT_EQ(stats.ejections, 1u);
    scene.balancer->publish_gauges();
    EXPECT_EQ(stats.ejected, 1u);
    scene.run(3.1);
    bad.listen(server_port, answering(fine));
    for (int i = 0; i < 4; ++i) EXPECT_EQ(status_of(scene.exchange(get)), 200);
    EXPECT_EQ(bad.peers().size(), 2u);
    scene.balancer->publish_gauges();
    EXPECT_EQ(stats.ejected, 0u);
    scene.expect_idle();
}

TEST(RelayChoice, ControlCanEndAnEjection) {
    Scene scene(2);
    scene.config.backends[0].eject_after = 1;
    scene.start();
    Station& bad = scene.silent_host(1);
    scene.server(2, answering(fine));
    for (int i = 0; i < 2; ++i) scene.exchange(get);
    EXPECT_EQ(scene.balancer->stats().servers[0].ejections, 1u);
    bad.listen(server_port, answering(fine));
    scene.balancer->control_server(0, {.reset_count = 1});
    for (int i = 0; i < 4; ++i) scene.exchange(get);
    EXPECT_EQ(bad.peers().size(), 2u);
    scene.expect_idle();
}

TEST(RelayChoice, EjectedServersAreTriedWhenTheOthersFail) {
    Scene scene(2);
    scene.config.backends[0].eject_after = 3;
    scene.config.backends[0].eject_ms = 60'000;
    scene.start();
    Station& first = scene.silent_host(1);
    Station& second = scene.server(2, answering(fine));
    for (int i = 0; i < 8; ++i) EXPECT_EQ(status_of(scene.exchange(get)), 200);
    EXPECT_EQ(scene.balancer->stats().servers[0].ejections, 1u);
    // Now the ejected one is well again and the other one is gone.
    first.listen(server_port, answering(fine));
    second.host().stop_listening(server_port);
    EXPECT_EQ(status_of(scene.exchange(get)), 200);
    scene.expect_idle();
}

TEST(RelayChoice, UpgradesWithoutAWellFormedAnswerEject) {
    for (const char* answer : {"nonsense\r\n\r\n", ""}) {
        Scene scene(2);
        scene.config.backends[0].eject_after = 2;
        scene.config.backends[0].upgrade_timeout_ms = 500;
        scene.start();
        scene.server(1, answering(answer));
        Station& good = scene.server(2, answering(upgrade_answer(), true));
        for (int i = 0; i < 10; ++i) scene.exchange(upgrade_request("/"));
        EXPECT_EQ(scene.balancer->stats().servers[0].ejections, 1u);
        EXPECT_EQ(scene.balancer->stats().servers[0].upgrade_failures, 2u);
        EXPECT_EQ(good.peers().size(), 8u);
        scene.expect_idle();
    }
}

// A client chooses the URL, and an application may answer some of them with an error of its own.
TEST(RelayChoice, WellFormedRefusalsOfUpgradesDontEject) {
    Scene scene(2);
    scene.config.backends[0].eject_after = 1;
    scene.start();
    scene.server(1, answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"));
    Station& good = scene.server(2, answering(upgrade_answer(), true));
    for (int i = 0; i < 10; ++i) scene.exchange(upgrade_request("/"));
    EXPECT_EQ(scene.balancer->stats().servers[0].ejections, 0u);
    EXPECT_EQ(scene.balancer->stats().servers[0].upgrade_failures, 5u);
    EXPECT_EQ(good.peers().size(), 5u);
    scene.expect_idle();
}

TEST(RelayChoice, OrdinaryRequestsNeverEject) {
    const std::string without_body = "POST / HTTP/1.1\r\nHost: sim.test\r\nContent-Length: 1000\r\n\r\n";
    for (const std::string& request : {get, without_body}) {
        for (const char* answer : {"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "nonsense\r\n\r\n", ""}) {
            Scene scene;
            scene.config.backends[0].eject_after = 1;
            scene.config.backends[0].upgrade_timeout_ms = 500;
            scene.start();
            scene.server(1, answering(answer));
            EXPECT_GE(status_of(scene.exchange(request)), 408);
            EXPECT_EQ(scene.balancer->stats().servers[0].ejections, 0u);
            EXPECT_EQ(scene.balancer->stats().servers[0].upgrade_failures, 0u);
            scene.expect_idle();
        }
    }
}

TEST(RelayChoice, SourcePortsRunOut) {
    Scene scene;
    scene.config.backends[0].source_count = 1;
    scene.config.sources.push_back({0, 3000, 3019, 0});
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Station& client = scene.client();
    size_t refused = 0;
    for (int i = 0; i < 40; ++i) client.connect(http_port).send(upgrade_request("/"));
    scene.run(3);
    for (const auto& peer : client.peers()) {
        const int status = status_of(peer->received);
        EXPECT_TRUE(status == 101 || status == 503) << status;
        refused += status == 503 ? 1 : 0;
    }
    // 20 ports in four shards: those shards that more than their share of clients came to ran out.
    EXPECT_GE(refused, 20u);
    EXPECT_EQ(server.peers().size(), 40 - refused);
    EXPECT_EQ(scene.balancer->stats().backends[0].source_ports_exhausted, refused);
    size_t counted = 0;
    for (const auto& peer : client.peers()) peer->abort();
    scene.expect_idle();
    for (const RelayEvent& event : scene.balancer->events())
        if (event.kind == RelayEventKind::closed && event.reason == CloseReason::no_source_port) ++counted;
    EXPECT_EQ(counted, refused);
    // All can be had again.
    Peer& again = client.connect(http_port);
    again.send(upgrade_request("/"));
    EXPECT_TRUE(scene.run(5, [&] { return status_of(again.received) == 101; }));
    again.abort();
    scene.expect_idle();
}

TEST(RelayChoice, TheSearchForASourcePortIsBoundedAndGoesOnWhereItEnded) {
    Scene scene;
    scene.config.dataplane.shard_count = 1;
    scene.config.dataplane.relays_max = 1024;
    scene.config.backends[0].source_count = 12;
    for (uint16_t i = 0; i < 12; ++i)
        scene.config.sources.push_back(
            {0, static_cast<uint16_t>(3000 + 20 * i), static_cast<uint16_t>(3019 + 20 * i), 0});
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Station& client = scene.client();
    const auto tried = [&] { return scene.balancer->stats().backends[0].source_ports_tried.load(); };
    const auto open = [&](int count) {
        for (int i = 0; i < count; ++i) client.connect(http_port).send(upgrade_request("/"));
        scene.run(1);
    };
    open(230);
    EXPECT_EQ(server.peers().size(), 230u);
    const uint64_t before = tried();
    open(10);  // eleven of the twelve sources are full
    EXPECT_EQ(server.peers().size(), 240u);
    EXPECT_LE(tried() - before, 10 * 2 + 12 * 16u);
    const uint64_t full = tried();
    open(100);
    EXPECT_EQ(server.peers().size(), 240u);
    EXPECT_LE(tried() - full, 100 * 8 + 256u * 4);
    for (const auto& peer : client.peers()) peer->abort();
    scene.expect_idle();
}

TEST(RelayChoice, ServerWithoutARouteIsUnreachable) {
    Scene scene;
    scene.config.servers[0].address = IpAddress::v4(203, 0, 113, 1);
    scene.start();
    EXPECT_EQ(status_of(scene.exchange(get)), 503);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::unreachable);
}

TEST(RelayChoice, UnresolvedNeighbourIsWaitedFor) {
    Scene scene;
    scene.config.backends[0].connect_timeout_ms = 10'000;
    scene.start();
    Peer& peer = scene.client().connect(http_port);
    peer.send(get);
    scene.run(1.5);
    EXPECT_EQ(peer.received, "");
    scene.server(1, answering(fine));  // now there is someone who answers ARP
    EXPECT_TRUE(scene.run(2, [&] { return status_of(peer.received) == 200; }));
    peer.shutdown();
    scene.expect_idle();
}

TEST(RelayChoice, AServerThatNobodyAnswersForIsGivenUpBeforeTheTimeout) {
    Scene scene(2);
    scene.config.backends[0].connect_timeout_ms = 60'000;
    scene.config.backends[0].eject_after = 1;
    scene.start();
    Station& good = scene.server(2, answering(fine));  // server 1 is not on the link at all
    for (int i = 0; i < 2; ++i) EXPECT_EQ(status_of(scene.exchange(get, 4)), 200);
    EXPECT_EQ(good.peers().size(), 2u);
    EXPECT_EQ(scene.balancer->stats().servers[0].connect_failures, 1u);
    EXPECT_EQ(scene.balancer->stats().servers[0].ejections, 1u);
    scene.expect_idle();
}

TEST(RelayChoice, AnAddressThatNobodyAnswersForGets504) {
    Scene scene;
    scene.config.backends[0].connect_timeout_ms = 60'000;
    scene.start();
    EXPECT_EQ(status_of(scene.exchange(get, 8)), 504);
    scene.expect_idle(6);
    EXPECT_EQ(scene.closing().reason, CloseReason::unreachable);
}

TEST(RelayChoice, AClientOfAnUnresolvedServerIsServedMeanwhile) {
    Scene scene;
    scene.start();
    Peer& peer = scene.client().connect(http_port);
    peer.send(get);
    scene.run(0.5);
    const uint64_t before = scene.balancer->tcp_counters().segments_out;
    peer.send("more");
    scene.run(0.02);
    EXPECT_GT(scene.balancer->tcp_counters().segments_out, before) << "its bytes are acknowledged at once";
    peer.abort();
    scene.expect_idle(1);
}

TEST(RelayChoice, ReloadLeavesLiveRelaysAlone) {
    Scene scene(2);
    scene.start();
    std::vector<Station*> servers;
    for (const int i : {1, 2}) servers.push_back(&scene.server(i, echo_upgraded));
    Station& client = scene.client();
    std::vector<Peer*> peers;
    for (int i = 0; i < 4; ++i) {
        peers.push_back(&client.connect(http_port));
        peers.back()->send(upgrade_request("/"));
        EXPECT_TRUE(scene.run(5, [&] { return status_of(peers.back()->received) == 101; }));
        peers.back()->received.clear();
    }
    Peer& slow = client.connect(http_port);  // its head is not there yet when the listener goes
    slow.send("GET / HTTP/1.1\r\n");
    scene.run(1);
    // Server 0 and the HTTP listener are gone; server 1 keeps its slot.
    SnapshotBuilder next = balancer_config({Station::address_of(true, 2)});
    next.servers[0].slot = 1;
    next.listeners.erase(next.listeners.begin());
    next.listeners[0].first_route = 0;
    next.http_routes.pop_back();
    ASSERT_TRUE(scene.balancer->reload(next));
    for (size_t i = 0; i < peers.size(); ++i) {
        peers[i]->send("after" + std::to_string(i));
        EXPECT_TRUE(scene.run(5, [&] { return peers[i]->received == "after" + std::to_string(i); }));
    }
    EXPECT_EQ(scene.balancer->stats().servers[0].open, 2u);
    EXPECT_EQ(scene.balancer->stats().servers[1].open, 2u);
    slow.send("Host: a\r\n\r\n");
    Peer& refused = client.connect(http_port);
    EXPECT_TRUE(scene.run(5, [&] { return refused.end_ && slow.end_; }));
    EXPECT_EQ(refused.end_, End::refused);
    Peer& raw = client.connect(tcp_port);
    raw.send(upgrade_request("/"));
    EXPECT_TRUE(scene.run(5, [&] { return status_of(raw.received) == 101; }));
    for (Peer* peer : peers) peer->shutdown();
    raw.shutdown();
    EXPECT_TRUE(scene.run(5, [&] { return peers[3]->end_ == End::closed && peers[0]->end_ == End::closed; }));
    scene.expect_idle();
}

// A backend's slot is free as soon as a configuration without it is in force, whatever still connects on its behalf.
TEST(RelayChoice, PendingConnectIsNotRetriedAtAnotherBackendInTheSameSlot) {
    Scene scene;  // its only server is not on the link
    scene.start();
    Station& stranger = scene.server(2, answering(fine));
    Peer& peer = scene.client().connect(http_port);
    peer.send(get);
    scene.run(1);
    SnapshotBuilder next = balancer_config({Station::address_of(true, 2)});
    next.servers[0].slot = 1;
    next.backends[0].name = next.text("others");
    next.backends[0].slot = 1;
    ASSERT_TRUE(scene.balancer->reload(next));
    next.backends[0].slot = 0;
    ASSERT_TRUE(scene.balancer->reload(next));
    EXPECT_TRUE(scene.run(10, [&] { return peer.fin; }));
    EXPECT_EQ(status_of(peer.received), 504);
    EXPECT_TRUE(stranger.peers().empty());
    EXPECT_EQ(scene.balancer->stats().backends[0].retries, 0u);
    peer.shutdown();
    scene.expect_idle();
}

TEST(RelayChoice, PendingConnectIsRetriedAtItsBackendAfterAReload) {
    Scene scene;
    scene.start();
    Station& good = scene.server(2, answering(fine));
    Peer& peer = scene.client().connect(http_port);
    peer.send(get);
    scene.run(1);
    SnapshotBuilder next = balancer_config({Station::address_of(true, 2)});
    next.servers[0].slot = 1;
    ASSERT_TRUE(scene.balancer->reload(next));
    EXPECT_TRUE(scene.run(10, [&] { return peer.fin; }));
    EXPECT_EQ(status_of(peer.received), 200);
    EXPECT_EQ(good.peers().size(), 1u);
    peer.shutdown();
    scene.expect_idle();
}

TEST(RelayChoice, TcpModeRelaysFromTheFirstByte) {
    Scene scene;
    scene.start();
    Station& server = scene.server(1, [](Peer& peer) {
        if (!peer.end_ && peer.once()) peer.send("220 welcome\r\n");
        if (peer.fin) peer.shutdown();
    });
    Peer& peer = scene.client().connect(tcp_port);
    EXPECT_TRUE(scene.run(5, [&] { return peer.received == "220 welcome\r\n"; }));
    peer.send("QUIT");
    peer.shutdown();
    EXPECT_TRUE(scene.run(5, [&] { return peer.end_ == End::closed; }));
    EXPECT_EQ(server.peers().at(0)->received, "QUIT");
    scene.expect_idle();
    const RelayEvent closed = scene.closing();
    EXPECT_EQ(closed.http_status, 0);
    EXPECT_EQ(closed.reason, CloseReason::fin);
}

TEST(RelayChoice, TcpModeWithoutAServerResets) {
    Scene scene;
    scene.config.backends[0].retries = 0;
    scene.start();
    scene.silent_host(1);
    Peer& peer = scene.client().connect(tcp_port);
    EXPECT_TRUE(scene.run(5, [&] { return peer.end_.has_value(); }));
    EXPECT_EQ(peer.end_, End::reset);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::connect_refused);
}

TEST(RelayChoice, TwoWorkersServeEveryShard) {
    Scene scene(2, 2);
    scene.start();
    for (const int i : {1, 2}) scene.server(i, echo_upgraded);
    Station& client = scene.client();
    for (int i = 0; i < 24; ++i) client.connect(http_port).send(upgrade_request("/") + "x");
    scene.run(3);
    for (const auto& peer : client.peers()) EXPECT_TRUE(peer->received.ends_with("\r\n\r\nx"));
    for (const uint16_t worker : {uint16_t{0}, uint16_t{1}})
        EXPECT_GT(scene.balancer->stats(worker).worker.relays_relaying, 0u);
    for (const auto& peer : client.peers()) peer->shutdown();
    scene.expect_idle();
}

}  // namespace
}  // namespace millrace::sim
