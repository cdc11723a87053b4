// Publishing: generations, no-ops, what survives a restart, and what a changed owner of a slot must not inherit.
#include "control/publisher.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "control/config/load.h"
#include "control/servers.h"
#include "temp_run.h"

namespace millrace::control::test {
namespace {

Config config_of(const SampleConfig& sample) {
    SystemResolver resolver;
    LoadResult loaded = load_config_text(sample.text(), "test", resolver);
    for (const Diagnostic& diagnostic : loaded.diagnostics) ADD_FAILURE() << to_string(diagnostic);
    return loaded.config;
}

const SlotIsIdle all_idle = [](SlotKind, uint16_t) { return true; };

class PublisherTest : public testing::Test {
  protected:
    void open(Publisher& publisher) { ASSERT_TRUE(publisher.open(run_.control_directory(), error_)) << error_; }
    PublishOutcome publish(Publisher& publisher, const SampleConfig& sample, uint64_t generation_min = 0) {
        return publisher.publish(config_of(sample), all_idle, generation_min, error_);
    }
    static uint16_t slot_of(const Publisher& publisher, const std::string& name) {
        for (const ServerView& server : servers_of(*publisher.published()))
            if (server.name == name) return server.slot;
        return no_slot;
    }

    TempRun run_;
    std::string error_;
};

TEST_F(PublisherTest, CountsGenerationsAndKnowsTheSame) {
    Publisher publisher;
    open(publisher);
    EXPECT_EQ(publisher.published(), nullptr);
    EXPECT_TRUE(publisher.made_commands());
    EXPECT_EQ(publish(publisher, {}), PublishOutcome::published) << error_;
    EXPECT_EQ(publisher.generation(), 1u);
    EXPECT_EQ(publish(publisher, {}), PublishOutcome::unchanged);
    EXPECT_EQ(publish(publisher, {.servers = "abc"}), PublishOutcome::published);
    EXPECT_EQ(publisher.generation(), 2u);
    EXPECT_EQ(publish(publisher, {.servers = "ab"}, 40), PublishOutcome::published);
    EXPECT_EQ(publisher.generation(), 41u) << "beyond what a dataplane has in force";
    for (const char* name : {"config", "commands"}) {
        struct stat status;
        ASSERT_EQ(stat((run_.control_directory() + '/' + name).c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 07777, 0640u) << name;
    }
}

TEST_F(PublisherTest, ARestartFindsSlotsGenerationAndStates) {
    uint16_t slot_a, slot_b;
    {
        Publisher publisher;
        open(publisher);
        publish(publisher, {});
        slot_a = slot_of(publisher, "a");
        slot_b = slot_of(publisher, "b");
        publisher.set_server(slot_a, {AdminState::drain, ProbeState::up, 7, 3});
        publisher.set_server(slot_b, {AdminState::enabled, ProbeState::down, ServerControl::weight_of_snapshot, 0});
    }
    Publisher publisher;
    open(publisher);
    EXPECT_FALSE(publisher.made_commands());
    EXPECT_EQ(publish(publisher, {}), PublishOutcome::unchanged);
    EXPECT_EQ(publisher.generation(), 1u);
    EXPECT_EQ(slot_of(publisher, "a"), slot_a);
    EXPECT_EQ(publisher.server(slot_a).admin, AdminState::drain);
    EXPECT_EQ(publisher.server(slot_a).weight, 7);
    EXPECT_EQ(publisher.server(slot_a).reset_count, 3u);
    EXPECT_EQ(publisher.server(slot_b).probe, ProbeState::down);
    EXPECT_EQ(publish(publisher, {.servers = "abc"}), PublishOutcome::published);
    EXPECT_EQ(publisher.server(slot_a).weight, 7) << "and a reload";
}

TEST_F(PublisherTest, TheNextOwnerOfASlotInheritsNothing) {
    Publisher publisher;
    open(publisher);
    publish(publisher, {.servers = "ab"});
    const uint16_t slot = slot_of(publisher, "b");
    publisher.set_server(slot, {AdminState::disabled, ProbeState::down, 0, 1});
    publish(publisher, {.servers = "a"});
    publisher.acknowledge();
    publish(publisher, {.servers = "ac"});
    ASSERT_EQ(slot_of(publisher, "c"), slot);
    const ServerControl::Value value = publisher.server(slot);
    EXPECT_EQ(value.admin, AdminState::enabled);
    EXPECT_EQ(value.probe, ProbeState::unknown);
    EXPECT_EQ(value.weight, ServerControl::weight_of_snapshot);
}

TEST_F(PublisherTest, FreshWordsCarryNoOverride) {
    Publisher publisher;
    open(publisher);
    EXPECT_EQ(publisher.server(4).weight, ServerControl::weight_of_snapshot);
}

TEST_F(PublisherTest, ARestartKnowsWhatIsInForce) {
    {
        Publisher publisher;
        open(publisher);
        publish(publisher, {.servers = "ab"});
        publisher.acknowledge();
        publish(publisher, {.servers = "ac"});
    }
    Publisher publisher;
    open(publisher);
    EXPECT_EQ(publisher.generation(), 2u);
    ASSERT_NE(publisher.snapshot(), nullptr);
    EXPECT_EQ(publisher.snapshot()->generation(), 1u);
    EXPECT_TRUE(publisher.knows(1));
    EXPECT_TRUE(publisher.knows(2));
    EXPECT_FALSE(publisher.knows(3));
    publish(publisher, {.servers = "ad"});
    EXPECT_EQ(slot_of(publisher, "d"), 3) << "b has 1 and c may get 2";
    publish(publisher, {.servers = "ab"});
    EXPECT_EQ(slot_of(publisher, "b"), 1) << "as it has in force";
    publisher.acknowledge();
    publisher.show_published();
    EXPECT_EQ(publisher.snapshot()->generation(), 4u);
    EXPECT_FALSE(publisher.knows(1));
    EXPECT_EQ(read_snapshot(run_.control_directory() + "/config.in_force")->view.generation(), 4u);
}

TEST_F(PublisherTest, InvalidFilesOfAPredecessorCountAsNone) {
    std::ofstream(run_.control_directory() + "/config") << "nonsense";
    std::ofstream(run_.control_directory() + "/commands") << "nonsense";
    Publisher publisher;
    open(publisher);
    EXPECT_TRUE(publisher.made_commands());
    EXPECT_EQ(publisher.published(), nullptr);
    EXPECT_EQ(publish(publisher, {}), PublishOutcome::published);
}

TEST_F(PublisherTest, AFailedWriteLeavesTheOldInForce) {
    Publisher publisher;
    open(publisher);
    publish(publisher, {});
    // Something that can't be replaced by a file stands in the way, also for root.
    std::filesystem::create_directory(run_.control_directory() + "/config.new");
    EXPECT_EQ(publish(publisher, {.servers = "abc"}), PublishOutcome::failed);
    EXPECT_NE(error_.find("config.new"), std::string::npos) << error_;
    EXPECT_EQ(publisher.generation(), 1u);
    EXPECT_EQ(servers_of(*publisher.published()).size(), 2u);
    std::filesystem::remove(run_.control_directory() + "/config.new");
    EXPECT_EQ(publish(publisher, {.servers = "abc"}), PublishOutcome::published);
}

TEST(Servers, HostOfAProbe) {
    Config config = config_of({});
    ServerView server{"quotes", "a", IpAddress::v4(198, 18, 0, 10), 8080, 0, 1};
    EXPECT_EQ(health_check_of(config, server)->host, "198.18.0.10:8080");
    server.port = 80;
    EXPECT_EQ(health_check_of(config, server)->host, "198.18.0.10");
    config.backends[0].servers[0].host = "2001:db8::1";
    EXPECT_EQ(health_check_of(config, server)->host, "[2001:db8::1]");
    config.backends[0].health->host = "ticker.example.com";
    EXPECT_EQ(health_check_of(config, server)->host, "ticker.example.com");
    config.backends[0].health.reset();
    EXPECT_FALSE(health_check_of(config, server).has_value());
}

TEST(Servers, ProbesSpeakTlsWhereTheBackendDoes) {
    Config config = config_of({});
    const ServerView server{"quotes", "a", IpAddress::v4(198, 18, 0, 10), 443, 0, 1};
    EXPECT_FALSE(health_check_of(config, server)->tls) << "without TLS toward its servers";
    EXPECT_EQ(health_check_of(config, server)->host, "198.18.0.10:443");
    config.backends[0].tls.emplace();
    EXPECT_TRUE(health_check_of(config, server)->tls);
    EXPECT_EQ(health_check_of(config, server)->host, "198.18.0.10");
    config.backends[0].health->tls = false;
    EXPECT_FALSE(health_check_of(config, server)->tls);
}

}  // namespace
}  // namespace millrace::control::test
