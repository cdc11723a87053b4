// Reloads in the controller itself, without API: their thread, and what stands between publishing and being in force.
#include <gtest/gtest.h>
#include <set>
#include <thread>
#include <unistd.h>

#include "control/controller.h"
#include "control/publisher.h"
#include "control/servers.h"
#include "running_control.h"
#include "temp_run.h"

namespace millrace::control::test {
namespace {

// A reload in the background calls the main thread, so the main thread must never wait for one.
TEST(Reload, SignalsInAnyRhythmDontStopTheMainThread) {
    TempRun run;
    run.write_config(SampleConfig().text());
    Controller controller("test", run.config_path());
    std::string error;
    ASSERT_TRUE(controller.open(error)) << error;
    SystemResolver resolver;
    controller.start_with(load_config(run.config_path(), resolver));
    std::atomic<bool> done = false;
    std::thread main_thread([&] {
        for (int i = 0; i < 200'000; ++i) {
            controller.reload_in_background();
            if (i % 16 == 0) controller.turn();
        }
        done = true;
    });
    const bool ended = eventually([&] { return done.load(); }, 20'000);
    if (!ended) _exit(1);  // nothing can be joined any more
    controller.release_callers();
    main_thread.join();
}

// ---- a dataplane that refuses, lags or is dead ----

class RefusedReloadTest : public testing::Test {
  protected:
    RefusedReloadTest() { run_.write_config(SampleConfig().text()); }

    ApiClient client() { return ApiClient(run_.control_directory() + "/admin.sock"); }
    json servers() { return client().get("/v1/servers").body["servers"]; }
    std::string state(size_t server) { return servers()[server]["state"]; }
    json dataplane() { return client().get("/v1/status").body["dataplane"]; }
    Answer reload(const SampleConfig& config) {
        run_.write_config(config.text());
        return client().post("/v1/config/reload");
    }

    /// A dataplane whose servers take connections, all but b.
    std::unique_ptr<FakeDataplane> start_dataplane() {
        auto fake = std::make_unique<FakeDataplane>(run_.directory(), [this](FakeDataplane& self, uint32_t worker,
                                                                             const MessageHeader& message,
                                                                             std::span<const std::byte> data) {
            if (static_cast<MessageType>(message.type) != MessageType::stream_open) return;
            StreamOpen open;
            std::memcpy(&open, data.data(), sizeof open);
            ++streams_;
            if (open.server.bytes[15] == 11)
                self.reply_struct(worker, MessageType::stream_closed, 0, StreamClosed{open.id, StreamEnd::refused, {}});
            else
                self.reply_struct(worker, MessageType::stream_opened, 0, StreamId{open.id});
        });
        return fake;
    }

    TempRun run_;
    std::atomic<unsigned> streams_ = 0;
};

TEST_F(RefusedReloadTest, LeavesProbesStatesAndViewsAsTheyAre) {
    auto control = std::make_unique<RunningControl>(run_);
    auto fake = start_dataplane();
    ASSERT_TRUE(eventually([&] { return state(0) == "up" && state(1) == "down"; }));
    const json config = client().get("/v1/config").body;

    fake->refuse("cores need a restart");
    const Answer refused = reload({.servers = "bc", .health = false});
    EXPECT_EQ(refused.status, 409);
    EXPECT_EQ(refused.body["dataplane"], "refused");
    EXPECT_EQ(servers().size(), 2u);
    EXPECT_EQ(state(0), "up");
    EXPECT_EQ(state(1), "down");
    EXPECT_EQ(client().get("/v1/config").body, config);
    const unsigned before = streams_;
    EXPECT_TRUE(eventually([&] { return streams_ > before + 4; })) << "the probes go on";
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(client().post("/v1/config/reload").body["dataplane"], "refused") << "again";
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));

    // A control that starts meanwhile knows what is in force by its file.
    control.reset();
    control = std::make_unique<RunningControl>(run_);
    EXPECT_EQ(servers().size(), 2u);
    EXPECT_EQ(servers()[0]["name"], "a");
    EXPECT_EQ(state(1), "down");

