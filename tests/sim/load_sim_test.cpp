// The load generator against the simulated balancer: what it says of a balancer that loses nothing, on networks that
// lose, delay, reorder, repeat and damage frames.

#include <gtest/gtest.h>

#include "tests/sim/load_scene.h"

namespace millrace::sim {
namespace {

TEST(LoadSim, IdleConnectionsAreAllProvenAlive) {
    LoadScene scene(WorkloadKind::idle);
    scene.settings.hold_s = 2;
    const load::Run& run = scene.run();
    EXPECT_EQ(run.figures().connections.upgraded, 60u);
    EXPECT_EQ(run.figures().connections.proven_alive, 60u);
    EXPECT_EQ(run.messages().received, 120u);
    EXPECT_EQ(run.figures().connect.count(), 60u);
}

TEST(LoadSim, AnIdleConnectionHoldsNoMemoryButItsRecord) {
    LoadScene scene(WorkloadKind::idle);
    scene.link = {};
    scene.settings.hold_s = 5;
    uint64_t held = UINT64_MAX;
    scene.before_event = [&](TimeUs now) {
        const load::Figures& figures = scene.node->run().figures();
        if (figures.work_began != 0 && now < figures.work_began + 5 * us_per_s)
            held = scene.node->run().engine().bytes_under_way();
    };
    scene.run();
    EXPECT_EQ(held, 0u);
}

TEST(LoadSim, EchoOfAllSizes) {
    LoadScene scene(WorkloadKind::echo);
    scene.settings.depth = 3;
    std::string error;
    scene.settings.sizes = *load::Sizes::parse("40-3000", error);
    const load::Run& run = scene.run();
    EXPECT_GT(run.figures().requests_answered, 1000u);
    EXPECT_EQ(run.figures().latency.count(), run.figures().requests_answered);
    EXPECT_GE(run.figures().latency.percentile(50), 400u);  // four links of 100 us
}

TEST(LoadSim, EchoOverIpv6) {
    EXPECT_GT(LoadScene(WorkloadKind::echo, true).run().figures().requests_answered, 1000u);
}

TEST(LoadSim, PushesAtARateReachEverybodyEvenly) {
    LoadScene scene(WorkloadKind::push);
    scene.settings.rate = 3000;
    const load::Run& run = scene.run();
    EXPECT_EQ(run.figures().pushes_arrived, 3000u);
    for (uint32_t i = 0; i < 60; ++i) {
        // Each order has everybody once: nobody is more than one push ahead of another.
        const uint32_t sent = scene.node->run().engine().pool(load::Role::server).at(i).sent;
        EXPECT_NEAR(sent, static_cast<double>(run.figures().pushes_arrived) / 60, 1.01) << i;
    }
}

TEST(LoadSim, PushesToASubsetReachNobodyElse) {
    LoadScene scene(WorkloadKind::push);
    scene.settings.rate = 3000;
    scene.settings.subset = 10;
    scene.run();
    uint32_t reached = 0;
    for (uint32_t i = 0; i < 60; ++i)
        reached += scene.node->run().engine().pool(load::Role::server).at(i).sent != 0 ? 1 : 0;
    EXPECT_EQ(reached, 10u);
}

/// While the balancer's link is down, what is due waits; its latency counts from when it was due.
TEST(LoadSim, LatencyOfPushesCountsFromTheirSchedule) {
    LoadScene scene(WorkloadKind::push);
    scene.settings.rate = 1000;
    scene.link = {};
    bool down = false;
    scene.before_event = [&](TimeUs now) {
        const TimeUs began = scene.node->run().figures().work_began;
        const bool wanted = began != 0 && now > began + 300'000 && now < began + 800'000;
        if (wanted == down) return;
        down = wanted;
        LinkOptions link;
        link.loss = down ? 1 : 0;
        scene.network.set_link(balancer_mac, link);
    };
    const load::Run& run = scene.run();
    EXPECT_EQ(run.figures().pushes_arrived, 1000u);
    EXPECT_GT(run.figures().latency.max(), 400'000u);
    EXPECT_GT(run.figures().latency.percentile(70), 50'000u);
}

TEST(LoadSim, TheBellReachesEveryConnectionOnce) {
    LoadScene scene(WorkloadKind::bell);
    const load::Run& run = scene.run();
    EXPECT_EQ(run.figures().pushes_arrived, 60u);
    EXPECT_EQ(run.figures().bell_drain_us, run.figures().latency.max());
    EXPECT_GT(run.figures().bell_drain_us, 0u);
}

TEST(LoadSim, StormsOfBothEndings) {
    for (const bool by_reset : {false, true}) {
        LoadScene scene(WorkloadKind::storm);
        scene.settings.connections = 20;
        scene.settings.close_by_reset = by_reset;
        const load::Run& run = scene.run();
        EXPECT_GT(run.figures().sessions, 100u);
        EXPECT_EQ(run.figures().sessions, run.figures().connections.asked);
    }
}

TEST(LoadSim, StormAtARate) {
    LoadScene scene(WorkloadKind::storm);
    scene.settings.rate = 100;
    scene.link = {};
    EXPECT_NEAR(static_cast<double>(scene.run().figures().sessions), 100, 2);
}

TEST(LoadSim, BulkBothWays) {
    LoadScene scene(WorkloadKind::bulk);
    scene.settings.connections = 4;
    scene.settings.sizes = load::Sizes(50'000);
    const load::Run& run = scene.run();
    EXPECT_GT(run.figures().bulk_arrived, 20u);
    EXPECT_EQ(run.messages().bytes, run.figures().bulk_arrived * 50'000);
}

TEST(LoadSim, MixOfPushesAndAStorm) {
    LoadScene scene(WorkloadKind::mix);
    scene.settings.rate = 1000;
    scene.settings.ramp_rate = 200;
    const load::Run& run = scene.run();
    EXPECT_EQ(run.figures().pushes_arrived, 1000u);
    EXPECT_GT(run.figures().sessions, 100u);
}

TEST(LoadSim, ASilentBalancerIsToldOf) {
    LoadScene scene(WorkloadKind::idle);
    load::Settings& settings = scene.settings;
    settings.targets = {{IpAddress::v4(198, 18, 9, 9), http_port}};
    LoadNode node(settings, 64, scene.network.now());
    scene.network.attach(node, load_mac, {});
    EXPECT_TRUE(scene.network.run(scene.network.now() + 60 * us_per_s, [&] { return node.run().over(); }));
    EXPECT_FALSE(node.run().succeeded());
    EXPECT_NE(node.run().figures().trouble.find("no answer"), std::string::npos);
}

}  // namespace
}  // namespace millrace::sim
