// Buffers that follow the path: long fat paths are filled, stopped readers hold little, and when all of them want more
// than there is, newcomers are refused and nobody loses a byte.
#include <gtest/gtest.h>

#include "tests/sim/scene.h"

namespace millrace::sim {
namespace {

constexpr uint64_t fat_bits_per_second = 100'000'000;

std::string pattern(size_t length) {
    std::string text(length, ' ');
    for (size_t i = 0; i < length; ++i) text[i] = static_cast<char>(i * 31 + i / 256);
    return text;
}

/// Clients at 50 ms, both ways at 100 Mbit/s: a round trip holds 625 kB.
struct FatScene : Scene {
    FatScene() {
        link.bits_per_second = fat_bits_per_second;
        link.queue_bytes = 512 << 10;
        config.dataplane.send_queue_bytes = 128 << 10;
        config.dataplane.send_queue_max_bytes = 4 << 20;
    }
};

TEST(RelayBuffers, ALongFatPathIsFilledDownward) {
    FatScene scene;
    scene.start();
    const std::string content = pattern(10'000'000);
    scene.server(1, answering(content));
    Peer& near = scene.far_client(1, 49'000).connect(tcp_port);
    near.send("GET / HTTP/1.1\r\n\r\n");
    // At 128 KiB a round trip it would take 4 s.
    EXPECT_TRUE(scene.run(1.9, [&] { return near.received.size() == content.size(); })) << near.received.size();
    EXPECT_TRUE(near.received == content);
    EXPECT_LT(scene.chunk_bytes_most, 3u << 20);
    near.shutdown();
    scene.expect_idle();
}

TEST(RelayBuffers, ALongFatPathIsFilledUpward) {
    FatScene scene;
    scene.start();
    const std::string content = pattern(10'000'000);
    Station& server = scene.server(1);
    Peer& near = scene.far_client(1, 49'000).connect(tcp_port);
    near.send(content);
    const auto complete = [&] {
        return !server.peers().empty() && server.peers()[0]->received.size() == content.size();
    };
    EXPECT_TRUE(scene.run(1.9, complete));
    EXPECT_TRUE(server.peers()[0]->received == content);
    EXPECT_LT(scene.chunk_bytes_most, 2u << 20) << "what the server takes at once is not kept";
    scene.run(20);
    EXPECT_EQ(scene.balancer->chunk_bytes(), 0u) << "an idle relay holds nothing";
    near.abort();
    scene.expect_idle();
}

TEST(RelayBuffers, ThroughLossNothingIsMissing) {
    FatScene scene;
    scene.link.loss = 0.005;
    scene.start();
    const std::string content = pattern(3'000'000);
    scene.server(1, answering(content));
    Peer& near = scene.far_client(1, 49'000).connect(tcp_port);
    near.send("GET / HTTP/1.1\r\n\r\n" + content);
    EXPECT_TRUE(scene.run(120, [&] { return near.received.size() == content.size(); })) << near.received.size();
    EXPECT_TRUE(near.received == content);
    near.shutdown();
    scene.expect_idle(60);
}

TEST(RelayBuffers, AStoppedReaderHoldsLittle) {
    FatScene scene;
    scene.link.delay_us = 200;
    scene.link.bits_per_second = 1'000'000'000;
    scene.start();
    const std::string content = pattern(20'000'000);
    scene.server(1, answering(content));
    Peer& near = scene.client(1, 1 << 20).connect(tcp_port);
    near.send("GET / HTTP/1.1\r\n\r\n");
    ASSERT_TRUE(scene.run(10, [&] { return near.received.size() > 5'000'000; }));
    near.pause();
    scene.run(30);
    EXPECT_LT(scene.chunk_bytes_most, 512u << 10);
    near.resume();
    EXPECT_TRUE(scene.run(30, [&] { return near.received.size() == content.size(); }));
    EXPECT_TRUE(near.received == content);
    near.shutdown();
    scene.expect_idle();
}

TEST(RelayBuffers, ShortMemoryRefusesNewcomersAndLosesNothing) {
    FatScene scene;
    scene.link.bits_per_second = 0;
    scene.config.dataplane.chunk_bytes_max = 4 << 20;
    scene.config.dataplane.shard_count = 1;
    scene.options.chunk_bytes = 65 * 65536ull;  // 4 MiB; one connection alone may grow to as much
    scene.start();
    const std::string content = pattern(5'000'000);
    scene.server(1, answering(content));
    std::vector<Peer*> readers;
    for (int i = 1; i <= 16; ++i) {
        readers.push_back(&scene.far_client(i, 60'000).connect(tcp_port));
        readers.back()->send("GET / HTTP/1.1\r\n\r\n");
    }
    Station& late = scene.client(200);
    const auto over = [&] {
        return std::ranges::all_of(readers, [&](Peer* p) { return p->received.size() == content.size(); });
    };
    for (int i = 0; i < 40 && !over(); ++i) {
        scene.run(0.3);
        if (i % 2 == 1) late.connect(tcp_port);
        for (Peer* reader : readers) i % 2 == 0 ? reader->pause() : reader->resume();
    }
    for (Peer* reader : readers) reader->resume();
    EXPECT_TRUE(scene.run(120, over));
    for (Peer* reader : readers) EXPECT_TRUE(reader->received == content) << reader->received.size();
    EXPECT_GT(scene.chunk_bytes_most, 3u << 20) << "they did want more than there is";
    EXPECT_GT(scene.balancer->worker_total(&relay::WorkerStats::refused_for_memory), 0u);
    EXPECT_EQ(scene.balancer->worker_total(&relay::WorkerStats::relays_reset_for_memory), 0u);
    for (Peer* reader : readers) reader->shutdown();
    for (const auto& peer : late.peers()) peer->abort();
    scene.expect_idle(60);
}

}  // namespace
}  // namespace millrace::sim
