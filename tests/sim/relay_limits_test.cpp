// Ends of relays, and what happens when something runs out: half closes, resets, idle time-outs, slow readers, full
// tables, no memory.
#include "tests/sim/scene.h"

namespace millrace::sim {
namespace {

std::string pattern(size_t size) {
    std::string text(size, '\0');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
    return text;
}

TEST(RelayEnds, EachDirectionIsFinishedOnItsOwn) {
    for (const bool client_first : {true, false}) {
        Scene scene;
        scene.start();
        Station& server = scene.server(1, only_upgrade);
        Peer* far = nullptr;
        Peer& near = scene.upgraded(scene.client(), server, far);
        Peer& first = client_first ? near : *far;
        Peer& second = client_first ? *far : near;
        first.send("bye");
        first.shutdown();
        EXPECT_TRUE(scene.run(2, [&] { return second.fin; }));
        EXPECT_EQ(second.received, "bye");
        scene.run(3);
        second.send(pattern(100'000));
        second.shutdown();
        EXPECT_TRUE(scene.run(5, [&] { return first.end_ && second.end_; }));
        EXPECT_TRUE(first.received == pattern(100'000));
        EXPECT_EQ(first.end_, End::closed);
        EXPECT_EQ(second.end_, End::closed);
        scene.expect_idle();
        EXPECT_EQ(scene.closing().closer, client_first ? Closer::client : Closer::server);
    }
}

TEST(RelayEnds, ResetPassesToTheOtherSide) {
    for (const bool by_client : {true, false}) {
        Scene scene;
        scene.start();
        Station& server = scene.server(1, only_upgrade);
        Peer* far = nullptr;
        Peer& near = scene.upgraded(scene.client(), server, far);
        (by_client ? near : *far).abort();
        Peer& other = by_client ? *far : near;
        EXPECT_TRUE(scene.run(1, [&] { return other.end_ == End::reset; }));
        scene.expect_idle(1);
        const RelayEvent closed = scene.closing();
        EXPECT_EQ(closed.reason, CloseReason::reset);
        EXPECT_EQ(closed.closer, by_client ? Closer::client : Closer::server);
    }
}

// A server that says its last and closes answers what the client still sends with a reset.
TEST(RelayEnds, WhatTheServerSentBeforeItsFinOutlivesItsReset) {
    Scene scene;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Peer* far = nullptr;
    Peer& near = scene.upgraded(scene.client(1, 8192), server, far);
    near.pause();
    const std::string last(50'000, 'l');
    far->send(last);
    far->shutdown();
    scene.run(1);
    far->abort();
    scene.run(1);
    near.resume();
    EXPECT_TRUE(scene.run(10, [&] { return near.fin || near.end_; }));
    EXPECT_EQ(near.received.size(), last.size());
    EXPECT_FALSE(near.end_);
    near.shutdown();
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::fin);
}

TEST(RelayEnds, ClientThatGoesWhileConnectingLeavesNothingBehind) {
    Scene scene;
    scene.start();
    Peer& peer = scene.client().connect(http_port);  // the server does not exist
    peer.send(upgrade_request("/"));
    scene.run(1);
    peer.abort();
    scene.expect_idle(1);
    EXPECT_EQ(scene.closing().closer, Closer::client);
    EXPECT_EQ(scene.balancer->stats().servers[0].connect_failures, 0u);
}

TEST(RelayEnds, IdleRelayIsFinishedInOrder) {
    for (const bool idle_server : {false, true}) {
        Scene scene;
        (idle_server ? scene.config.backends[0].idle_timeout_ms : scene.config.listeners[0].idle_timeout_ms) = 4000;
        scene.link.delay_us = 50'000;
        scene.start();
        Station& server = scene.server(1, [](Peer& peer) {
            only_upgrade(peer);
            if (peer.fin) peer.shutdown();
        });
        Peer* far = nullptr;
        Peer& near = scene.upgraded(scene.client(), server, far);
        near.on_change = [](Peer& peer) {
            if (peer.fin) peer.shutdown();
        };
        scene.run(3);
        near.send("alive");
        scene.run(3);
        EXPECT_FALSE(near.fin) << "activity postpones it";
        EXPECT_TRUE(scene.run(2, [&] { return near.end_ && far->end_; }));
        EXPECT_EQ(near.end_, End::closed);
        EXPECT_EQ(far->end_, End::closed);
        scene.expect_idle();
        const RelayEvent closed = scene.closing();
        EXPECT_EQ(closed.reason, CloseReason::idle_timeout);
        EXPECT_EQ(closed.closer, Closer::balancer);
    }
}

TEST(RelayEnds, DurationsAreToldInMilliseconds) {
    for (const double lifetime : {0.0, 0.7, 2.3}) {
        Scene scene;
        scene.start();
        Station& server = scene.server(1, only_upgrade);
        scene.run(0.6);
        Peer* far = nullptr;
        Peer& near = scene.upgraded(scene.client(), server, far);
        scene.run(lifetime);
        near.abort();
        scene.expect_idle(1);
        const double told = static_cast<double>(scene.closing().duration_us) / 1e6;
        EXPECT_NEAR(told, lifetime + 0.01, 0.01);
    }
}

TEST(RelayEnds, AVeryOldRelayKeepsTheGreatestAge) {
    Scene scene;
    scene.config.listeners[0].idle_timeout_ms = scene.config.backends[0].idle_timeout_ms = 604'800'000;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Peer* far = nullptr;
    Peer& near = scene.upgraded(scene.client(), server, far);
    for (size_t number = 0; number < scene.balancer->shard_count(); ++number) {
        relay::Shard& shard = scene.balancer->shard(number);
        shard.relays.for_each_live(
            [](uint32_t, relay::Relay& relay) { relay.opened_ms -= relay::Relay::age_ms_max + 1'000'000; });
    }
    scene.run(15);
    near.abort();
    scene.expect_idle(1);
    EXPECT_NEAR(static_cast<double>(scene.closing().duration_us), relay::Relay::age_ms_max * 1e3, 20e6);
}

TEST(RelayEnds, ATimeWaitWithoutAPathIsNotHeld) {
    Scene scene;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Peer* far = nullptr;
    Peer& near = scene.upgraded(scene.client(), server, far);
    far->shutdown();
    EXPECT_TRUE(scene.run(1, [&] { return near.fin; }));
    SnapshotBuilder cut = scene.config;
    for (LocalAddressRecord& local : cut.local_addresses) local.prefix_length = 24;
    ASSERT_TRUE(scene.balancer->reload(cut));  // no route leads to either any more
    near.shutdown();
    const auto flows = [&] {
        uint64_t sum = 0;
        for (size_t i = 0; i < scene.balancer->shard_count(); ++i) sum += scene.balancer->shard(i).flows.size();
        return sum;
    };
    EXPECT_TRUE(scene.run(1, [&] { return flows() == 1; })) << flows();
    ASSERT_TRUE(scene.balancer->reload(scene.config));
    EXPECT_TRUE(scene.run(10, [&] { return near.end_ && far->end_; }));
    scene.expect_idle();
}

TEST(RelayEnds, ASideThatHasClosedIsNotIdle) {
    Scene scene;
    scene.config.listeners[0].idle_timeout_ms = 4000;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Peer* far = nullptr;
    Peer& near = scene.upgraded(scene.client(), server, far);
    far->shutdown();
    far->pause();
    near.send(pattern(90'000));
    near.shutdown();
    EXPECT_TRUE(scene.run(2, [&] { return near.end_ == End::closed; }));
    scene.run(30);
    far->resume();
    EXPECT_TRUE(scene.run(5, [&] { return far->end_.has_value(); }));
    EXPECT_TRUE(far->received == pattern(90'000)) << far->received.size();
    EXPECT_EQ(far->end_, End::closed);
    scene.expect_idle();
}

TEST(RelayEnds, IdleRelayWhoseSidesDoNotCloseIsReset) {
    Scene scene;
    scene.config.listeners[0].idle_timeout_ms = 2000;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Peer* far = nullptr;
    Peer& near = scene.upgraded(scene.client(), server, far);
    EXPECT_TRUE(scene.run(3, [&] { return near.fin && far->fin; }));
    // Neither side finishes, one goes on sending: that does not keep the relay.
    for (int i = 0; i < 100 && !near.end_; ++i) {
        far->send("x");
        near.send("y");
        scene.run(0.1);
    }
    EXPECT_EQ(near.end_, End::reset);
    EXPECT_EQ(far->end_, End::reset);
    scene.expect_idle();
    EXPECT_EQ(scene.closing().reason, CloseReason::idle_timeout);
}

TEST(RelayEnds, DeadPeerIsGivenUp) {
    Scene scene;
    scene.config.listeners[0].idle_timeout_ms = scene.config.backends[0].idle_timeout_ms = 7'200'000;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Station& client = scene.client();
    Peer* far = nullptr;
    scene.upgraded(client, server, far);
    scene.network.set_link(balancer_mac, {.loss = 1});
    far->send("into the void");
    scene.run(1);
    LinkOptions back = scene.link;
    scene.network.set_link(balancer_mac, back);
    scene.network.set_link(client.mac(), {.loss = 1});
    EXPECT_TRUE(scene.run(3600, [&] { return far->end_.has_value(); }));
    EXPECT_EQ(far->end_, End::reset);
    scene.expect_idle();
    const RelayEvent closed = scene.closing();
    EXPECT_EQ(closed.reason, CloseReason::retransmission_timeout);
    EXPECT_EQ(closed.closer, Closer::client);
}

TEST(RelayEnds, ShutdownResetsEverything) {
    Scene scene;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Peer* far = nullptr;
    Peer& near = scene.upgraded(scene.client(), server, far);
    Peer& waiting = scene.client(2).connect(http_port);
    scene.run(1);
    SnapshotBuilder dead = scene.config;  // a relay that is parked: its server does not exist
    dead.servers[0].address = Station::address_of(true, 77);
    ASSERT_TRUE(scene.balancer->reload(dead));
    Peer& parked = scene.client(3).connect(http_port);
    parked.send(upgrade_request("/"));
    scene.run(1);
    scene.balancer->abort_all(scene.network.now());
    EXPECT_EQ(scene.balancer->leftovers(), "");
    scene.run(1);
    for (Peer* peer : {&near, far, &waiting, &parked}) EXPECT_EQ(peer->end_, End::reset);
    size_t closed = 0;
    for (const RelayEvent& event : scene.balancer->events())
        closed += event.kind == RelayEventKind::closed && event.reason == CloseReason::shutdown ? 1 : 0;
    EXPECT_EQ(closed, 3u);
}

TEST(RelayLimits, SlowReaderBoundsTheMemoryAndLosesNothing) {
    for (const bool slow_client : {true, false}) {
        Scene scene;
        scene.start();
        Station& server = scene.server(1, only_upgrade);
        Peer* far = nullptr;
        Peer& near = scene.upgraded(scene.client(), server, far);
        Peer& reader = slow_client ? near : *far;
        Peer& writer = slow_client ? *far : near;
        reader.pause();
        scene.chunk_bytes_most = 0;
        writer.send(pattern(3'000'000));
        writer.shutdown();
        scene.run(30);
        EXPECT_GT(scene.chunk_bytes_most, 32'000u);
        EXPECT_LT(scene.chunk_bytes_most, 2u * scene.config.dataplane.send_queue_bytes);
        reader.resume();
        EXPECT_TRUE(scene.run(60, [&] { return reader.fin; }));
        EXPECT_TRUE(reader.received == pattern(3'000'000));
        reader.shutdown();
        scene.expect_idle();
    }
}

TEST(RelayLimits, SlowHeadsCostOneBufferEach) {
    Scene scene;
    scene.start();
    scene.server();
    Station& client = scene.client();
    for (int i = 0; i < 20; ++i)
        client.connect(http_port).send("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(16'000, 'a'));
    scene.run(1);
    EXPECT_LE(scene.chunk_bytes_most, 20u * (16'512 + 512));
    scene.expect_idle(20);  // 408 for all of them
    for (const auto& peer : client.peers()) EXPECT_EQ(status_of(peer->received), 408);
}

TEST(RelayLimits, EarlyBytesOfAnUpgradeAreBounded) {
    Scene scene;
    scene.start();
    scene.server();
    Peer& peer = scene.client().connect(http_port);
    peer.send(upgrade_request("/") + pattern(1'000'000));
    scene.run(2);
    EXPECT_LE(scene.chunk_bytes_most, 60'000u);
    peer.abort();
    scene.expect_idle();
}

/// Opens connections until the first is refused for want of a record, then some more.
void fill_relay_table(Scene& scene, Station& client, const IpAddress& to) {
    const auto refused = [&] { return scene.balancer->worker_total(&relay::WorkerStats::relays_exhausted); };
    for (int i = 0, more = 20; i < 2000 && more > 0; ++i) {
        client.connect(http_port, {}, to).send(upgrade_request("/"));
        scene.run(0.01);
        if (refused() != 0) --more;
    }
    EXPECT_GT(refused(), 0u);
    scene.run(1);
}

TEST(RelayLimits, FullRelayTableResets) {
    Scene scene;
    scene.config.dataplane.relays_max = 64;
    scene.start();
    scene.server(1, only_upgrade);
    Station& client = scene.client();
    // The RST comes from the address that was called, whichever of ours it is.
    fill_relay_table(scene, client, balancer_v4_second);
    size_t served = 0, reset = 0;
    for (const auto& peer : client.peers()) {
        served += status_of(peer->received) == 101 ? 1 : 0;
        reset += peer->end_ == End::reset ? 1 : 0;
    }
    EXPECT_EQ(served + reset, client.peers().size());
    EXPECT_GE(served, 64u);
    EXPECT_EQ(scene.balancer->worker_total(&relay::WorkerStats::relays_exhausted), reset);
    for (const auto& peer : client.peers()) peer->abort();
    scene.expect_idle();
    Peer& again = client.connect(http_port);
    again.send(upgrade_request("/"));
    EXPECT_TRUE(scene.run(5, [&] { return status_of(again.received) == 101; }));
    again.abort();
    scene.expect_idle();
}

/// One shard with little chunk memory.
void make_memory_short(Scene& scene, uint32_t slabs, uint32_t send_queue_bytes) {
    scene.config.dataplane.chunk_bytes_max = 4 << 20;
    scene.config.dataplane.send_queue_bytes = scene.config.dataplane.send_queue_max_bytes = send_queue_bytes;
    scene.config.dataplane.shard_count = 1;
    scene.config.dataplane.relays_max = 1024;
    scene.options.chunk_bytes = slabs * 65536ull;
}

/// Bulk on several relays with an arena that is far too small for all that their windows promise.
TEST(RelayLimits, ExhaustedChunksLoseNothing) {
    Scene scene;
    make_memory_short(scene, 17, 64 << 10);
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    std::vector<Peer*> readers;
    for (uint8_t i = 1; i <= 24; ++i) {
        Peer* far = nullptr;
        readers.push_back(&scene.upgraded(scene.client(i, 4096), server, far));
        readers.back()->pause();
    }
    // Each window promises 64 KiB.
    for (const auto& peer : server.peers()) {
        peer->send(pattern(300'000));
        peer->shutdown();
    }
    const auto over = [&] { return std::ranges::all_of(readers, [](Peer* p) { return p->fin || p->end_; }); };
    // They read slowly, but they read.
    for (int i = 0; i < 200 && !over(); ++i) {
        scene.run(0.7);
        for (Peer* peer : readers) peer->resume();
        scene.run(0.02);
        for (Peer* peer : readers) peer->pause();
    }
    EXPECT_GT(scene.balancer->worker_total(&relay::WorkerStats::payload_refused_for_memory), 0u);
    EXPECT_EQ(scene.balancer->worker_total(&relay::WorkerStats::relays_reset_for_memory), 0u);
    for (Peer* peer : readers) peer->resume();
    EXPECT_TRUE(scene.run(60, over));
    for (Peer* peer : readers) {
        EXPECT_TRUE(peer->received == pattern(300'000)) << peer->received.size();
        peer->shutdown();
    }
    scene.expect_idle(60);
}

TEST(RelayLimits, WhoReadsNothingGivesWayWhenMemoryIsShort) {
    Scene scene;
    make_memory_short(scene, 65, 256 << 10);
    scene.start();
    Station& server = scene.server(1, echo_upgraded);
    Station& client = scene.client(1);
    Peer* far = nullptr;
    Peer& live = scene.upgraded(client, server, far);
    // Each window promises 256 KiB, and together they take the 4 MiB.
    Station& stopped = scene.client(2);
    for (int i = 0; i < 40; ++i) scene.upgraded(stopped, server, far).pause();
    for (const auto& peer : server.peers())
        if (peer != server.peers().front()) peer->send(pattern(1'000'000));
    for (int i = 0; i < 20; ++i) {
        live.received.clear();
        live.send("still served");
        EXPECT_TRUE(scene.run(0.5, [&] { return live.received == "still served"; })) << i;
        scene.run(0.2);
    }
    const uint64_t reset = scene.balancer->worker_total(&relay::WorkerStats::relays_reset_for_memory);
    EXPECT_GT(reset, 0u);
    EXPECT_LT(reset, 35u) << "no more than was needed";
    Peer* newcomer_far = nullptr;
    scene.upgraded(client, server, newcomer_far).abort();
    size_t told = 0;
    for (const RelayEvent& event : scene.balancer->events())
        if (event.reason == CloseReason::no_memory) told += event.client == stopped.address() ? 1 : 1000;
    EXPECT_EQ(told, reset);
    for (const auto& peer : stopped.peers()) peer->abort();
    live.abort();
    scene.expect_idle();
}

/// They take half a kilobyte every two seconds, so none of them is ever silent for long.
TEST(RelayLimits, WhoDrainsSlowestGivesWayWhenMemoryIsShort) {
    Scene scene;
    make_memory_short(scene, 65, 256 << 10);
    scene.start();
    Station& server = scene.server(1, echo_upgraded);
    Station& client = scene.client(1);
    Station& slow = scene.client(2, 512);
    Station& steady = scene.client(3, 4096);
    Peer* far = nullptr;
    Peer& live = scene.upgraded(client, server, far);
    Peer& honest = scene.upgraded(steady, server, far);
    for (int i = 0; i < 40; ++i) scene.upgraded(slow, server, far).pause();
    for (const auto& peer : server.peers())
        if (peer != server.peers().front()) peer->send(pattern(1'000'000));
    for (int i = 0; i < 20; ++i) {
        for (const auto& peer : slow.peers()) peer->resume();
        scene.run(0.001);
        for (const auto& peer : slow.peers()) peer->pause();
        live.received.clear();
        live.send("still served");
        EXPECT_TRUE(scene.run(0.4, [&] { return live.received == "still served"; })) << i;
        for (int j = 0; j < 4; ++j) {
            scene.run(0.4);
            honest.resume();
            scene.run(0.003);
            honest.pause();
        }
    }
    const uint64_t reset = scene.balancer->worker_total(&relay::WorkerStats::relays_reset_for_memory);
    EXPECT_GT(reset, 0u);
    EXPECT_LT(reset, 35u) << "no more than was needed";
    Peer* newcomer_far = nullptr;
    scene.upgraded(client, server, newcomer_far).abort();
    size_t told = 0;
    for (const RelayEvent& event : scene.balancer->events())
        if (event.reason == CloseReason::no_memory) told += event.client == slow.address() ? 1 : 1000;
    EXPECT_EQ(told, reset);
    EXPECT_GT(honest.received.size(), 100'000u);
    EXPECT_LT(honest.received.size(), 1'000'000u) << "it has waited all the time";
    for (const auto& peer : slow.peers()) peer->abort();
    live.abort();
    honest.abort();
    scene.expect_idle();
}

TEST(RelayLimits, HeadsWithoutAnEndGiveWayWhenMemoryIsShort) {
    Scene scene;
    make_memory_short(scene, 65, 64 << 10);
    scene.start();
    scene.server(1, echo_upgraded);
    Station& client = scene.client(1);
    Station& slow = scene.client(2);
    const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(16'000, 'a');
    for (int i = 0; i < 250; ++i) {
        slow.connect(http_port).send(head);
        scene.run(0.005);
    }
    scene.run(1);
    EXPECT_GT(scene.balancer->worker_total(&relay::WorkerStats::refused_for_memory), 0u);
    EXPECT_GT(scene.balancer->worker_total(&relay::WorkerStats::relays_reset_for_memory), 0u);
    Peer& newcomer = client.connect(http_port);
    newcomer.send(upgrade_request("/"));
    EXPECT_TRUE(scene.run(2, [&] { return status_of(newcomer.received) == 101; }));
    newcomer.abort();
    scene.expect_idle(30);
}

TEST(RelayLimits, ADeviceWithoutRoomHoldsNothingUp) {
    Scene scene;
    scene.options.ring_frames = 1;
    scene.start();
    Station& server = scene.server(1, echo_upgraded);
    Peer* far = nullptr;
    Peer& near = scene.upgraded(scene.client(), server, far);
    near.send(pattern(200'000));
    EXPECT_TRUE(scene.run(60, [&] { return near.received.size() == 200'000; }));
    EXPECT_TRUE(near.received == pattern(200'000));
    near.shutdown();
    scene.expect_idle();
}

TEST(RelayLimits, ManyTimersAtOnceAreCaughtUpWith) {
    Scene scene;
    scene.config.dataplane.relays_max = 65536;
    scene.config.dataplane.shard_count = 1;
    scene.start();
    store::TimerWheel& wheel = scene.balancer->shard(0).wheel;
    const uint64_t due = scene.network.now() / us_per_ms + 300;
    for (uint32_t i = 0; i < 100'000; ++i) ASSERT_TRUE(wheel.schedule(15, 2, due + i % 8));  // of relays long gone
    const auto lag = [&] {
        scene.balancer->publish_gauges();
        return scene.balancer->worker_total(&relay::WorkerStats::timer_lag_ms);
    };
    scene.run(0.32);
    EXPECT_GT(lag(), 2u);
    scene.run(0.1);
    EXPECT_EQ(wheel.size(), 0u);
    EXPECT_LE(lag(), 1u);
}

// A closed window is probed less and less often while each small message makes an ACK wait: two timers, one of them
// far.
TEST(RelayLimits, NearDeadlinesLeaveNoTrailInTheTimerWheel) {
    Scene scene;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Peer* far = nullptr;
    Peer& near = scene.upgraded(scene.client(1, 8192), server, far);
    near.pause();
    far->send(pattern(50'000));
    scene.run(5);
    const auto entries = [&] {
        uint64_t sum = 0;
        for (size_t number = 0; number < scene.balancer->shard_count(); ++number)
            sum += scene.balancer->shard(number).wheel.size();
        return sum;
    };
    uint64_t most = 0;
    for (int i = 0; i < 2000; ++i) {
        near.send("x");
        scene.run(0.05);
        most = std::max(most, entries());
    }
    EXPECT_LT(most, 20u);
    near.resume();
    EXPECT_TRUE(scene.run(120, [&] { return near.received.size() == 50'000 && far->received.size() == 2000; }));
    near.abort();
    scene.expect_idle();
}

TEST(RelayLimits, ATimerWheelWithoutRoomDelaysButDoesNotForget) {
    Scene scene;
    scene.config.dataplane.relays_max = 64;
    scene.config.listeners[0].head_timeout_ms = 3'600'000;
    scene.start();
    Station& server = scene.server(1, only_upgrade);
    Peer* far = nullptr;
    Peer& near = scene.upgraded(scene.client(), server, far);
    scene.run(20);  // its own entries fire
    // Stale entries of relays long gone fill the wheels.
    for (size_t number = 0; number < scene.balancer->shard_count(); ++number) {
        relay::Shard& shard = scene.balancer->shard(number);
        const uint64_t far_away = scene.network.now() / us_per_ms + 10'000'000;
        for (uint32_t i = 0; shard.wheel.schedule(15, 2, far_away + i % 997 * 300); ++i) {
        }
    }
    scene.balancer->expect_exhausted_timers();
    scene.network.set_link(balancer_mac, {.loss = 1});
    near.send("lost at first");
    scene.run(0.1);
    scene.network.set_link(balancer_mac, scene.link);
    EXPECT_TRUE(scene.run(30, [&] { return far->received == "lost at first"; }));
    scene.balancer->publish_gauges();
    EXPECT_GT(scene.balancer->worker_total(&relay::WorkerStats::timers_exhausted), 4u);
    near.abort();
    scene.expect_idle();
}

}  // namespace
}  // namespace millrace::sim
