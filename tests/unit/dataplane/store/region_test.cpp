#include "dataplane/store/region.h"

#include <cstring>
#include <fcntl.h>
#include <functional>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/store/chunk_store.h"
#include "dataplane/store/record_pool.h"

namespace millrace::store {
namespace {

struct Record {
    uint32_t generation;
    uint32_t value;
    ChunkId chunk;
    uint32_t reserved;
};

RegionPlan plan_of_two() {
    RegionPlan plan;
    plan.shard = 3;
    plan.sections = {{SectionKind::relays, 100'000, sizeof(Record)}, {SectionKind::chunks, 64u << 20, 1}};
    return plan;
}

class RegionFile : public testing::Test {
  protected:
    RegionFile() : path_(testing::TempDir() + "millrace-region-" + std::to_string(getpid())) { unlink(path_.c_str()); }
    ~RegionFile() override { unlink(path_.c_str()); }

    std::string join_error() {
        std::string error;
        EXPECT_FALSE(Region::join(path_, error)) << "joined what it should refuse";
        return error;
    }

    std::string path_;
    std::string error_;
};

TEST_F(RegionFile, IsJoinedAsItWasLeft) {
    RegionSecrets secrets;
    uint8_t id[16];
    {
        auto region = Region::create(path_, plan_of_two(), error_);
        ASSERT_TRUE(region) << error_;
        EXPECT_EQ(region->shard(), 3u);
        EXPECT_EQ(region->section(SectionKind::relays).size(), section_align);
        EXPECT_EQ(region->section(SectionKind::chunks).size(), 64u << 20);
        EXPECT_TRUE(region->section(SectionKind::timers).empty());
        EXPECT_EQ(region->records<Record>(SectionKind::relays).size(), section_align / sizeof(Record));
        EXPECT_TRUE(region->records<uint32_t>(SectionKind::relays).empty()) << "records of another size";
        region->records<Record>(SectionKind::relays)[77].value = 42;
        secrets = region->secrets();
        std::memcpy(id, region->id().data(), sizeof(id));
    }
    auto region = Region::join(path_, error_);
    ASSERT_TRUE(region) << error_;
    EXPECT_EQ(region->records<Record>(SectionKind::relays)[77].value, 42u);
    EXPECT_EQ(std::memcmp(&secrets, &region->secrets(), sizeof(secrets)), 0);
    EXPECT_EQ(std::memcmp(id, region->id().data(), sizeof(id)), 0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(region->section(SectionKind::chunks).data()) % section_align, 0u);
}

TEST_F(RegionFile, IsPrivateAndSparse) {
    RegionPlan plan = plan_of_two();
    plan.sections[1].bytes = uint64_t{64} << 30;
    auto region = Region::create(path_, plan, error_);
    ASSERT_TRUE(region) << error_;
    struct stat status;
    ASSERT_EQ(stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u);
    EXPECT_GT(status.st_size, off_t{64} << 30);
    EXPECT_LE(status.st_blocks * 512, 64 << 10);
}

TEST_F(RegionFile, HasOneOwnerAtATime) {
    auto region = Region::create(path_, plan_of_two(), error_);
    ASSERT_TRUE(region) << error_;
    EXPECT_NE(join_error().find("in use"), std::string::npos);
    Region moved = std::move(*region);
    region.reset();
    EXPECT_EQ(moved.shard(), 3u);
    EXPECT_NE(join_error().find("in use"), std::string::npos);
    EXPECT_FALSE(Region::create(path_, plan_of_two(), error_)) << "it exists";
    EXPECT_EQ(access(path_.c_str(), F_OK), 0) << "a refused create leaves the file of the other alone";
}

TEST_F(RegionFile, DrawsOtherSecretsForEachRegion) {
    auto one = Region::create_anonymous(plan_of_two(), error_);
    auto two = Region::create_anonymous(plan_of_two(), error_);
    ASSERT_TRUE(one && two);
    const auto* first = reinterpret_cast<const uint8_t*>(&one->secrets());
    const auto* second = reinterpret_cast<const uint8_t*>(&two->secrets());
    for (size_t at = 0; at < sizeof(RegionSecrets); at += 16)
        EXPECT_NE(std::memcmp(first + at, second + at, 16), 0) << "at byte " << at;
}

TEST_F(RegionFile, RefusesPlansThatAreNone) {
    const std::vector<std::function<void(RegionPlan&)>> mistakes = {
        [](RegionPlan& plan) { plan.sections.clear(); },
        [](RegionPlan& plan) { plan.sections[1].kind = SectionKind::relays; },
        [](RegionPlan& plan) { plan.sections[0].bytes = 0; },
        [](RegionPlan& plan) { plan.sections[0].bytes = ~uint64_t{0}; },
        [](RegionPlan& plan) { plan.sections[0].record_bytes = 0; },
        [](RegionPlan& plan) { plan.sections[0].record_bytes = 200'000; },
        [](RegionPlan& plan) {
            for (uint32_t kind = 100; kind < 140; ++kind) plan.sections.push_back({SectionKind{kind}, 1, 1});
        },
    };
    for (size_t i = 0; i < mistakes.size(); ++i) {
        RegionPlan plan = plan_of_two();
        mistakes[i](plan);
        error_.clear();
        EXPECT_FALSE(Region::create(path_, plan, error_)) << "mistake " << i;
        EXPECT_FALSE(error_.empty());
        EXPECT_NE(access(path_.c_str(), F_OK), 0);
    }
}

TEST_F(RegionFile, RefusesDamagedHeaders) {
    struct Damage {
        const char* error;
        std::function<void(RegionHeader&)> apply;
    };
    const uint64_t total = section_align * 2 + (64u << 20);
    const std::vector<Damage> damages = {
        {"magic", [](RegionHeader& h) { h.magic = 0; }},
        {"magic", [](RegionHeader& h) { h.magic ^= 1; }},
        {"ABI version", [](RegionHeader& h) { ++h.abi_version; }},
        {"the file has", [](RegionHeader& h) { h.total_bytes += section_align; }},
        {"machine last started", [](RegionHeader& h) { h.boot_id[0] ^= 1; }},
        {"section count", [](RegionHeader& h) { h.section_count = 0; }},
        {"section count", [](RegionHeader& h) { h.section_count = section_count_max + 1; }},
        {"section", [](RegionHeader& h) { h.section_count = 3; }},
        {"sum of sections", [](RegionHeader& h) { h.section_count = 1; }},
        {"section offset", [](RegionHeader& h) { h.sections[0].offset = 0; }},
        {"section offset", [](RegionHeader& h) { h.sections[1].offset += 4096; }},
        {"section offset", [=](RegionHeader& h) { h.sections[1].offset = total; }},
        {"section size", [](RegionHeader& h) { h.sections[1].bytes += section_align; }},
        {"section size", [](RegionHeader& h) { h.sections[1].bytes = ~uint64_t{0} - section_align + 1; }},
        {"section size", [](RegionHeader& h) { h.sections[1].bytes = 0; }},
        {"sum of sections", [](RegionHeader& h) { h.sections[1].bytes -= section_align; }},
        {"record size", [](RegionHeader& h) { h.sections[0].record_bytes = 0; }},
        {"record size", [](RegionHeader& h) { h.sections[0].record_bytes = 0xffff'ffff; }},
        {"section kind", [](RegionHeader& h) { h.sections[1].kind = h.sections[0].kind; }},
    };
    ASSERT_TRUE(Region::create(path_, plan_of_two(), error_)) << error_;
    RegionHeader sound;
    const int fd = open(path_.c_str(), O_RDWR);
    ASSERT_EQ(pread(fd, &sound, sizeof(sound), 0), ssize_t{sizeof(sound)});
    for (size_t i = 0; i < damages.size(); ++i) {
        RegionHeader damaged = sound;
        damages[i].apply(damaged);
        ASSERT_EQ(pwrite(fd, &damaged, sizeof(damaged), 0), ssize_t{sizeof(damaged)});
        const std::string error = join_error();
        EXPECT_NE(error.find(damages[i].error), std::string::npos) << "damage " << i << ": " << error;
        EXPECT_EQ(error.find(path_), 0u) << "says which file";
    }
    ASSERT_EQ(pwrite(fd, &sound, sizeof(sound), 0), ssize_t{sizeof(sound)});
    EXPECT_TRUE(Region::join(path_, error_)) << error_;
    close(fd);
}

TEST_F(RegionFile, RefusesOtherFiles) {
    EXPECT_NE(join_error().find("No such file"), std::string::npos);
    ASSERT_TRUE(Region::create(path_, plan_of_two(), error_)) << error_;
    ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
    EXPECT_NE(join_error().find("mode"), std::string::npos);
    ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
    ASSERT_EQ(truncate(path_.c_str(), off_t{2} * section_align), 0);
    EXPECT_NE(join_error().find("the file has"), std::string::npos);
    ASSERT_EQ(truncate(path_.c_str(), 100), 0);
    EXPECT_NE(join_error().find("too small"), std::string::npos);
    if (geteuid() == 0) {
        ASSERT_EQ(chown(path_.c_str(), 65534, 65534), 0);
        EXPECT_NE(join_error().find("another user"), std::string::npos);
    }
    unlink(path_.c_str());
    ASSERT_EQ(symlink("/dev/zero", path_.c_str()), 0);
    EXPECT_NE(join_error().find("symbolic links"), std::string::npos);
}

// What decision 3 asks: a process fills a region and is killed in the middle of work; the next one finds every record
// and payload that was linked, and nothing else.
TEST_F(RegionFile, SurvivesTheDeathOfItsProcess) {
    int progress[2];
    ASSERT_EQ(pipe(progress), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        auto region = Region::create(path_, plan_of_two(), error_);
        if (!region) _exit(1);
        auto pool = RecordPool<Record>::format(region->section(SectionKind::relays));
        auto chunks = ChunkStore::format(region->section(SectionKind::chunks));
        for (uint32_t i = 0;; ++i) {
            const uint32_t index = pool.allocate();
            Record& record = pool.at(index);
            const ChunkId chunk = chunks.allocate(1 + i % 3000);
            std::memcpy(chunks.capacity(chunk).data(), "kept", 4 < 1 + i % 3000 ? 4 : 1);
            chunks.header(chunk).seq = i;
            chunks.header(chunk).length = static_cast<uint16_t>(1 + i % 3000);
            record.chunk = chunk;
            record.value = i + 1;  // from here it counts as established
            if (i >= 2000) {
                const uint32_t victim = (i * 7919) % 1000;
                if (pool.is_live(victim)) {
                    const ChunkId dropped = std::exchange(pool.at(victim).chunk, no_chunk);
                    pool.free(victim);
                    chunks.free(dropped);
                }
            }
            if (i == 2500 && write(progress[1], "x", 1) != 1) _exit(1);
            if (i == 20'000) i = 2600;
            if (pool.live_count() > 10'000)
                pool.for_each_live([&](uint32_t at, Record& old) {
                    if (at % 2 != 0) return;
                    const ChunkId dropped = std::exchange(old.chunk, no_chunk);
                    pool.free(at);
                    if (dropped != no_chunk) chunks.free(dropped);
                });
        }
    }
    char byte;
    ASSERT_EQ(read(progress[0], &byte, 1), 1);
    usleep(2000);
    kill(child, SIGKILL);
    int status;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    close(progress[0]);
    close(progress[1]);

    auto region = Region::join(path_, error_);
    ASSERT_TRUE(region) << error_;
    auto pool = RecordPool<Record>::join(region->section(SectionKind::relays));
    auto chunks = ChunkStore::join(region->section(SectionKind::chunks));
    ASSERT_TRUE(pool && chunks);
    chunks->begin_recovery();
    uint32_t established = 0;
    pool->for_each_live([&](uint32_t index, Record& record) {
        if (record.value == 0 || record.chunk == no_chunk) return pool->free(index);  // caught half made or half freed
        ++established;
        ASSERT_TRUE(chunks->mark_live(record.chunk)) << "record " << index;
        const ChunkHeader& header = chunks->header(record.chunk);
        ASSERT_EQ(header.seq, record.value - 1);
        ASSERT_EQ(header.length, 1 + header.seq % 3000);
        ASSERT_EQ(chunks->payload(record.chunk)[0], 'k');
    });
    chunks->end_recovery();
    EXPECT_GE(established, 1000u);
    EXPECT_EQ(pool->live_count(), established);
    pool->for_each_live([&](uint32_t, Record& record) { chunks->free(record.chunk); });
    EXPECT_EQ(chunks->bytes_in_use(), 0u);
    EXPECT_NE(chunks->allocate(1000), no_chunk);
}

}  // namespace
}  // namespace millrace::store
