#include "dataplane/app/instance.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <millrace/snapshot.h>

namespace millrace::app {
namespace {

// The last two open files of one path differ in inode or in time of change.
int64_t change_time(const struct stat& status) {
    return int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

uint64_t align_up(uint64_t value, uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

}  // namespace

Instance::Instance(std::string name)
    : name_(std::move(name)),
      directory_(run_directory(name_, RunPart::dataplane)),
      control_directory_(run_directory(name_, RunPart::control)) {}

Instance::~Instance() {
    if (lock_ >= 0) close(lock_);
}

bool Instance::acquire(std::string& error) {
    lock_ = take_run_directory(name_, RunPart::dataplane, error);
    return lock_ >= 0;
}

std::optional<std::vector<std::byte>> Instance::read_config(std::string& error) {
    const std::string path = control_directory_ + "/config";
    // Looked at before it is opened: what can't be read is not tried again until it is replaced.
    struct stat status {};
    if (stat(path.c_str(), &status) == 0) {
        config_inode_ = status.st_ino;
        config_time_ = change_time(status);
    }
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0 || fstat(file, &status) != 0) {
        error = path + ": " + std::strerror(errno);
        if (file >= 0) close(file);
        return std::nullopt;
    }
    if (!S_ISREG(status.st_mode) || status.st_size > snapshot_bytes_max) {
        error = path + ": not a snapshot (no file, or too large)";
        close(file);
        return std::nullopt;
    }
    std::vector<std::byte> bytes(static_cast<size_t>(status.st_size));
    size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t got = read(file, bytes.data() + done, bytes.size() - done);
        if (got <= 0) break;  // cut short meanwhile: the snapshot's own length will tell
        done += static_cast<size_t>(got);
    }
    close(file);
    bytes.resize(done);
    return bytes;
}

bool Instance::config_changed() const {
    struct stat status {};
    if (stat((control_directory_ + "/config").c_str(), &status) != 0) return false;
    return status.st_ino != config_inode_ || change_time(status) != config_time_;
}

bool Instance::create_shared_files(uint32_t worker_count, uint64_t tsc_hz, std::string& error) {
    const std::vector<StatDescriptor> table = relay::stat_descriptor_table();
    const uint64_t worker_offset = align_up(sizeof(StatsHeader) + table.size() * sizeof(StatDescriptor), 4096);
    const uint64_t stride = align_up(sizeof(relay::StatsBlock), 4096);
    stats_ = SharedFile::create(directory_ + "/stats", stats_magic, sizeof(StatsHeader),
                                worker_offset + worker_count * stride, 0640, error);
    if (!stats_) return false;
    StatsHeader& header = stats();
    timespec wall{};
    clock_gettime(CLOCK_REALTIME, &wall);
    header.start_unix_us = static_cast<uint64_t>(wall.tv_sec) * us_per_s + static_cast<uint64_t>(wall.tv_nsec) / 1000;
    header.tsc_hz = tsc_hz;
    header.pid = static_cast<uint32_t>(getpid());
    header.worker_count = worker_count;
    header.descriptor_count = static_cast<uint32_t>(table.size());
    header.relay_record_bytes = sizeof(relay::Relay);
    header.worker_offset = worker_offset;
    header.worker_stride = stride;
    relay::fill_scope_layouts(header.scopes);
    std::memcpy(stats_.data() + sizeof(StatsHeader), table.data(), table.size() * sizeof(StatDescriptor));

    events_ = SharedFile::create(directory_ + "/events", events_magic, sizeof(EventsHeader),
                                 events_file_bytes(worker_count), 0640, error);
    if (!events_) return false;
    reinterpret_cast<EventsHeader*>(events_.data())->worker_count = worker_count;
    if (!stats_.publish() || !events_.publish()) {
        error = directory_ + ": " + std::strerror(errno);
        return false;
    }
    return true;
}

relay::StatsBlock& Instance::stats_block(uint32_t worker) {
    return *reinterpret_cast<relay::StatsBlock*>(stats_.data() + stats().worker_offset +
                                                 worker * stats().worker_stride);
}

const CommandsFile* Instance::follow_commands() {
    if (commands_ && commands_.is_current()) return reinterpret_cast<const CommandsFile*>(commands_.data());
    std::string ignored;  // control may simply not be there
    SharedFile file = SharedFile::join(control_directory_ + "/commands", commands_magic, commands_header_bytes,
                                       sizeof(CommandsFile), false, ignored);
    // With control's file gone the last one stays: its server states go on to hold.
    if (file) {
        if (commands_) old_commands_.push_back(std::move(commands_));
        commands_ = std::move(file);
    }
    return commands_ ? reinterpret_cast<const CommandsFile*>(commands_.data()) : nullptr;
}

std::string Instance::region_path(uint32_t shard) const {
    return directory_ + "/regions/shard-" + std::to_string(shard);
}

bool Instance::create_regions(const DataplaneRecord& settings, std::string& error) {
    const std::string folder = directory_ + "/regions";
    if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
        error = folder + ": " + std::strerror(errno);
        return false;
    }
    // A tmpfs of our own: as large as the machine allows, and with huge pages where they are asked for. Only root can
    // mount; anyone else uses the folder as it is. One that an earlier dataplane mounted is used again.
    struct stat inside {};
    struct stat outside {};
    if (lstat(folder.c_str(), &inside) != 0 || !S_ISDIR(inside.st_mode)) {
        error = folder + ": is not a directory";
        return false;
    }
    stat(directory_.c_str(), &outside);
    if (inside.st_dev == outside.st_dev && geteuid() == 0)
        mount("millrace", folder.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=95%,huge=advise,mode=0700");
    const relay::ShardLimits limits = relay::ShardLimits::of(settings);
    for (uint32_t shard = 0; shard < settings.shard_count; ++shard) {
        unlink(region_path(shard).c_str());
        auto region = store::Region::create(region_path(shard),
                                            relay::shard_region_plan(shard, limits, settings.huge_pages != 0), error);
        if (!region) return false;
        regions_.push_back(std::move(*region));
    }
    return true;
}

bool Instance::give_files_to(const ServiceUser& user, std::string& error) const {
    if (geteuid() != 0) return true;
    std::vector<std::string> paths{directory_ + "/regions"};
    for (uint32_t shard = 0; shard < regions_.size(); ++shard) paths.push_back(region_path(shard));
    for (const std::string& path : paths) {
        if (lchown(path.c_str(), user.uid, user.gid) != 0) {
            error = path + ": " + std::strerror(errno);
            return false;
        }
    }
    return hand_over_run_directory(name_, RunPart::dataplane, user, error);
}

void Instance::remove_files() const {
    for (uint32_t shard = 0; shard < regions_.size(); ++shard) unlink(region_path(shard).c_str());
    unlink((directory_ + "/stats").c_str());
    unlink((directory_ + "/events").c_str());
}

}  // namespace millrace::app
