// millracectl as an operator and a script meet it: exit codes, tables, stable JSON.
#include <gtest/gtest.h>

#include "program.h"
#include "running_control.h"

namespace millrace::control::test {
namespace {

class CliTest : public testing::Test {
  protected:
    CliTest() { run_.write_config(SampleConfig().text()); }
    TempRun run_;
};

TEST_F(CliTest, WrongUsageIsTwo) {
    for (const char* arguments :
         {"", "nonsense", "show", "show nonsense", "server drain", "server drain a", "server drain a/b/c",
          "server drain 'a/b c'", "server weight a/b", "server weight a/b x", "server weight a/b 1001", "config",
          "config check", "show connections --limit 0", "events --replay x", "--nonsense status"})
        EXPECT_EQ(ctl(arguments).exit_code, 2) << arguments;
    EXPECT_EQ(run_command(MILLRACECTL " --instance ../x status").exit_code, 2);
    EXPECT_EQ(ctl("--help").exit_code, 0);
    EXPECT_EQ(ctl("show --help").exit_code, 0);
    EXPECT_EQ(ctl("--version").exit_code, 0);
}

TEST_F(CliTest, NoControlIsOneAndSaysWhatToDo) {
    const Result run = ctl("status");
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_EQ(run.out, "");
    EXPECT_NE(run.err.find("no millrace-control runs for instance test"), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("start it: millrace-control --instance test --config FILE"), std::string::npos);
    EXPECT_EQ(ctl("--socket /nonexistent status").exit_code, 1);
    EXPECT_EQ(ctl("events --follow").exit_code, 1);
}

TEST_F(CliTest, EveryViewAsTableAndAsJson) {
    run_.write_config(SampleConfig{.health = false}.text());
    RunningControl control(run_);
    FakeDataplane dataplane(run_.directory(), [](FakeDataplane& fake, uint32_t worker, const MessageHeader& message,
                                                 std::span<const std::byte>) {
        if (static_cast<MessageType>(message.type) == MessageType::list_connections)
            fake.reply_struct(worker, MessageType::connections, message.request_id, ConnectionsPage{0, 0, 0});
        if (static_cast<MessageType>(message.type) == MessageType::list_neighbours)
            fake.reply_struct(worker, MessageType::neighbours, message.request_id, NeighboursPage{0, 0});
    });
    ASSERT_TRUE(eventually([] { return json::parse(ctl("--json status").out)["dataplane"]["running"] == true; }));
    dataplane.server(0, 0).opened_total = 12;
    dataplane.server(0, 0).connect_time[9] = 12;
    for (const char* view :
         {"status", "show listeners", "show backends", "show servers", "show workers", "show connections",
          "show connections --all", "show neighbours", "show routes", "stats", "config show", "events"}) {
        const Result table = ctl(view);
        EXPECT_EQ(table.exit_code, 0) << view << table.err;
        EXPECT_EQ(table.err, "") << view;
        const Result document = ctl(std::string(view) + " --json");
        EXPECT_EQ(document.exit_code, 0) << view << document.err;
        EXPECT_TRUE(json::parse(document.out, nullptr, false).is_object()) << view << document.out;
    }
    const std::string servers = ctl("show servers").out;
    EXPECT_NE(servers.find("SERVER    ADDRESS           STATE"), std::string::npos) << servers;
    EXPECT_NE(servers.find("quotes/a  198.18.0.10:8080  unknown"), std::string::npos) << servers;
    EXPECT_NE(ctl("stats").out.find("opened_total"), std::string::npos) << ctl("stats").out;
}

TEST_F(CliTest, ServerCommands) {
    RunningControl control(run_);
    const Result drained = ctl("server drain quotes/a");
    EXPECT_EQ(drained.exit_code, 0) << drained.err;
    EXPECT_NE(drained.out.find("drain"), std::string::npos);
    EXPECT_EQ(ctl("server weight quotes/b 0").exit_code, 0);
    json servers = json::parse(ctl("--json show servers").out)["servers"];
    EXPECT_EQ(servers[0]["overrides"], json({"admin"}));
    EXPECT_EQ(servers[1]["weight"], 0);
    EXPECT_EQ(ctl("server reset quotes/b").exit_code, 0);
    EXPECT_EQ(ctl("server enable quotes/a").exit_code, 0);
    servers = json::parse(ctl("--json show servers").out)["servers"];
    EXPECT_EQ(servers[0]["overrides"], json::array());
    EXPECT_EQ(servers[1]["overrides"], json::array());

    const Result unknown = ctl("server drain quotes/zzz");
    EXPECT_EQ(unknown.exit_code, 1);
    EXPECT_NE(unknown.err.find("no server named quotes/zzz"), std::string::npos) << unknown.err;
    const Result refused = ctl("--socket " + run_.control_directory() + "/viewer.sock --json server drain quotes/a");
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_TRUE(json::parse(refused.out, nullptr, false).contains("error")) << refused.out;
}

TEST_F(CliTest, ConfigCommands) {
    RunningControl control(run_);
    const Result good = ctl("config check " + run_.config_path());
    EXPECT_EQ(good.exit_code, 0) << good.err;
    EXPECT_EQ(ctl("config check /nonexistent").exit_code, 1);
    EXPECT_NE(ctl("config reload").out.find("unchanged: generation 1"), std::string::npos);

    run_.write_config(SampleConfig().text() + "nonsense = 1\n");
    const Result bad = ctl("config check " + run_.config_path());
    EXPECT_EQ(bad.exit_code, 1);
    EXPECT_NE(bad.err.find(run_.config_path() + ":"), std::string::npos) << bad.err;
    EXPECT_EQ(json::parse(ctl("--json config check " + run_.config_path()).out)["ok"], false);
    const Result reload = ctl("config reload");
    EXPECT_EQ(reload.exit_code, 1);
    EXPECT_NE(reload.err.find("nonsense"), std::string::npos) << reload.err;
    EXPECT_NE(reload.err.find("the old configuration stays in force"), std::string::npos) << reload.err;

    // What config show prints is a configuration, but for the addresses that names resolved to.
    const std::string shown = ctl("config show").out;
    run_.write_config(shown);
    EXPECT_EQ(ctl("config check " + run_.config_path()).exit_code, 0) << shown;
    EXPECT_NE(ctl("config reload").out.find("unchanged"), std::string::npos) << shown;
}

}  // namespace
}  // namespace millrace::control::test
