// The real millrace-control process: one per instance, what it leaves behind, what a kill can't take, privileges.
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/stat.h>

#include "program.h"
#include "running_control.h"

extern char** environ;

namespace millrace::control::test {
namespace {

/// A running millrace-control; killed at the end of its life if it still lives.
class Process {
  public:
    explicit Process(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), MILLRACE_CONTROL);
        std::vector<char*> pointers;
        for (std::string& argument : arguments) pointers.push_back(argument.data());
        pointers.push_back(nullptr);
        posix_spawn(&pid_, MILLRACE_CONTROL, nullptr, nullptr, pointers.data(), environ);
    }
    ~Process() {
        if (pid_ > 0) end(SIGKILL);
    }
    pid_t pid() const { return pid_; }
    void signal(int number) const { kill(pid_, number); }
    /// The exit code; -signal when it was killed.
    int end(int number) {
        if (number != 0) signal(number);
        int status = 0;
        waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    std::string status_field(const std::string& name) const {
        std::ifstream file("/proc/" + std::to_string(pid_) + "/status");
        for (std::string line; std::getline(file, line);)
            if (line.starts_with(name + ":\t")) return line.substr(name.size() + 2);
        return "";
    }

  private:
    pid_t pid_ = -1;
};

class ProcessTest : public testing::Test {
  protected:
    ProcessTest() { run_.write_config(SampleConfig().text()); }
    std::vector<std::string> arguments() const { return {"--instance", "test", "--config", run_.config_path()}; }
    static bool answers() {
        return eventually([] { return ctl("status").exit_code == 0; }, 10'000);
    }
    static json servers() { return json::parse(ctl("--json show servers").out, nullptr, false)["servers"]; }

    TempRun run_;
};

TEST_F(ProcessTest, UsageAndCheck) {
    EXPECT_EQ(run_command(MILLRACE_CONTROL).exit_code, 2);
    EXPECT_EQ(run_command(MILLRACE_CONTROL " --nonsense --config x").exit_code, 2);
    EXPECT_EQ(run_command(MILLRACE_CONTROL " --instance ../x --config x").exit_code, 2);
    EXPECT_EQ(run_command(MILLRACE_CONTROL " --check --config " + run_.config_path()).exit_code, 0);
    EXPECT_EQ(run_command(MILLRACE_CONTROL " --check --config /nonexistent").exit_code, 1);
    run_.write_config("schema = 2\n");
    const Result bad = run_command(MILLRACE_CONTROL " --check --config " + run_.config_path());
    EXPECT_EQ(bad.exit_code, 1);
    EXPECT_NE(bad.err.find(run_.config_path() + ":1:"), std::string::npos) << bad.err;
    EXPECT_EQ(run_command(MILLRACE_CONTROL " --instance test --config " + run_.config_path()).exit_code, 1);
}

TEST_F(ProcessTest, OverridesSurviveAKill) {
    json before;
    {
        Process control(arguments());
        ASSERT_TRUE(answers());
        EXPECT_EQ(ctl("server weight quotes/a 3").exit_code, 0);
        EXPECT_EQ(ctl("server disable quotes/b").exit_code, 0);
        before = servers();
        EXPECT_EQ(before[0]["weight"], 3);
        EXPECT_EQ(control.end(SIGKILL), -SIGKILL);
    }
    EXPECT_EQ(ctl("status").exit_code, 1);
    Process control(arguments());
    ASSERT_TRUE(answers());
    EXPECT_EQ(servers(), before);
    EXPECT_EQ(control.end(SIGTERM), 0);
    EXPECT_TRUE(std::filesystem::exists(run_.control_directory() + "/config"));
    EXPECT_TRUE(std::filesystem::exists(run_.control_directory() + "/commands"));
    EXPECT_FALSE(std::filesystem::exists(run_.control_directory() + "/admin.sock"));
}

TEST_F(ProcessTest, ASecondOneIsRefusedAndTheFirstGoesOn) {
    Process first(arguments());
    ASSERT_TRUE(answers());
    const Result second = run_command(MILLRACE_CONTROL " --instance test --config " + run_.config_path());
    EXPECT_EQ(second.exit_code, 1);
    EXPECT_NE(second.err.find("is running"), std::string::npos) << second.err;
    EXPECT_EQ(ctl("status").exit_code, 0);
    EXPECT_EQ(first.end(SIGINT), 0);
}

TEST_F(ProcessTest, HangupReloads) {
    Process control(arguments());
    ASSERT_TRUE(answers());
    run_.write_config("schema = 1\nnonsense = 1\n");
    control.signal(SIGHUP);
    EXPECT_TRUE(
        eventually([] { return json::parse(ctl("--json status").out)["control"]["config_error"].is_string(); }));
    EXPECT_EQ(servers().size(), 2u);
    run_.write_config(SampleConfig{.servers = "abc"}.text());
    control.signal(SIGHUP);
    EXPECT_TRUE(eventually([] { return servers().size() == 3; }));
}

TEST_F(ProcessTest, EndsWhileAClientFollowsEvents) {
    Process control(arguments());
    ASSERT_TRUE(answers());
    Result followed;
    std::thread follower([&] { followed = ctl("events --follow"); });
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(control.end(SIGTERM), 0);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(3));
    follower.join();
    EXPECT_EQ(followed.exit_code, 1);
}

TEST_F(ProcessTest, LeavesRootBehind) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    Process control(arguments());
    ASSERT_TRUE(answers());
    const std::string uids = control.status_field("Uid");
    EXPECT_EQ(uids.find("0\t"), std::string::npos) << uids;
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
        EXPECT_EQ(control.status_field(set), "0000000000000000") << set;
    EXPECT_EQ(control.status_field("NoNewPrivs"), "1");
    EXPECT_EQ(control.status_field("Groups"), " ");
    struct stat directory, file;
    ASSERT_EQ(stat(run_.directory().c_str(), &directory), 0);
    EXPECT_EQ(directory.st_mode & 07777, 0750u);
    EXPECT_EQ(directory.st_uid, 0u);
    ASSERT_EQ(stat(run_.control_directory().c_str(), &directory), 0);
    EXPECT_EQ(directory.st_mode & 07777, 02750u);
    EXPECT_NE(directory.st_uid, 0u);
    for (const char* name : {"config", "commands"}) {
        ASSERT_EQ(stat((run_.control_directory() + '/' + name).c_str(), &file), 0);
        EXPECT_EQ(file.st_mode & 07777, 0640u) << name;
        EXPECT_NE(file.st_uid, 0u);
        EXPECT_EQ(file.st_gid, directory.st_gid);
    }
    ASSERT_EQ(stat((run_.control_directory() + "/admin.sock").c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 07777, 0660u);
    EXPECT_EQ(file.st_gid, directory.st_gid);
    run_.write_config(SampleConfig{.servers = "abc"}.text());
    EXPECT_EQ(ctl("config reload").exit_code, 0);
    EXPECT_EQ(servers().size(), 3u);
}

// The first run of a machine that has no user millrace-control yet leaves files of nobody's behind.
TEST_F(ProcessTest, AnotherUserTakesOverItsPredecessorsFiles) {
    if (geteuid() != 0 || getpwnam("nobody") == nullptr || getpwnam("daemon") == nullptr)
        GTEST_SKIP() << "needs root and two users";
    const auto run_as = [&](const char* user) {
        std::vector<std::string> all = arguments();
        all.insert(all.end(), {"--user", user});
        return std::make_unique<Process>(all);
    };
    {
        const auto first = run_as("nobody");
        ASSERT_TRUE(answers());
        EXPECT_EQ(ctl("server drain quotes/a").exit_code, 0);
        EXPECT_EQ(first->end(SIGTERM), 0);
    }
    const auto second = run_as("daemon");
    ASSERT_TRUE(answers());
    EXPECT_EQ(servers()[0]["state"], "drain") << "an override";
    EXPECT_EQ(ctl("server enable quotes/a").exit_code, 0);
    run_.write_config(SampleConfig{.servers = "abc"}.text());
    EXPECT_EQ(ctl("config reload").exit_code, 0);
    struct stat file {};
    for (const char* name : {"config", "commands", "lock"}) {
        ASSERT_EQ(stat((run_.control_directory() + '/' + name).c_str(), &file), 0);
        EXPECT_EQ(file.st_uid, getpwnam("daemon")->pw_uid) << name;
    }
}

}  // namespace
}  // namespace millrace::control::test
