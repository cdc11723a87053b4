// Creating, publishing, replacing and joining shared files, in a temporary directory.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <millrace/shared_file.h>

namespace millrace {
namespace {

constexpr uint64_t magic = 0x1122334455667788;

class SharedFileTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/millrace-abi-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        directory_ = name;
        path_ = directory_ + "/file";
    }
    void TearDown() override { std::filesystem::remove_all(directory_); }

    SharedFile create(uint64_t bytes = 4096) {
        SharedFile file = SharedFile::create(path_, magic, sizeof(SharedFileHeader), bytes, 0640, error_);
        EXPECT_TRUE(file) << error_;
        return file;
    }
    SharedFile join(uint64_t bytes_min = 4096) {
        error_.clear();
        return SharedFile::join(path_, magic, sizeof(SharedFileHeader), bytes_min, false, error_);
    }

    std::string directory_, path_, error_;
};

TEST_F(SharedFileTest, IsInvisibleUntilPublishedThenShared) {
    SharedFile owner = create();
    EXPECT_FALSE(join());
    owner.data()[100] = std::byte{42};
    ASSERT_TRUE(owner.publish());
    SharedFile reader = join();
    ASSERT_TRUE(reader) << error_;
    EXPECT_EQ(reader.data()[100], std::byte{42});
    owner.data()[101] = std::byte{43};
    EXPECT_EQ(reader.data()[101], std::byte{43});
    EXPECT_EQ(reader.header().boot_id, owner.header().boot_id);
    struct stat status;
    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0640u);
    EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

TEST_F(SharedFileTest, AnUnpublishedFileLeavesNothing) {
    { SharedFile owner = create(); }
    EXPECT_TRUE(std::filesystem::is_empty(directory_));
}

TEST_F(SharedFileTest, AReplacedFileIsNoticedAndLivesOn) {
    SharedFile first = create();
    ASSERT_TRUE(first.publish());
    SharedFile reader = join();
    EXPECT_TRUE(reader.is_current());
    SharedFile second = create();
    ASSERT_TRUE(second.publish());
    EXPECT_FALSE(reader.is_current());
    EXPECT_EQ(reader.header().boot_id, first.header().boot_id);
    reader = join();
    ASSERT_TRUE(reader) << error_;
    EXPECT_TRUE(reader.is_current());
    EXPECT_NE(reader.header().boot_id, first.header().boot_id);
    std::filesystem::remove(path_);
    EXPECT_FALSE(reader.is_current());
}

TEST_F(SharedFileTest, RefusesWhatIsNotTheFile) {
    EXPECT_FALSE(join());
    EXPECT_NE(error_.find(path_), std::string::npos) << error_;

    std::ofstream(path_) << "short";
    EXPECT_FALSE(join());
    EXPECT_NE(error_.find("too short"), std::string::npos) << error_;

    SharedFile owner = create();
    ASSERT_TRUE(owner.publish());
    EXPECT_FALSE(join(4097));
    owner.header().magic = magic + 1;
    EXPECT_FALSE(join());
    EXPECT_NE(error_.find("magic"), std::string::npos) << error_;
    owner.header().magic = magic;
    owner.header().abi += 1;
    EXPECT_FALSE(join());
    EXPECT_NE(error_.find("version"), std::string::npos) << error_;
    owner.header().abi -= 1;
    owner.header().header_bytes += 8;
    EXPECT_FALSE(join());
    owner.header().header_bytes -= 8;
    owner.header().total_bytes = 1 << 30;
    EXPECT_FALSE(join());
    EXPECT_NE(error_.find("size"), std::string::npos) << error_;
    owner.header().total_bytes = 4096;
    EXPECT_TRUE(join()) << error_;

    std::filesystem::create_symlink(path_, directory_ + "/link");
    EXPECT_FALSE(SharedFile::join(directory_ + "/link", magic, sizeof(SharedFileHeader), 1, false, error_));
    EXPECT_FALSE(SharedFile::join(directory_, magic, sizeof(SharedFileHeader), 1, false, error_));
}

// Its owner is another process, and counts as hostile.
TEST_F(SharedFileTest, AFileThatIsCutShortReadsAsZeros) {
    survive_truncation();
    SharedFile owner = create(3 * 4096);
    ASSERT_TRUE(owner.publish());
    SharedFile reader = join();
    ASSERT_TRUE(reader) << error_;
    SharedFile moved = std::move(reader);
    owner.data()[100] = owner.data()[8000] = std::byte{42};
    ASSERT_EQ(truncate(path_.c_str(), 4096), 0);
    EXPECT_EQ(moved.data()[100], std::byte{42});
    EXPECT_EQ(moved.data()[8000], std::byte{0});
    EXPECT_EQ(moved.data()[8001], std::byte{0});
    ASSERT_EQ(truncate(path_.c_str(), 0), 0);
    EXPECT_EQ(moved.data()[100], std::byte{0});
    EXPECT_EQ(moved.data()[3 * 4096 - 1], std::byte{0});
    const std::byte* gone = moved.data();
    moved = SharedFile();
    EXPECT_DEATH(std::printf("%d", static_cast<int>(gone[0])), "");
}

// A bus error elsewhere (our own file, say) is not to be healed.
TEST_F(SharedFileTest, AnotherBusErrorStillKills) {
    survive_truncation();
    SharedFile owner = create(2 * 4096);
    ASSERT_EQ(truncate((path_ + ".new").c_str(), 0), 0);
    EXPECT_EXIT(std::printf("%d", static_cast<int>(owner.data()[0])), testing::KilledBySignal(SIGBUS), "");
}

TEST_F(SharedFileTest, AWriterMayJoin) {
    SharedFile owner = create();
    ASSERT_TRUE(owner.publish());
    SharedFile writer = SharedFile::join(path_, magic, sizeof(SharedFileHeader), 4096, true, error_);
    ASSERT_TRUE(writer) << error_;
    writer.data()[200] = std::byte{7};
    EXPECT_EQ(owner.data()[200], std::byte{7});
}

TEST_F(SharedFileTest, MovesItsMapping) {
    SharedFile owner = create();
    ASSERT_TRUE(owner.publish());
    SharedFile moved = std::move(owner);
    EXPECT_TRUE(moved);
    EXPECT_EQ(moved.path(), path_);
    moved = SharedFile();
    EXPECT_FALSE(moved);
}

TEST(InstanceName, Rules) {
    for (const char* good : {"default", "a", "0", "A-b_9", "x23456789012345678901234567890_2"})
        EXPECT_TRUE(valid_instance_name(good)) << good;
    for (const char* bad : {"", "-a", "_a", "a/b", "..", "a.b", "x23456789012345678901234567890123", "a b", "\xc3\xa4"})
        EXPECT_FALSE(valid_instance_name(bad)) << bad;
}

}  // namespace
}  // namespace millrace
