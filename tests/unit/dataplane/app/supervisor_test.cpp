// The supervisor in front of workers that the test plays: what it hands over, what it waits for, what it says.
#include "dataplane/app/supervisor.h"

#include <chrono>
#include <csignal>
#include <functional>
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

#include "app/run_directory.h"
#include "config/compiled.h"

namespace millrace::app {
namespace {

using config::RuntimeConfig;

class SupervisorTest : public test::RunDirectoryTest {
  protected:
    SupervisorTest() {
        std::string error;
        EXPECT_TRUE(instance_.acquire(error)) << error;
        EXPECT_TRUE(instance_.create_shared_files(2, 1, error)) << error;
        place("config", builder_.build(1));
        auto config = RuntimeConfig::compile(*instance_.read_config(error), nullptr, error);
        supervisor_ = std::make_unique<Supervisor>(instance_, std::move(config), orders_,
                                                   [this](uint16_t polling) { return share_out(polling); });
    }
    ~SupervisorTest() override {
        supervisor_->stop();
        supervisor_.reset();
    }

    /// The orders are handed over by another thread, within its interval of 50 ms.
    static bool soon(const std::function<bool()>& condition) {
        for (int i = 0; i < 400 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        return condition();
    }
    uint64_t generation() { return instance_.stats().generation.load(); }
    uint64_t ordered(size_t worker) { return orders_[worker].config.load()->snapshot().generation(); }
    void take_over(size_t worker) { orders_[worker].round_done.store(orders_[worker].round.load()); }

    /// As a worker does when it is told to: until `pause` is taken back.
    void stand_still(size_t worker) { orders_[worker].paused = true; }
    uint32_t share_out(uint16_t polling) {
        still_at_move_ = orders_[0].paused && orders_[1].paused && orders_[0].pause && orders_[1].pause;
        moved_to_ = polling;
        return 2;
    }

    std::atomic<uint16_t> moved_to_ = 0;
    std::atomic<bool> still_at_move_ = false;
    SnapshotBuilder builder_ = millrace::test::sample_snapshot();
    Instance instance_{"test"};
    std::array<port::Orders, 2> orders_;
    std::unique_ptr<Supervisor> supervisor_;
};

TEST_F(SupervisorTest, KeepsTheHeartbeat) {
    EXPECT_EQ(generation(), 1u);
    EXPECT_TRUE(soon([&] { return instance_.stats().heartbeat_us.load() != 0; }));
    const uint64_t before = instance_.stats().heartbeat_us.load();
    EXPECT_TRUE(soon([&] { return instance_.stats().heartbeat_us.load() != before; }));
}

TEST_F(SupervisorTest, TellsOfAConfigurationWhenEveryWorkerHasIt) {
    const RuntimeConfig* old = orders_[1].config.load();
    builder_.listeners[0].idle_timeout_ms = 5;
    place("config", builder_.build(2));
    ASSERT_TRUE(soon([&] { return orders_[0].round.load() == 1 && orders_[1].round.load() == 1; }));
    EXPECT_EQ(ordered(0), 2u);
    EXPECT_EQ(ordered(1), 2u);
    take_over(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(generation(), 1u);
    EXPECT_EQ(old->snapshot().generation(), 1u) << "still in use";
    take_over(1);
    EXPECT_TRUE(soon([&] { return generation() == 2; }));
}

TEST_F(SupervisorTest, RefusesAConfigurationAndSaysWhy) {
    builder_.dataplane.relays_max = 5;
    place("config", builder_.build(2));
    EXPECT_TRUE(soon([&] { return instance_.stats().config_error[0] != 0; }));
    EXPECT_STREQ(instance_.stats().config_error,
                 "\"relays_max\" of [dataplane] changed; that takes effect when millrace-dataplane is restarted");
    EXPECT_EQ(orders_[0].round.load(), 0u);
    EXPECT_EQ(ordered(0), 1u);

    builder_ = millrace::test::sample_snapshot();
    place("config", builder_.build(3));
    ASSERT_TRUE(soon([&] { return orders_[1].round.load() == 1; }));
    EXPECT_STREQ(instance_.stats().config_error, "");
    take_over(0);
    take_over(1);
    EXPECT_TRUE(soon([&] { return generation() == 3; }));
}

// Workers that are told to stop take no more orders, but reset their relays by the configuration that they have.
TEST_F(SupervisorTest, KeepsTheOldConfigurationForWorkersThatStop) {
    const RuntimeConfig* old = orders_[1].config.load();
    place("config", builder_.build(2));
    ASSERT_TRUE(soon([&] { return orders_[1].round.load() == 1; }));
    take_over(0);
    supervisor_->stop();
    const uint64_t heartbeat = instance_.stats().heartbeat_us.load();
    ASSERT_TRUE(soon([&] { return instance_.stats().heartbeat_us.load() != heartbeat; })) << "it waits no more";
    EXPECT_EQ(old->snapshot().generation(), 1u);
    EXPECT_EQ(generation(), 1u) << "not in force in every worker";
}

TEST_F(SupervisorTest, HandsOverTheCommands) {
    std::string error;
    SharedFile file = SharedFile::create(control_path("commands"), commands_magic, offsetof(CommandsFile, servers),
                                         sizeof(CommandsFile), 0640, error);
    ASSERT_TRUE(file && file.publish()) << error;
    ASSERT_TRUE(soon([&] { return orders_[1].round.load() == 1; }));
    EXPECT_NE(orders_[0].commands.load(), nullptr);
    EXPECT_EQ(orders_[1].commands.load(), orders_[0].commands.load());
    take_over(0);
    take_over(1);
}

TEST_F(SupervisorTest, MovesShardsWhileEveryWorkerStandsStill) {
    EXPECT_EQ(orders_[0].polling, 2);
    EXPECT_EQ(instance_.stats().polling_workers.load(), 2u);
    builder_.dataplane.worker_count = 1;
    place("config", builder_.build(2));
    ASSERT_TRUE(soon([&] { return orders_[1].round.load() == 1; }));
    take_over(0);
    EXPECT_FALSE(orders_[0].pause) << "not before each has the configuration";
    take_over(1);
    ASSERT_TRUE(soon([&] { return orders_[0].pause && orders_[1].pause; }));
    stand_still(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(moved_to_, 0) << "one of them may have a burst in hand";
    stand_still(1);
    ASSERT_TRUE(soon([&] { return generation() == 2; }));
    EXPECT_EQ(moved_to_, 1);
    EXPECT_TRUE(still_at_move_);
    EXPECT_FALSE(orders_[0].pause || orders_[1].pause);
    EXPECT_EQ(orders_[0].polling, 1);
    EXPECT_EQ(instance_.stats().polling_workers.load(), 1u);
}

TEST_F(SupervisorTest, StopsThoseThatSleepBeforeThoseThatPoll) {
    builder_.dataplane.worker_count = 1;
    place("config", builder_.build(2));
    ASSERT_TRUE(soon([&] { return orders_[1].round.load() == 1; }));
    for (const size_t worker : {0u, 1u}) {
        take_over(worker);
        stand_still(worker);
    }
    ASSERT_TRUE(soon([&] { return generation() == 2; }));
    for (port::Orders& order : orders_) order.paused = false;
    builder_.dataplane.worker_count = 2;
    place("config", builder_.build(3));
    ASSERT_TRUE(soon([&] { return orders_[1].round.load() == 2; }));
    for (const size_t worker : {0u, 1u}) take_over(worker);
    ASSERT_TRUE(soon([&] { return orders_[1].pause.load(); }));
    EXPECT_FALSE(orders_[0].pause);
    stand_still(1);
    ASSERT_TRUE(soon([&] { return orders_[0].pause.load(); }));
    stand_still(0);
    ASSERT_TRUE(soon([&] { return generation() == 3; }));
    EXPECT_EQ(moved_to_, 2);
}

TEST_F(SupervisorTest, MovesNothingWhenTheWorkersEndMeanwhile) {
    builder_.dataplane.worker_count = 1;
    place("config", builder_.build(2));
    ASSERT_TRUE(soon([&] { return orders_[1].round.load() == 1; }));
    for (const size_t worker : {0u, 1u}) take_over(worker);
    ASSERT_TRUE(soon([&] { return orders_[0].pause && orders_[1].pause; }));
    stand_still(0);
    supervisor_->stop();
    EXPECT_TRUE(soon([&] { return !orders_[0].pause; })) << "or worker 0 would never end";
    EXPECT_EQ(moved_to_, 0);
}

TEST_F(SupervisorTest, StopsTheWorkersOnASignal) {
    kill(getpid(), SIGTERM);
    EXPECT_TRUE(soon([&] { return orders_[0].stop && orders_[1].stop; }));
}

}  // namespace
}  // namespace millrace::app

// Before any thread begins, so that all inherit it.
int main(int argc, char** argv) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