    // The next dataplane begins with the newest file.
    fake.reset();
    fake = start_dataplane();
    EXPECT_TRUE(eventually([&] { return servers().size() == 2 && servers()[1]["name"] == "c"; }));
    EXPECT_EQ(state(0), "unknown") << "b is not probed any more";
    EXPECT_FALSE(client().get("/v1/config").body["config"]["backend"][0].contains("health"));
}

TEST_F(RefusedReloadTest, TakingItBackIsNoChange) {
    RunningControl control(run_);
    auto fake = start_dataplane();
    ASSERT_TRUE(eventually([&] { return state(0) == "up" && state(1) == "down"; }));
    const json before = servers();
    fake->refuse("no");
    EXPECT_EQ(reload({.servers = "a", .health = false}).status, 409);
    fake->refuse("");
    EXPECT_EQ(reload({}).body["dataplane"], "in_force");
    EXPECT_EQ(state(1), "down");
    EXPECT_EQ(servers()[0]["slot"], before[0]["slot"]);
    EXPECT_EQ(servers()[1]["slot"], before[1]["slot"]);
}

TEST_F(RefusedReloadTest, NewServersGetSlotsAllTheSame) {
    RunningControl control(run_);
    auto fake = start_dataplane();
    ASSERT_TRUE(eventually([&] { return dataplane()["generation"] == 1; }));
    fake->refuse("no");
    for (const char* names : {"abc", "abd", "abde"}) EXPECT_EQ(reload({.servers = names}).body["dataplane"], "refused");
    fake->refuse("");
    EXPECT_EQ(reload({.servers = "abf"}).body["dataplane"], "in_force");
    EXPECT_EQ(servers()[2]["slot"], 5) << "2 to 4 stood in a file that the dataplane might have taken";
    EXPECT_EQ(reload({.servers = "abg"}).body["dataplane"], "in_force");
    EXPECT_EQ(servers()[2]["slot"], 2) << "and are free now";
}

TEST_F(RefusedReloadTest, WithADeadDataplaneNewServersGetSlots) {
    RunningControl control(run_);
    auto fake = start_dataplane();
    ASSERT_TRUE(eventually([&] { return dataplane()["generation"] == 1; }));
    fake->server(0, 1).open = 1;
    fake.reset();
    ASSERT_TRUE(eventually([&] { return dataplane()["running"] == false; }));
    EXPECT_EQ(reload({.servers = "ac"}).body["result"], "published");
    EXPECT_EQ(reload({.servers = "acd"}).body["result"], "published");
    EXPECT_EQ(reload({.servers = "acde"}).body["result"], "published");
    std::set<int> slots;
    for (const json& server : servers()) slots.insert(server["slot"].get<int>());
    EXPECT_EQ(slots, (std::set<int>{0, 2, 3, 4})) << "1 is held by a relay of b";
}

TEST_F(RefusedReloadTest, AGenerationThatNobodyKnowsIsTold) {
    RunningControl control(run_);
    auto fake = start_dataplane();
    ASSERT_TRUE(eventually([&] { return dataplane()["generation"] == 1; }));
    fake->refuse("no");
    fake->header().generation = 77;
    const Answer answer = reload({.servers = "abc"});
    EXPECT_EQ(answer.status, 409);
    EXPECT_NE(answer.body["error"].get<std::string>().find("nothing is known of generation 77"), std::string::npos)
        << answer.body;
}

// ---- names that do not resolve any more ----

class NoResolver final : public Resolver {
  public:
    std::vector<IpAddress> resolve(const std::string&, std::string& error) override {
        error = "no name server answers";
        return {};
    }
};

TEST(LastAddresses, StandInForANameServer) {
    TempRun run;
    std::string text = SampleConfig().text(), error;
    LoadOptions options;
    NoResolver resolver;
    SystemResolver unused;
    const LoadResult first = load_config_text(text, "f", unused, options);
    ASSERT_TRUE(first.ok());
    Publisher publisher;
    ASSERT_TRUE(publisher.open(run.control_directory(), error)) << error;
    ASSERT_EQ(publisher.publish(
                  first.config, [](SlotKind, uint16_t) { return true; }, 0, error),
              PublishOutcome::published);
    const std::string address = "198.18.0.10:8080";
    text.replace(text.find(address), address.size(), "a.example.com:8080");
    EXPECT_FALSE(load_config_text(text, "f", resolver, options).ok());

    options.last_addresses = last_addresses(read_snapshot(run.control_directory() + "/config")->view);
    LoadResult again = load_config_text(text, "f", resolver, options);
    ASSERT_TRUE(again.ok());
    ASSERT_EQ(again.diagnostics.size(), 1u);
    EXPECT_EQ(again.diagnostics[0].message,
              "the name \"a.example.com\" does not resolve: no name server answers; 198.18.0.10 of the configuration "
              "before goes on to be used");
    EXPECT_EQ(again.config.backends[0].servers[0].addresses, std::vector{IpAddress::v4(198, 18, 0, 10)});

    options.last_addresses = last_addresses(again.config.backends);
    EXPECT_TRUE(load_config_text(text, "f", resolver, options).ok());
    text.replace(text.find("a.example.com"), 13, "b.example.com");
    EXPECT_FALSE(load_config_text(text, "f", resolver, options).ok()) << "another host is not the old one";
}

}  // namespace
}  // namespace millrace::control::test
