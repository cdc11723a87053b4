// The dataplane's files in a run directory of their own: who may have it, what is made, what is read and followed.
#include "dataplane/app/instance.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <sched.h>
#include <set>
#include <sys/mount.h>
#include <unistd.h>

#include "abi/snapshot_samples.h"
#include "app/run_directory.h"

namespace millrace::app {
namespace {

class InstanceTest : public test::RunDirectoryTest {
  protected:
    // What root mounts here is for this process alone.
    static void SetUpTestSuite() {
        private_ =
            geteuid() != 0 || (unshare(CLONE_NEWNS) == 0 && mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    }
    ~InstanceTest() override { umount2(path("regions").c_str(), MNT_DETACH | UMOUNT_NOFOLLOW); }

    void acquire() { ASSERT_TRUE(instance_.acquire(error_)) << error_; }

    static inline bool private_ = false;
    Instance instance_{"test"};
    std::string error_;
};

TEST_F(InstanceTest, IsHadByOneDataplane) {
    acquire();
    EXPECT_EQ(mode("lock"), 0600u);
    {
        Instance second("test");
        EXPECT_FALSE(second.acquire(error_));
        EXPECT_EQ(error_, "another millrace-dataplane of instance 'test' is running (it holds " + path("lock") + ")");
        Instance other("test2");
        EXPECT_TRUE(other.acquire(error_)) << "instances run side by side";
    }
    Instance third("test");
    EXPECT_FALSE(third.acquire(error_)) << "a refused one takes no lock away";
}

TEST_F(InstanceTest, IsFreeAgainWhenItsDataplaneEnds) {
    {
        Instance first("test");
        ASSERT_TRUE(first.acquire(error_));
    }
    EXPECT_TRUE(instance_.acquire(error_)) << error_;
}

// The directory was the dataplane's own user's; a root that follows links of that user would open anything for it.
TEST_F(InstanceTest, FollowsNoLinks) {
    std::filesystem::create_directories(path(""));
    std::filesystem::create_symlink(base_ + "/elsewhere", path("lock"));
    EXPECT_FALSE(instance_.acquire(error_));
    EXPECT_FALSE(std::filesystem::exists(base_ + "/elsewhere"));

    if (!private_) GTEST_SKIP() << "no mount namespace to be had";
    std::filesystem::create_directories(base_ + "/target");
    std::filesystem::create_symlink(base_ + "/target", path("regions"));
    EXPECT_FALSE(instance_.create_regions(millrace::test::sample_snapshot().dataplane, error_));
    EXPECT_EQ(error_, path("regions") + ": is not a directory");
    EXPECT_TRUE(std::filesystem::is_empty(base_ + "/target"));
}

// ---- stats and events ----

class SharedFilesTest : public InstanceTest {
  protected:
    SharedFilesTest() {
        acquire();
        EXPECT_TRUE(instance_.create_shared_files(3, 2'000'000'000, error_)) << error_;
    }
};

TEST_F(SharedFilesTest, AreReadableByTheGroup) {
    EXPECT_EQ(mode("stats"), 0640u);
    EXPECT_EQ(mode("events"), 0640u);
    const SharedFile events =
        SharedFile::join(path("events"), events_magic, sizeof(EventsHeader), events_file_bytes(3), false, error_);
    ASSERT_TRUE(events) << error_;
    EXPECT_EQ(reinterpret_cast<const EventsHeader*>(events.data())->worker_count, 3u);
}

TEST_F(SharedFilesTest, DescribeThemselves) {
    const SharedFile file =
        SharedFile::join(path("stats"), stats_magic, sizeof(StatsHeader), sizeof(StatsHeader), false, error_);
    ASSERT_TRUE(file) << error_;
    const auto& header = *reinterpret_cast<const StatsHeader*>(file.data());
    EXPECT_EQ(header.worker_count, 3u);
    EXPECT_EQ(header.tsc_hz, 2'000'000'000u);
    EXPECT_EQ(header.pid, static_cast<uint32_t>(getpid()));
    EXPECT_EQ(header.relay_record_bytes, sizeof(relay::Relay));
    EXPECT_NE(header.start_unix_us, 0u);
    EXPECT_EQ(header.config_error[0], '\0');
    EXPECT_LE(header.worker_offset + header.worker_count * header.worker_stride, file.size());
    EXPECT_LE(sizeof(StatsHeader) + header.descriptor_count * sizeof(StatDescriptor), header.worker_offset);
    for (const StatScopeLayout& scope : header.scopes)
        EXPECT_LE(scope.offset + uint64_t{scope.stride} * scope.slots, header.worker_stride);

    instance_.stats_block(2).servers[server_slot_max - 1].open = 4711;
    const StatScopeLayout& servers = header.scopes[static_cast<size_t>(StatScope::server)];
    const auto descriptors = std::span(stat_descriptors(file.data()), header.descriptor_count);
    const auto open = std::ranges::find_if(descriptors, [](const StatDescriptor& d) {
        return d.scope == StatScope::server && std::string_view(d.name) == "open";
    });
    ASSERT_NE(open, descriptors.end());
    uint64_t value;
    std::memcpy(&value,
                file.data() + header.worker_offset + 2 * header.worker_stride + servers.offset +
                    uint64_t{server_slot_max - 1} * servers.stride + open->offset,
                sizeof value);
    EXPECT_EQ(value, 4711u);
}

TEST_F(SharedFilesTest, DescribeEveryWordOnce) {
    const StatsHeader& header = instance_.stats();
    const auto* file = reinterpret_cast<const std::byte*>(&header);
    std::map<StatScope, std::set<std::string>> names;
    std::map<StatScope, std::set<uint32_t>> words;
    for (const StatDescriptor& d : std::span(stat_descriptors(file), header.descriptor_count)) {
        ASSERT_LT(d.scope, StatScope::count);
        ASSERT_LE(d.kind, StatKind::histogram);
        ASSERT_NE(std::memchr(d.name, 0, sizeof d.name), nullptr);
        ASSERT_NE(std::memchr(d.unit, 0, sizeof d.unit), nullptr);
        const std::string name = d.name;
        EXPECT_NE(name, "");
        EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_"), name.npos) << name;
        EXPECT_NE(d.unit[0], '\0') << name;
        EXPECT_EQ(name.ends_with("_total"), d.kind == StatKind::counter) << name;
        EXPECT_TRUE(names[d.scope].insert(name).second) << name << " stands twice";
        EXPECT_EQ(d.offset % 8, 0u) << name;
        const uint32_t count = d.kind == StatKind::histogram ? histogram_bucket_count : 1;
        EXPECT_LE(d.offset + 8 * count, header.scopes[static_cast<size_t>(d.scope)].stride) << name;
        for (uint32_t i = 0; i < count; ++i)
            EXPECT_TRUE(words[d.scope].insert(d.offset + 8 * i).second) << name << " overlaps another value";
    }
    for (const StatScope scope : {StatScope::listener, StatScope::backend, StatScope::server})
        EXPECT_EQ(words[scope].size() * 8, header.scopes[static_cast<size_t>(scope)].stride) << "a value has no name";
    EXPECT_EQ((words[StatScope::worker].size() + 1) * 8, sizeof(relay::WorkerStats))
        << "a value (but the drops for no reason) has no name";
}

TEST_F(SharedFilesTest, ChangeHandsAndGo) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    std::filesystem::create_directory(path("regions"));
    const ServiceUser user{"somebody", 12345, 54321};
    ASSERT_TRUE(instance_.give_files_to(user, error_)) << error_;
    for (const char* name : {"", "lock", "stats", "events", "regions"}) {
        struct stat status {};
        ASSERT_EQ(stat(path(name).c_str(), &status), 0);
        EXPECT_EQ(status.st_uid, 12345u) << name;
        EXPECT_EQ(status.st_gid, 54321u) << name;
    }
    instance_.remove_files();
    EXPECT_FALSE(std::filesystem::exists(path("stats")));
    EXPECT_FALSE(std::filesystem::exists(path("events")));
    std::filesystem::remove(path("regions"));
    EXPECT_FALSE(instance_.give_files_to(user, error_)) << "they are gone";
}

// ---- regions ----

TEST_F(InstanceTest, MakesARegionForEveryShard) {
    if (!private_) GTEST_SKIP() << "no mount namespace to be had";
    acquire();
    const DataplaneRecord settings = millrace::test::sample_snapshot().dataplane;
    ASSERT_TRUE(instance_.create_regions(settings, error_)) << error_;
    EXPECT_EQ(mode("regions"), 0700u);
    ASSERT_EQ(instance_.regions().size(), 4u);
    for (uint32_t shard = 0; shard < 4; ++shard) {
        EXPECT_EQ(mode("regions/shard-" + std::to_string(shard)), 0600u);
        EXPECT_EQ(instance_.regions()[shard].shard(), shard);
        EXPECT_FALSE(instance_.regions()[shard].section(store::SectionKind::relays).empty());
    }
    instance_.regions().clear();
    ASSERT_TRUE(instance_.create_regions(settings, error_)) << "what an earlier one left behind: " << error_;
    instance_.remove_files();
    EXPECT_TRUE(std::filesystem::is_empty(path("regions")));
    instance_.regions().clear();
}

// ---- config ----

TEST_F(InstanceTest, ReadsTheConfiguration) {
    acquire();
    EXPECT_EQ(instance_.read_config(error_), std::nullopt);
    EXPECT_EQ(error_, control_path("config") + ": No such file or directory");
    EXPECT_FALSE(instance_.config_changed());

    const std::vector<std::byte> bytes = millrace::test::sample_snapshot().build(1);
    place("config", bytes);
    EXPECT_TRUE(instance_.config_changed());
    EXPECT_EQ(instance_.read_config(error_), bytes);
    EXPECT_FALSE(instance_.config_changed());

    place("config", bytes);
    EXPECT_TRUE(instance_.config_changed()) << "another file, whatever it holds";
    instance_.read_config(error_);
    std::filesystem::remove(control_path("config"));
    EXPECT_FALSE(instance_.config_changed()) << "the old one stays in force";
}

// Else the supervisor would complain of the same file twenty times a second.
TEST_F(InstanceTest, LooksOnceAtAConfigurationThatItCannotRead) {
    acquire();
    place("config", std::vector<std::byte>(snapshot_bytes_max + 1));
    EXPECT_TRUE(instance_.config_changed());
    EXPECT_EQ(instance_.read_config(error_), std::nullopt);
    EXPECT_EQ(error_, control_path("config") + ": not a snapshot (no file, or too large)");
    EXPECT_FALSE(instance_.config_changed());

    std::filesystem::rename(control_path("config"), control_path("config.real"));
    std::ofstream(control_path("config.real")) << "something new";
    std::filesystem::create_symlink(control_path("config.real"), control_path("config"));
    EXPECT_TRUE(instance_.config_changed());
    EXPECT_EQ(instance_.read_config(error_), std::nullopt) << "a link";
    EXPECT_FALSE(instance_.config_changed());

    std::filesystem::remove(control_path("config"));
    std::filesystem::create_directory(control_path("config"));
    EXPECT_TRUE(instance_.config_changed());
    EXPECT_EQ(instance_.read_config(error_), std::nullopt) << "a directory";
    EXPECT_FALSE(instance_.config_changed());
}

// ---- commands ----

class CommandsTest : public InstanceTest {
  protected:
    CommandsTest() { acquire(); }

    /// What control does at its start; `word` tells one file from the next.
    void publish_commands(uint64_t word) {
        std::filesystem::create_directories(control_path(""));
        SharedFile file = SharedFile::create(control_path("commands"), commands_magic, offsetof(CommandsFile, servers),
                                             sizeof(CommandsFile), 0640, error_);
        ASSERT_TRUE(file) << error_;
        reinterpret_cast<CommandsFile*>(file.data())->servers[0].word = word;
        ASSERT_TRUE(file.publish());
    }
};

TEST_F(CommandsTest, AreFollowedAsTheyComeAndGo) {
    EXPECT_EQ(instance_.follow_commands(), nullptr);
    publish_commands(1);
    const CommandsFile* first = instance_.follow_commands();
    ASSERT_NE(first, nullptr);
    EXPECT_EQ(first->servers[0].word, 1u);
    EXPECT_EQ(instance_.follow_commands(), first);

    publish_commands(2);
    const CommandsFile* second = instance_.follow_commands();
    ASSERT_NE(second, first);
    EXPECT_EQ(second->servers[0].word, 2u);
    EXPECT_EQ(first->servers[0].word, 1u) << "mapped until every worker has left it";
    instance_.release_old_commands();
    EXPECT_EQ(instance_.follow_commands(), second);

    std::filesystem::remove(control_path("commands"));
    EXPECT_EQ(instance_.follow_commands(), second) << "its states go on to hold";
    publish_commands(3);
    const CommandsFile* third = instance_.follow_commands();
    ASSERT_NE(third, nullptr);
    EXPECT_EQ(third->servers[0].word, 3u);
}

TEST_F(CommandsTest, AreNotFollowedIntoNonsense) {
    publish_commands(1);
    const CommandsFile* first = instance_.follow_commands();
    ASSERT_NE(first, nullptr);
    place("commands", std::vector<std::byte>(100));
    EXPECT_EQ(instance_.follow_commands(), first);
    place("commands", std::vector<std::byte>(sizeof(CommandsFile)));
    EXPECT_EQ(instance_.follow_commands(), first);
    EXPECT_EQ(first->servers[0].word, 1u);
}

}  // namespace
}  // namespace millrace::app
