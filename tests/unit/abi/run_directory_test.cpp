// Owners, modes and locks of the run directory's parts, as root and as an ordinary user.
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <millrace/run_directory.h>

namespace millrace {
namespace {

class RunDirectoryTest : public testing::Test {
  protected:
    RunDirectoryTest() {
        char name[] = "/tmp/millrace-abi-XXXXXX";
        base_ = mkdtemp(name);
        setenv("MILLRACE_RUN", (base_ + "/run").c_str(), 1);
    }
    ~RunDirectoryTest() override {
        unsetenv("MILLRACE_RUN");
        std::filesystem::remove_all(base_);
    }

    /// Takes a part and lets go of it again.
    bool take(RunPart part, const char* instance = "a") {
        const int lock = take_run_directory(instance, part, error_);
        if (lock >= 0) close(lock);
        return lock >= 0;
    }
    static struct stat status(const std::string& path) {
        struct stat status {};
        EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
        return status;
    }
    static unsigned mode(const std::string& path) { return status(path).st_mode & 07777; }

    std::string base_;
    std::string error_;
    const ServiceUser somebody_{"somebody", 12345, 54321};
};

TEST_F(RunDirectoryTest, IsFoundByTheInstancesName) {
    EXPECT_EQ(run_directory("a"), base_ + "/run/a");
    EXPECT_EQ(run_directory("a", RunPart::control), base_ + "/run/a/control");
    EXPECT_EQ(run_directory("a", RunPart::dataplane), base_ + "/run/a/dataplane");
    unsetenv("MILLRACE_RUN");
    EXPECT_EQ(run_directory("a"), "/run/millrace/a");
}

TEST_F(RunDirectoryTest, IsOfNoUseToOthers) {
    for (const RunPart part : {RunPart::dataplane, RunPart::control}) ASSERT_TRUE(take(part)) << error_;
    EXPECT_EQ(mode(base_ + "/run"), 0755u);
    EXPECT_EQ(mode(run_directory("a")), 0750u);
    EXPECT_EQ(status(run_directory("a")).st_uid, geteuid());
    for (const RunPart part : {RunPart::control, RunPart::dataplane}) {
        EXPECT_EQ(mode(run_directory("a", part)), 02750u);
        EXPECT_EQ(status(run_directory("a", part)).st_uid, geteuid());
        EXPECT_EQ(mode(run_directory("a", part) + "/lock"), 0600u);
    }
}

// The two processes of an instance start at once, and neither waits for what the other makes.
TEST_F(RunDirectoryTest, IsOpenToTheOtherProcessFromTheFirstMoment) {
    const std::string parent = base_ + "/run";
    std::atomic<bool> done = false, looking = false;
    std::set<unsigned> seen;
    std::thread other([&] {
        while (!done) {
            struct stat status {};
            if (lstat(parent.c_str(), &status) == 0) seen.insert(status.st_mode & 07777);
            looking = true;
        }
    });
    while (!looking) std::this_thread::yield();
    for (int i = 0; i < 300; ++i) {
        EXPECT_TRUE(take(RunPart::control)) << error_;
        std::filesystem::remove_all(parent);
    }
    done = true;
    other.join();
    EXPECT_FALSE(seen.empty());
    for (const unsigned mode : seen) EXPECT_EQ(mode, 0755u) << std::oct << mode;
}

TEST_F(RunDirectoryTest, IsRepaired) {
    ASSERT_TRUE(take(RunPart::control)) << error_;
    for (const std::string& path : {run_directory("a"), run_directory("a", RunPart::control)})
        ASSERT_EQ(chmod(path.c_str(), 0777), 0);
    ASSERT_TRUE(take(RunPart::control)) << error_;
    EXPECT_EQ(mode(run_directory("a")), 0750u);
    EXPECT_EQ(mode(run_directory("a", RunPart::control)), 02750u);
}

TEST_F(RunDirectoryTest, WhatStandsInTheWayIsTold) {
    ASSERT_TRUE(take(RunPart::control)) << error_;
    std::ofstream(base_ + "/run/b") << "in the way";
    EXPECT_FALSE(take(RunPart::control, "b"));
    EXPECT_EQ(error_, base_ + "/run/b: is not a directory");
    std::filesystem::create_symlink(base_, run_directory("a", RunPart::dataplane));
    EXPECT_FALSE(take(RunPart::dataplane)) << "a link, wherever it leads";
}

TEST_F(RunDirectoryTest, APartHasOneProcess) {
    const int lock = take_run_directory("a", RunPart::control, error_);
    ASSERT_GE(lock, 0) << error_;
    ASSERT_TRUE(hand_over_run_directory("a", RunPart::control, somebody_, error_)) << error_;
    EXPECT_FALSE(take(RunPart::control));
    EXPECT_EQ(error_,
              "another millrace-control of instance 'a' is running (it holds " + base_ + "/run/a/control/lock)");
    const uid_t owner = geteuid() == 0 ? somebody_.uid : geteuid();
    EXPECT_EQ(status(run_directory("a", RunPart::control)).st_uid, owner) << "nothing was taken from it";
    EXPECT_TRUE(take(RunPart::dataplane)) << error_;
    EXPECT_TRUE(take(RunPart::control, "b")) << error_;
    close(lock);
    EXPECT_TRUE(take(RunPart::control)) << error_;
}

TEST_F(RunDirectoryTest, IsHandedOverWithWhatAnotherUserLeft) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    ASSERT_TRUE(take(RunPart::control)) << error_;
    const std::string part = run_directory("a", RunPart::control);
    const auto make = [&](const std::string& path) {
        std::ofstream(path) << "left";
        ASSERT_EQ(chown(path.c_str(), 2000, 3000), 0);
    };
    make(part + "/commands");
    make(base_ + "/alien");
    std::filesystem::create_hard_link(base_ + "/alien", part + "/second-name");
    std::filesystem::create_symlink(base_ + "/alien", part + "/link");
    ASSERT_EQ(chown(part.c_str(), 2000, 3000), 0);

    const int lock = take_run_directory("a", RunPart::control, error_);
    ASSERT_GE(lock, 0) << error_;
    EXPECT_EQ(status(part).st_uid, 0u) << "nobody else's during the start";
    ASSERT_TRUE(hand_over_run_directory("a", RunPart::control, somebody_, error_)) << error_;
    close(lock);
    for (const std::string& path : {part, part + "/lock", part + "/commands"}) {
        EXPECT_EQ(status(path).st_uid, somebody_.uid) << path;
        EXPECT_EQ(status(path).st_gid, somebody_.gid) << path;
    }
    EXPECT_EQ(mode(part), 02750u);
    EXPECT_EQ(status(base_ + "/alien").st_uid, 2000u) << "it may be anybody's";
}

TEST(ServiceUser, FallsBackToNobodyAndNeverIsRoot) {
    const auto user = service_user("millrace-no-such-user");
    ASSERT_TRUE(user.has_value());
    EXPECT_EQ(user->name, "nobody");
    EXPECT_NE(user->uid, 0u);
    EXPECT_FALSE(service_user("root").has_value());
}

}  // namespace
}  // namespace millrace
