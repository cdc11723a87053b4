// Two hosts of our own TCP over a simulated bad network. Each case runs from a seed, with every byte compared and every
// invariant checked after every event; a failure prints the seed. RFC 9293, RFC 5681, RFC 6298, RFC 7323.
#include <cstdlib>
#include <gtest/gtest.h>

#include "tests/sim/two_hosts.h"

namespace millrace::sim {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Runs `body` for each seed and stops at the first that fails. MILLRACE_SIM_SEEDS and MILLRACE_SIM_SEED choose how
/// many and the first, for long runs and to replay one.
void for_seeds(uint64_t count, const std::function<void(World&)>& body) {
    const uint64_t first = from_environment("MILLRACE_SIM_SEED", 1);
    count = from_environment("MILLRACE_SIM_SEEDS", count);
    for (uint64_t seed = first; seed < first + count && !testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        World world(seed);
        body(world);
    }
}

/// A network and settings drawn from the world's seed.
void make_weather(World& world) {
    Random& random = world.random;
    world.link = bad_weather(random);
    world.link.corrupt_only_ip = false;
    if (random.chance(0.3)) world.use_v6();
    for (HostOptions* options : {&world.client_options, &world.server_options}) {
        options->tcp.timestamps = random.chance(0.7);
        options->tcp.sack = random.chance(0.7);
        if (random.chance(0.3)) options->tcp.congestion_control = tcp::CongestionControl::newreno;
        options->tcp.window_scale = static_cast<uint8_t>(random.below(8));
        options->tcp.receive_window_bytes = static_cast<uint32_t>(random.between(4000, 200'000));
        options->receive_buffer_bytes = options->tcp.receive_window_bytes;
        options->send_queue_bytes = static_cast<uint32_t>(random.between(4000, 200'000));
        options->credit_max = static_cast<uint32_t>(random.between(1, 64));
        options->erratic_space = random.chance(0.2);
        if (random.chance(0.25)) options->iss_near = tcp::Seq{0};
        options->tcp.syn_retries = 12;
        options->tcp.syn_ack_retries = 12;
        options->tcp.rto_max_us = 8'000'000;
    }
    world.to_server.write_bytes = random.between(1, 20'000);
    world.to_client.write_bytes = random.between(1, 2000);
}

TEST(TcpSim, BulkBothWaysInAnyWeather) {
    NetworkTotals seen;
    tcp::Counters counted;
    for_seeds(100, [&](World& world) {
        make_weather(world);
        world.set_sizes(256 * 1024, 256 * 1024);
        world.start();
        world.expect_finished(1200);
        seen.lost += world.network.totals().lost;
        seen.reordered += world.network.totals().reordered;
        seen.corrupted += world.network.totals().corrupted;
        counted.fast_retransmits += world.client->counters().fast_retransmits;
        counted.rto_timeouts += world.client->counters().rto_timeouts;
        counted.out_of_order_in += world.client->counters().out_of_order_in;
        counted.duplicate_data_in += world.client->counters().duplicate_data_in;
    });
    // The cases are only worth what they meet.
    EXPECT_GT(std::min<uint64_t>({seen.lost, seen.reordered, seen.corrupted, counted.fast_retransmits,
                                  counted.rto_timeouts, counted.out_of_order_in, counted.duplicate_data_in}),
              0u);
}

TEST(TcpSim, SmallPushesInAnyWeather) {
    for_seeds(50, [](World& world) {
        make_weather(world);
        world.set_sizes(500, 64 * 1024);
        world.to_client.write_bytes = 128;
        world.start();
        world.expect_finished(1200);
    });
}

TEST(TcpSim, CleanNetworkNeedsNoRetransmission) {
    for_seeds(10, [](World& world) {
        world.set_sizes(256 * 1024, 256 * 1024);
        world.link.delay_us = world.random.between(10, 50'000);
        world.start();
        world.expect_finished(60);
        EXPECT_EQ(world.client->counters().retransmitted_segments, 0u);
        EXPECT_EQ(world.server->counters().retransmitted_segments, 0u);
        EXPECT_EQ(world.client->counters().duplicate_data_in, 0u);
        EXPECT_EQ(world.server->counters().out_of_window_in, 0u);
    });
}

// RFC 9293 §3.6.1: the client closes its direction first and goes on receiving.
TEST(TcpSim, HalfCloseKeepsTheOtherDirectionOpen) {
    for_seeds(20, [](World& world) {
        make_weather(world);
        world.set_sizes(10'000, 128 * 1024);
        world.start();
        world.server_application->paused = true;
        EXPECT_TRUE(world.run(300, [&] { return world.server_application->fin_seen; }));
        world.server_application->paused = false;
        world.server_application->pump(*world.server, world.server_application->socket);
        world.expect_finished(1200);
    });
}

// RFC 9293 §3.6 case 3: both FINs cross.
TEST(TcpSim, SimultaneousClose) {
    World world(1);
    world.set_sizes(0, 0);
    world.to_server.close_after_send = world.to_client.close_after_send = false;
    world.start();
    EXPECT_TRUE(world.run(5, [&] { return world.server_application->opened; }));
    world.client->shutdown(world.client_application->socket);
    world.server->shutdown(world.server_application->socket);
    world.expect_finished(5);
    EXPECT_EQ(world.client->counters().time_wait_entered, 1u);
    EXPECT_EQ(world.server->counters().time_wait_entered, 1u);
}

// RFC 9293 §3.8.6.1: a reader that stops for an hour of lossy network loses neither the connection nor a byte.
TEST(TcpSim, ZeroWindowIsProbedWithoutEnd) {
    for_seeds(20, [](World& world) {
        make_weather(world);
        world.set_sizes(256 * 1024, 1000);
        world.start();
        EXPECT_TRUE(world.run(300, [&] { return world.server_application->received > 0; }));
        world.server->set_reading(world.server_application->socket, false);
        EXPECT_FALSE(world.run(3600, [] { return false; }));
        EXPECT_FALSE(world.client_application->ended);
        EXPECT_GT(world.client->counters().window_probes, 20u);
        world.server->set_reading(world.server_application->socket, true);
        world.expect_finished(1200);
    });
}

// A consumer that breaks its promise acknowledges nothing: the bytes come again.
TEST(TcpSim, RefusedBytesAreSentAgain) {
    for_seeds(20, [](World& world) {
        make_weather(world);
        world.set_sizes(64 * 1024, 64 * 1024);
        world.start();
        EXPECT_TRUE(world.run(300, [&] { return world.server_application->received > 0; }));
        world.server->set_refusing(true);
        world.client->set_refusing(true);
        world.run(2, [] { return false; });
        world.server->set_refusing(false);
        world.client->set_refusing(false);
        world.expect_finished(1200);
    });
}

// Chunks that run out cost throughput, never bytes: send() takes less, out-of-order payload is dropped.
TEST(TcpSim, ExhaustedChunksLoseNothing) {
    uint64_t exhausted = 0;
    for_seeds(20, [&](World& world) {
        make_weather(world);
        for (HostOptions* options : {&world.client_options, &world.server_options}) {
            options->arena_bytes = 8 * store::ChunkStore::slab_bytes;
            options->send_queue_bytes = 1 << 20;
        }
        world.set_sizes(256 * 1024, 256 * 1024);
        world.start();
        world.expect_finished(2400);
        exhausted += world.client->counters().send_chunks_exhausted + world.client->counters().reassembly_dropped;
    });
    EXPECT_GT(exhausted, 0u);
}

// Nothing of a connection lies outside its record and chunks: both processes die again and again.
TEST(TcpSim, ConnectionsSurviveTheirProcess) {
    for_seeds(20, [](World& world) {
        make_weather(world);
        world.set_sizes(128 * 1024, 128 * 1024);
        world.start();
        EXPECT_TRUE(world.run(300, [&] { return world.server_application->opened; }));
        for (uint64_t mark = 1; mark < 16; ++mark) {
            EXPECT_TRUE(world.run(1200, [&] { return world.server_application->received >= mark * 8192; }));
            world.server->restart();
            world.client->restart();
        }
        world.expect_finished(1200);
    });
}

TEST(TcpSim, ConnectionToADeadPeerTimesOut) {
    World world(1);
    world.set_sizes(100'000, 0);
    world.client_options.tcp.retries_max = 6;
    world.start();
    EXPECT_TRUE(world.run(10, [&] { return world.server_application->received > 0; }));
    LinkOptions cut = world.link;
    cut.loss = 1;
    world.network.set_link(server_mac, cut);
    EXPECT_TRUE(world.run(600, [&] { return world.client_application->ended; }));
    EXPECT_EQ(world.client_application->end, End::timed_out);
    EXPECT_EQ(world.client->chunk_bytes(), 0u);
    world.expect_sound();
}

TEST(TcpSim, ConnectToAClosedPortIsRefused) {
    World world(1);
    world.start();
    EXPECT_TRUE(world.run(10, [&] { return world.client_application->ended; }));
    *world.client_application = Transfer(world.to_server);
    world.client->connect(server_v4, 444, 50001);
    EXPECT_TRUE(world.run(10, [&] { return world.client_application->ended; }));
    EXPECT_EQ(world.client_application->end, End::refused);
    world.expect_sound();
}

TEST(TcpSim, ConnectToSilenceTimesOut) {
    World world(1);
    world.link.loss = 1;
    world.start();
    EXPECT_TRUE(world.run(300, [&] { return world.client_application->ended; }));
    EXPECT_EQ(world.client_application->end, End::timed_out);
    EXPECT_EQ(world.client->counters().syn_retransmissions, 7u);
}

// RFC 9293 §3.10.5: an abort reaches the peer as a reset.
TEST(TcpSim, AbortResetsThePeer) {
    World world(1);
    world.set_sizes(100'000, 100'000);
    world.start();
    EXPECT_TRUE(world.run(10, [&] { return world.server_application->received > 0; }));
    world.client->abort(world.client_application->socket);
    EXPECT_TRUE(world.run(10, [&] { return world.server_application->ended; }));
    EXPECT_EQ(world.server_application->end, End::reset);
    EXPECT_EQ(world.client->chunk_bytes() + world.server->chunk_bytes(), 0u);
    world.expect_sound();
}

// RFC 6191: the same ports again and again, while the side that closed first is still in TIME_WAIT.
TEST(TcpSim, PortsAreReusedFromTimeWait) {
    for_seeds(20, [](World& world) {
        make_weather(world);
        world.client_options.tcp.timestamps = world.server_options.tcp.timestamps = true;
        world.set_sizes(5000, 5000);
        world.start();
        world.expect_finished(1200);
        for (int round = 0; round < 5 && !testing::Test::HasFailure(); ++round) {
            *world.client_application = Transfer(world.to_server);
            *world.server_application = Transfer(world.to_client);
            world.client->connect(world.server_options.address, port, 50000);
            world.expect_finished(1200);
        }
    });
}

// RFC 9293 §3.5, case of simultaneous open: no listener anywhere, two SYNs cross.
TEST(TcpSim, SimultaneousOpen) {
    World world(1);
    world.set_sizes(20'000, 20'000);
    world.link.delay_us = 10'000;
    world.client_application = std::make_unique<Transfer>(world.to_server);
    world.server_application = std::make_unique<Transfer>(world.to_client);
    world.client = std::make_unique<Host>(world.client_options, *world.client_application);
    world.server = std::make_unique<Host>(world.server_options, *world.server_application);
    world.network.attach(*world.client, client_mac, world.link);
    world.network.attach(*world.server, server_mac, world.link);
    world.client->connect(server_v4, 443, 50000);
    world.server->connect(client_v4, 50000, 443);
    world.expect_finished(30);
}

}  // namespace
}  // namespace millrace::sim
