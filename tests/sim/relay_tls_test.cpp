// Clients with TLS, OpenSSL's, through the whole worker to servers without: handshakes, records, key updates, ends, and
// clients that misbehave.
#include <algorithm>
#include <gtest/gtest.h>

#include "tests/sim/tls_scene.h"

namespace millrace::sim {
namespace {

using relay::TlsStats;
using relay::WorkerStats;

struct RelayTls : testing::TestWithParam<tls::Version> {
    PeerTlsOptions options() const { return {.version = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(Versions, RelayTls, testing::Values(tls::Version::tls12, tls::Version::tls13),
                         [](const auto& of) { return of.param == tls::Version::tls12 ? "Tls12" : "Tls13"; });

TEST_P(RelayTls, AWebSocketIsRelayedBothWays) {
    TlsScene scene;
    scene.config.listeners[2].forwarded_proto = ForwardedPolicy::replace;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Peer& client = scene.client(1).connect_tls(https_port, options());
    client.send(upgrade_request("/"));
    ASSERT_TRUE(scene.run(10, [&] { return head_length(client.received) != 0; }));
    client.received.clear();
    Peer& far = *server.peers()[0];
    client.send("\x82\x85\x01\x02\x03\x04upward");
    far.send(std::string("\x82\x08") + "downward");
    EXPECT_TRUE(scene.run(5, [&] { return client.received == std::string("\x82\x08") + "downward"; }));
    EXPECT_TRUE(scene.run(5, [&] { return far.received == "\x82\x85\x01\x02\x03\x04upward"; })) << far.received;
    EXPECT_EQ(
        scene.tls_total(GetParam() == tls::Version::tls13 ? &TlsStats::handshakes_tls13 : &TlsStats::handshakes_tls12),
        1u);
    client.shutdown();
    EXPECT_TRUE(scene.run(5, [&] { return far.fin; }));
    far.shutdown();
    scene.expect_idle();
    EXPECT_TRUE(client.tls->notified());
    const RelayEvent closed = scene.closing();
    EXPECT_EQ(closed.closer, Closer::client);
    EXPECT_EQ(closed.reason, CloseReason::fin);
    EXPECT_EQ(scene.tls_total(&TlsStats::truncated), 0u);
    scene.balancer->publish_gauges();
    const size_t close_notify = tls::alert_index(static_cast<uint8_t>(tls::Alert::close_notify));
    EXPECT_EQ(scene.balancer->stats().worker.tls.tallies.alerts_in[close_notify].load(), 1u);
    scene.expect_no_keys();
}

TEST_P(RelayTls, BulkArrivesBothWays) {
    TlsScene scene;
    scene.link.loss = 0.01;
    scene.start();
    const std::string content = pattern(400'000);
    Station& server = scene.server(1);
    Peer& client = scene.client(1).connect_tls(tls_port, options());
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
    EXPECT_TRUE(client.tls->notified()) << "close_notify comes before the FIN";
    client.shutdown();
    scene.expect_idle(60);
}

TEST_P(RelayTls, AnAnswerOfOurOwnIsSealedToo) {
    TlsScene scene;
    scene.start();
    Peer& client = scene.client(1).connect_tls(https_port, options());
    client.send("GET / HTTP/1.1\r\nno colon\r\n\r\n");
    EXPECT_TRUE(scene.run(10, [&] { return client.fin; }));
    EXPECT_EQ(status_of(client.received), 400) << client.received;
    EXPECT_TRUE(client.tls->notified());
    client.shutdown();
    scene.expect_idle();
}

TEST_P(RelayTls, ARecordThatIsNotTheClientsEndsItAndNobodyElse) {
    TlsScene scene;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Peer *far = nullptr, *other_far = nullptr;
    Peer& client = scene.secured(scene.client(1), server, far, options());
    Peer& other = scene.secured(scene.client(2), server, other_far, options());
    client.send_raw(std::string("\x17\x03\x03\x00\x40", 5) + std::string(64, 'x'));
    EXPECT_TRUE(scene.run(10, [&] { return client.fin && far->end_; }));
    EXPECT_EQ(client.tls->alert(), static_cast<int>(tls::Alert::bad_record_mac));
    EXPECT_EQ(far->end_, End::reset) << "what is cut off must not look whole";
    EXPECT_EQ(scene.tls_total(&TlsStats::bad_records), 1u);
    other.send("still here");
    EXPECT_TRUE(scene.run(5, [&] { return other_far->received == "still here"; }));
    const RelayEvent closed = [&] {
        client.shutdown();
        scene.run(10);
        return scene.closing();
    }();
    EXPECT_EQ(closed.closer, Closer::balancer);
    EXPECT_EQ(closed.reason, CloseReason::tls_bad_record);
    other.abort();
    scene.expect_idle();
    scene.expect_no_keys();
}

TEST_P(RelayTls, ARecordTooLongIsRefusedByItsHeader) {
    TlsScene scene;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Peer* far = nullptr;
    Peer& client = scene.secured(scene.client(1), server, far, options());
    client.send_raw(std::string("\x17\x03\x03\x50\x00", 5));
    EXPECT_TRUE(scene.run(10, [&] { return client.fin; }));
    EXPECT_EQ(client.tls->alert(), static_cast<int>(tls::Alert::record_overflow));
    client.shutdown();
    scene.expect_idle();
}

TEST_P(RelayTls, AFinWithoutCloseNotifyIsToldApart) {
    TlsScene scene;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Peer* far = nullptr;
    Peer& client = scene.secured(scene.client(1), server, far, options());
    client.truncate();
    EXPECT_TRUE(scene.run(10, [&] { return far->fin; }));
    far->shutdown();
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::tls_truncated);
    EXPECT_EQ(scene.tls_total(&TlsStats::truncated), 1u);
}

TEST(RelayTls13, KeysChangeInMidStream) {
    TlsScene scene;
    scene.start();
    Station& server = scene.server(1, echo_upgraded);
    Peer* far = nullptr;
    Peer& client = scene.secured(scene.client(1), server, far);
    std::string all;
    for (int i = 0; i < 40; ++i) {
        if (i % 3 == 0) client.key_update(i % 2 == 0);
        const std::string part = pattern(100 + 700 * static_cast<size_t>(i % 5));
        client.send(part);
        all += part;
        scene.run(0.01);
    }
    EXPECT_TRUE(scene.run(10, [&] { return client.received.size() == all.size(); }));
    EXPECT_TRUE(client.received == all);
    EXPECT_GE(scene.tls_total(&TlsStats::key_updates_out), 5u);
    client.shutdown();
    scene.expect_idle();
}

TEST(RelayTlsHandshake, WhoSaysNothingOrTooLittleIsReset) {
    for (const std::string& said : {std::string(), std::string("\x16\x03\x01\x02\x00\x01\x00", 7)}) {
        TlsScene scene;
        scene.start();
        Peer& client = scene.client(1).connect(https_port);
        client.send(said);
        scene.run(5);
        EXPECT_FALSE(client.end_);
        EXPECT_EQ(scene.balancer->worker_total(&WorkerStats::relays_tls_handshake), 1u);
        EXPECT_TRUE(scene.run(10, [&] { return client.end_ == End::reset; }));
        scene.expect_idle();
        EXPECT_EQ(scene.closing().reason, CloseReason::tls_timeout);
        EXPECT_EQ(scene.tls_total(&TlsStats::handshakes_timed_out), 1u);
    }
}

TEST(RelayTlsHandshake, WhatIsNoTlsIsRefusedAtOnce) {
    TlsScene scene;
    scene.start();
    Peer& client = scene.client(1).connect(https_port);
    client.send("GET / HTTP/1.1\r\nHost: sim.test\r\n\r\n");
    EXPECT_TRUE(scene.run(2, [&] { return client.end_ == End::reset; }));
    EXPECT_EQ(scene.tls_total(&TlsStats::handshakes_failed), 1u);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::tls_handshake);
}

TEST(RelayTlsHandshake, AHelloWithoutItsEndHoldsNoSeat) {
    TlsScene scene;
    scene.options.tls_seats = 1;
    scene.start();
    const std::string hello = PeerTls({}).start();
    // Cut over two records, the second of which does not come.
    const std::string part = hello.substr(0, 3) + std::string("\0\x20", 2) + hello.substr(5, 32);
    scene.client(1).connect(https_port).send(part);
    scene.run(1);
    Peer& other = scene.client(2).connect_tls(https_port);
    EXPECT_TRUE(scene.run(2, [&] { return other.tls->established(); }));
    other.abort();
    scene.expect_idle();
}

TEST(RelayTlsHandshake, AHelloMayBeCutOverRecordsAndSegments) {
    TlsScene scene;
    scene.start();
    const std::string hello = PeerTls({}).start();
    Peer& client = scene.client(1).connect(https_port);
    for (size_t at = 5; at < hello.size(); at += 50) {
        const std::string part = hello.substr(at, 50);
        client.send(hello.substr(0, 3) + '\0' + static_cast<char>(part.size()) + part.substr(0, 7));
        scene.run(0.02);
        client.send(part.substr(std::min<size_t>(7, part.size())));
        scene.run(0.02);
    }
    EXPECT_TRUE(scene.run(2, [&] { return client.received.starts_with("\x16\x03\x03"); }));
    client.abort();
    scene.expect_idle();
}

TEST(RelayTlsHandshake, AHelloAndAFinGiveTheSeatBack) {
    TlsScene scene;
    scene.options.tls_seats = 1;
    scene.start();
    // It takes so little of the flight that this stays unacknowledged.
    Peer& client = scene.client(1, 300).connect(https_port);
    client.pause();
    client.send(PeerTls({}).start());
    client.shutdown();
    scene.run(1);
    Peer& other = scene.client(2).connect_tls(https_port);
    EXPECT_TRUE(scene.run(2, [&] { return other.tls->established(); }));
    other.abort();
    client.resume();
    scene.expect_idle();
}

TEST(RelayTlsHandshake, AShardThatMovesTakesItsRecordsAlongAndLeavesItsHandshakes) {
    TlsScene scene(1, 2);
    scene.options.tls_seats = 8;
    scene.start();
    scene.balancer->share_out(1);
    Station& server = scene.server(1, echo_upgraded);
    std::vector<Peer*> relayed, shaking;
    Peer* far = nullptr;
    for (int i = 1; i <= 8; ++i) relayed.push_back(&scene.secured(scene.client(i), server, far));
    scene.balancer->run_crypto(false);
    // Eight have the seats, eight wait in the queue, on both sides of the border between the shards that move and those
    // that stay.
    for (int i = 11; i <= 26; ++i) shaking.push_back(&scene.client(i).connect_tls(https_port));
    scene.run(0.1);
    EXPECT_GT(scene.balancer->share_out(2), 0u);
    scene.run(0.1);
    const auto reset = std::ranges::count_if(shaking, [](const Peer* peer) { return peer->end_ == End::reset; });
    EXPECT_GT(reset, 0);
    EXPECT_LT(reset, 16);
    scene.balancer->run_crypto(true);
    EXPECT_TRUE(scene.run(2, [&] {
        return std::ranges::all_of(shaking, [](const Peer* p) { return p->end_ || p->tls->established(); });
    }));
    for (Peer* peer : relayed) peer->send("after the move");
    EXPECT_TRUE(scene.run(2, [&] {
        return std::ranges::all_of(relayed, [](const Peer* p) { return p->received == "after the move"; });
    }));
    for (int i = 31; i <= 46; ++i) {
        Peer& next = scene.client(i).connect_tls(https_port);
        EXPECT_TRUE(scene.run(2, [&] { return next.tls->established(); })) << "seats came back on both workers";
        next.abort();
    }
    for (Peer* peer : relayed) peer->abort();
    for (Peer* peer : shaking)
        if (!peer->end_) peer->abort();
    scene.expect_idle();
    scene.expect_no_keys();
}

TEST(RelayTlsHandshake, SilentClientsDoNotKeepOthersOut) {
    TlsScene scene;
    scene.options.tls_seats = 5;  // clients get four
    scene.start();
    std::vector<Peer*> silent;
    for (int i = 1; i <= 4; ++i) {
        silent.push_back(&scene.client(i).connect(https_port));
        silent.back()->send(PeerTls({}).start());
        scene.run(0.1);
    }
    // A seat is taken from who has been silent for a second, the longest first, and only for one who waits.
    scene.run(2);
    for (const Peer* peer : silent) EXPECT_FALSE(peer->end_);
    Peer& honest = scene.client(5).connect_tls(https_port);
    EXPECT_TRUE(scene.run(0.2, [&] { return honest.tls->established(); }));
    EXPECT_EQ(silent[0]->end_, End::reset);
    EXPECT_FALSE(silent[1]->end_);
    EXPECT_EQ(scene.tls_total(&TlsStats::seats_reclaimed), 1u);
    honest.abort();
    scene.expect_idle();
}

TEST(RelayTlsHandshake, ThoseWhoHaveGoneMakeRoomInTheQueue) {
    TlsScene scene;
    scene.options.tls_seats = 1;
    scene.start();
    scene.balancer->run_crypto(false);
    Peer& first = scene.client(1).connect_tls(https_port);
    scene.run(0.1);
    Peer& second = scene.client(4).connect_tls(https_port);
    scene.run(0.1);
    Station& many = scene.client(2);
    for (int i = 0; i < 12; ++i) {
        Peer& peer = many.connect_tls(https_port);
        scene.run(0.05);
        peer.abort();
        scene.run(0.05);
    }
    Peer& last = scene.client(3).connect_tls(https_port);
    scene.run(0.5);
    EXPECT_FALSE(last.end_) << "refused, though nobody waits any more";
    scene.balancer->run_crypto(true);
    EXPECT_TRUE(scene.run(2, [&] { return last.tls->established(); }));
    for (Peer* peer : {&first, &second, &last}) peer->abort();
    scene.expect_idle(60);
}

TEST(RelayTlsRecords, AHeadIsReadAlthoughItsRecordFindsNoRoomYet) {
    TlsScene scene;
    scene.start();
    Station& server = scene.server(1);
    Peer& client = scene.client(1).connect_tls(https_port);
    std::string head = "POST / HTTP/1.1\r\nHost: sim.test\r\nContent-Length: 12000\r\n";
    for (int i = 0; i < 30; ++i) head += "X-Filler-" + std::to_string(i) + ": " + std::string(400, 'f') + "\r\n";
    const std::string text = head + "\r\n" + std::string(12'000, 'x');
    // The first record ends within the head; the second one holds more than the buffer of heads has room for.
    client.send(text.substr(0, 10'000));
    scene.run(0.1);
    const std::string record = client.tls->seal(text.substr(10'000));
    client.send_raw(record.substr(0, record.size() - 100));
    scene.run(0.1);
    client.send_raw(record.substr(record.size() - 100));
    const auto whole = [&] {
        if (server.peers().empty()) return false;
        const std::string& came = server.peers()[0]->received;
        return head_length(came) != 0 && came.size() - head_length(came) == 12'000;
    };
    EXPECT_TRUE(scene.run(3, whole)) << (server.peers().empty() ? 0 : server.peers()[0]->received.size());
    client.abort();
    scene.expect_idle();
}

TEST(RelayTlsRecords, AFinInsideARecordIsATruncation) {
    TlsScene scene;
    scene.start();
    Peer& client = scene.client(1).connect_tls(https_port);
    EXPECT_TRUE(scene.run(2, [&] { return client.tls->established(); }));
    client.send_raw(std::string("\x17\x03\x03\x00\x40", 5) + "only a part");
    client.truncate();
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::tls_truncated);
}

TEST(RelayTlsHandshake, WhoFindsNoSeatWaitsAndThenIsRefused) {
    TlsScene scene;
    scene.options.tls_seats = 1;
    scene.start();
    scene.server(1, only_upgrade);
    scene.balancer->run_crypto(false);
    Peer& first = scene.client(1).connect_tls(https_port);
    scene.run(1);
    Peer& second = scene.client(2).connect_tls(https_port);
    EXPECT_TRUE(scene.run(15, [&] { return first.end_ && second.end_; }));
    EXPECT_EQ(scene.tls_total(&TlsStats::handshakes_timed_out), 1u);
    EXPECT_EQ(scene.tls_total(&TlsStats::handshakes_refused), 1u);
    // The seat comes back, and whoever waits longest gets it.
    Peer& third = scene.client(3).connect_tls(https_port);
    Peer& fourth = scene.client(4).connect_tls(https_port);
    scene.run(1);
    scene.balancer->run_crypto(true);
    EXPECT_TRUE(scene.run(5, [&] { return third.tls->established() && fourth.tls->established(); }));
    for (Peer* peer : {&third, &fourth}) peer->shutdown();
    scene.expect_idle();
}

TEST(RelayTlsHandshake, SeatsComeBackHoweverHandshakesEnd) {
    TlsScene scene;
    scene.options.tls_seats = 2;
    scene.start();
    Station& client = scene.client(1);
    for (int i = 0; i < 12; ++i) {
        Peer& peer =
            client.connect_tls(https_port, {.version = i % 2 == 0 ? tls::Version::tls12 : tls::Version::tls13});
        scene.balancer->run_crypto(i % 3 != 0);
        scene.run(0.1);
        i % 3 == 1 ? peer.shutdown() : peer.abort();
        scene.run(0.1);
        scene.balancer->run_crypto(true);
        scene.run(0.1);
    }
    Peer& last = client.connect_tls(https_port);
    EXPECT_TRUE(scene.run(5, [&] { return last.tls->established(); }));
    last.shutdown();
    scene.expect_idle();
    scene.expect_no_keys();
}

TEST(RelayTlsMemory, ARecordForWhichThereIsNoRoomComesAgain) {
    TlsScene scene;
    scene.config.dataplane.shard_count = 1;
    scene.options.chunk_bytes = 16 * 65536ull;
    scene.config.dataplane.send_queue_max_bytes = 64u << 10;
    scene.start();
    const std::string content = pattern(300'000);
    Station& server = scene.server(1);
    std::vector<Peer*> writers;
    for (int i = 1; i <= 12; ++i) writers.push_back(&scene.client(i).connect_tls(tls_port));
    EXPECT_TRUE(scene.run(10, [&] { return server.peers().size() == writers.size(); }));
    for (const auto& far : server.peers()) far->pause();
    for (Peer* writer : writers) writer->send(content);
    scene.run(3);
    for (const auto& far : server.peers()) far->resume();
    const auto over = [&] {
        return std::ranges::all_of(server.peers(),
                                   [&](const auto& far) { return far->received.size() == content.size(); });
    };
    EXPECT_TRUE(scene.run(200, over));
    for (const auto& far : server.peers()) EXPECT_TRUE(far->received == content) << far->received.size();
    EXPECT_GT(scene.balancer->tcp_counters().payload_refused.load(), 0u) << "memory did run short";
    EXPECT_EQ(scene.balancer->worker_total(&WorkerStats::relays_reset_for_memory), 0u);
    for (Peer* writer : writers) writer->abort();
    scene.expect_idle(60);
}

}  // namespace
}  // namespace millrace::sim
