// The load generator's clients with TLS, against the simulated balancer, which speaks it to clients.

#include <algorithm>
#include <gtest/gtest.h>

#include "tests/sim/load_scene.h"
#include "tests/unit/tls/handshake/pki.h"

namespace millrace::sim {
namespace {

using relay::TlsStats;

struct LoadTls : testing::TestWithParam<tls::Version> {
    void use_tls(LoadScene& scene, double resume_share = 0) {
        scene.settings.targets = {{balancer_v4, https_port}};
        scene.settings.tls = load::TlsSettings{
            .version = GetParam(), .resume_share = resume_share, .name = "ticker.test", .ca_pem = tls::authority_pem()};
    }
};
INSTANTIATE_TEST_SUITE_P(Versions, LoadTls, testing::Values(tls::Version::tls12, tls::Version::tls13),
                         [](const auto& of) { return of.param == tls::Version::tls12 ? "Tls12" : "Tls13"; });

const load::HandshakeFigures& handshakes(const load::Run& run) {
    return run.engine().handshakes()->figures();
}

uint64_t of_balancer(LoadScene& scene, Counter TlsStats::*counter) {
    return (scene.balancer->stats().worker.tls.*counter).load();
}

/// Once the run is over, no chunk and no key of any connection is left.
void expect_nothing_left(LoadScene& scene) {
    EXPECT_EQ(scene.node->run().engine().bytes_under_way(), 0u);
    ASSERT_FALSE(scene.node->run().tables().tls_ends.empty());
    for (const load::TlsEnd& end : scene.node->run().tables().tls_ends) {
        const auto* bytes = reinterpret_cast<const uint8_t*>(&end);
        if (!std::all_of(bytes, bytes + sizeof end, [](uint8_t byte) { return byte == 0; }))
            return ADD_FAILURE() << "a slot is not wiped";
    }
}

TEST_P(LoadTls, IdleConnectionsAreAllProvenAlive) {
    LoadScene scene(WorkloadKind::idle);
    use_tls(scene);
    scene.settings.hold_s = 2;
    const load::Run& run = scene.run();
    EXPECT_EQ(run.figures().connections.proven_alive, 60u);
    EXPECT_EQ(handshakes(run).done, 60u);
    EXPECT_EQ(handshakes(run).resumed, 0u);
    EXPECT_EQ(handshakes(run).failed, 0u);
    EXPECT_EQ(handshakes(run).duration.count(), 60u);
    const bool tls13 = GetParam() == tls::Version::tls13;
    EXPECT_GE(handshakes(run).duration.percentile(0), tls13 ? 200u : 400u);  // one round trip, or two
    EXPECT_EQ(of_balancer(scene, tls13 ? &TlsStats::handshakes_tls13 : &TlsStats::handshakes_tls12), 60u);
    EXPECT_EQ(of_balancer(scene, &TlsStats::bad_records), 0u);
    expect_nothing_left(scene);
}

TEST_P(LoadTls, AnIdleConnectionHoldsNoMemoryButItsRecordAndItsKeys) {
    LoadScene scene(WorkloadKind::idle);
    use_tls(scene);
    scene.link = {};
    scene.settings.hold_s = 5;
    uint64_t held = UINT64_MAX;
    scene.before_event = [&](TimeUs now) {
        const load::Figures& figures = scene.node->run().figures();
        if (figures.work_began != 0 && now < figures.work_began + 5 * us_per_s)
            held = scene.node->run().engine().bytes_under_way() + scene.node->run().engine().handshakes()->held();
    };
    scene.run();
    EXPECT_EQ(held, 0u);
}

TEST_P(LoadTls, EchoOfAllSizes) {
    LoadScene scene(WorkloadKind::echo);
    use_tls(scene);
    scene.settings.depth = 3;
    scene.settings.seconds = 0.3;
    std::string error;
    scene.settings.sizes = *load::Sizes::parse("40-3000", error);
    const load::Run& run = scene.run();
    EXPECT_GT(run.figures().requests_answered, 300u);
    EXPECT_EQ(of_balancer(scene, &TlsStats::bad_records), 0u);
    expect_nothing_left(scene);
}

TEST_P(LoadTls, BulkBothWaysInLargeRecords) {
    LoadScene scene(WorkloadKind::bulk);
    use_tls(scene);
    scene.settings.connections = 4;
    scene.settings.seconds = 0.5;
    scene.settings.sizes = load::Sizes(50'000);
    const load::Run& run = scene.run();
    EXPECT_GT(run.figures().bulk_arrived, 20u);
    EXPECT_EQ(run.messages().bytes, run.figures().bulk_arrived * 50'000);
    expect_nothing_left(scene);
}

TEST_P(LoadTls, PushesReachEverybody) {
    LoadScene scene(WorkloadKind::push);
    use_tls(scene);
    scene.settings.rate = 3000;
    EXPECT_EQ(scene.run().figures().pushes_arrived, 3000u);
}

/// close_notify comes before each FIN, so that the balancer sees nothing cut off.
TEST_P(LoadTls, AStormClosesInOrder) {
    LoadScene scene(WorkloadKind::storm);
    use_tls(scene);
    scene.settings.connections = 20;
    const load::Run& run = scene.run();
    EXPECT_GT(run.figures().sessions, 100u);
    EXPECT_EQ(run.figures().sessions, handshakes(run).done);
    EXPECT_EQ(handshakes(run).resumed, 0u);
    EXPECT_EQ(of_balancer(scene, &TlsStats::truncated), 0u);
    expect_nothing_left(scene);
}

TEST_P(LoadTls, EveryHandshakeButTheFirstIsResumed) {
    LoadScene scene(WorkloadKind::storm);
    use_tls(scene, 1);
    scene.link = {};
    scene.settings.rate = 100;
    const load::Run& run = scene.run();
    EXPECT_GT(run.figures().sessions, 50u);
    EXPECT_EQ(handshakes(run).resumed + 1, handshakes(run).done);
    EXPECT_EQ(of_balancer(scene, &TlsStats::handshakes_resumed), handshakes(run).resumed);
    EXPECT_EQ(run.engine().handshakes()->held(), 0u);
}

TEST_P(LoadTls, AShareOfTheHandshakesIsResumed) {
    LoadScene scene(WorkloadKind::storm);
    use_tls(scene, 0.25);
    scene.link = {};
    scene.settings.rate = 100;
    const load::Run& run = scene.run();
    EXPECT_GT(handshakes(run).done, 50u);
    EXPECT_EQ(handshakes(run).resumed, handshakes(run).done / 4);
}

/// While connections are held, a ticket has come, and no SSL object is left.
TEST_P(LoadTls, NoHandshakeOutlivesItsTicket) {
    LoadScene scene(WorkloadKind::idle);
    use_tls(scene, 1);
    scene.settings.hold_s = 2;
    scene.settings.ramp_rate = 100;
    size_t held = SIZE_MAX;
    scene.before_event = [&](TimeUs now) {
        const load::Figures& figures = scene.node->run().figures();
        if (figures.work_began != 0 && now < figures.work_began + 2 * us_per_s)
            held = scene.node->run().engine().handshakes()->held();
    };
    const load::Run& run = scene.run();
    EXPECT_EQ(held, 0u);
    EXPECT_EQ(handshakes(run).done, 60u);
    EXPECT_GT(handshakes(run).resumed, 50u);
}

/// All of them fail; the reason is told.
TEST_P(LoadTls, AServerThatIsNotTrustedIsToldOf) {
    for (const bool by_name : {false, true}) {
        LoadScene scene(WorkloadKind::idle);
        use_tls(scene);
        if (by_name)
            scene.settings.tls->name = "another.test";
        else
            scene.settings.tls->ca_pem = tls::identity(tls::KeyKind::rsa, "another.test").chain_pem;
        const load::Run& run = scene.run(false);
        EXPECT_EQ(handshakes(run).failed, 60u);
        EXPECT_EQ(run.figures().connections.failed, 60u);
        EXPECT_NE(load::summary(run).find("certificate verify failed"), std::string::npos) << load::summary(run);
        expect_nothing_left(scene);
    }
}

TEST_P(LoadTls, AServerWithoutTlsIsToldOf) {
    LoadScene scene(WorkloadKind::idle);
    use_tls(scene);
    scene.settings.targets = {{balancer_v4, http_port}};
    const load::Run& run = scene.run(false);
    EXPECT_EQ(handshakes(run).failed, 60u);
    EXPECT_EQ(handshakes(run).done, 0u);
}

TEST_P(LoadTls, HandshakesThatAreNotAnsweredHaveFailed) {
    LoadScene scene(WorkloadKind::idle);
    use_tls(scene);
    scene.before_event = [&](TimeUs) { scene.balancer->run_crypto(false); };
    EXPECT_EQ(handshakes(scene.run(false)).failed, 60u);
    expect_nothing_left(scene);
}

TEST_P(LoadTls, TheResultTellsOfHandshakes) {
    LoadScene scene(WorkloadKind::idle);
    use_tls(scene);
    const load::Run& run = scene.run();
    EXPECT_NE(load::summary(run).find("handshakes   60 done, 0 of them resumed; 0 failed\n"), std::string::npos)
        << load::summary(run);
    EXPECT_NE(load::json_object(run).find(R"("tls_handshakes":{"done":60,"resumed":0,"failed":0,"us":{"p50":)"),
              std::string::npos)
        << load::json_object(run);
}

}  // namespace
}  // namespace millrace::sim
