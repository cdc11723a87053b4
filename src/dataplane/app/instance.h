// The dataplane's side of an instance's run directory: the lock that keeps a second one out, the files that it writes
// (stats, events, regions) and those that it reads (config, commands). Used by the main thread at start, then by the
// supervisor thread alone.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <millrace/commands.h>
#include <millrace/events.h>
#include <millrace/run_directory.h>
#include <millrace/shared_file.h>
#include <millrace/stats.h>

#include "dataplane/relay/shard.h"
#include "dataplane/relay/statistics.h"

namespace millrace::app {

class Instance {
  public:
    explicit Instance(std::string name);
    ~Instance();
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;

    /// Takes the dataplane's part of the run directory. False, with a reason, when another dataplane has it.
    bool acquire(std::string& error);

    /// The bytes of the file `config`; empty, with a reason, when there is none or it is too large to be one.
    std::optional<std::vector<std::byte>> read_config(std::string& error);

    /// True when there is a file `config` and read_config() has not looked at it yet, whatever came of that.
    bool config_changed() const;

    /// Makes `stats` and `events` for so many workers, readable by the instance's group.
    bool create_shared_files(uint32_t worker_count, uint64_t tsc_hz, std::string& error);

    StatsHeader& stats() { return *reinterpret_cast<StatsHeader*>(stats_.data()); }
    relay::StatsBlock& stats_block(uint32_t worker);
    WorkerEvents* events(uint32_t worker) { return worker_events(events_.data(), worker); }

    /// Follows `commands` as control comes and goes: the file to read from now on, or null. What it returned before
    /// stays mapped until release_old_commands().
    const CommandsFile* follow_commands();
    void release_old_commands() { old_commands_.clear(); }

    /// Formats the region of every shard anew, in files of the folder `regions`, upon which root mounts a tmpfs.
    bool create_regions(const DataplaneRecord& settings, std::string& error);
    std::vector<store::Region>& regions() { return regions_; }

    /// Hands the files over to the user that the process becomes. Nothing to do for an ordinary user.
    bool give_files_to(const ServiceUser& user, std::string& error) const;

    /// Removes what only a living dataplane needs.
    void remove_files() const;

    const std::string& directory() const { return directory_; }
    const std::string& control_directory() const { return control_directory_; }

  private:
    std::string region_path(uint32_t shard) const;

    std::string name_;
    std::string directory_;
    std::string control_directory_;
    int lock_ = -1;
    uint64_t config_inode_ = 0;
    int64_t config_time_ = 0;
    SharedFile stats_;
    SharedFile events_;
    SharedFile commands_;
    std::vector<SharedFile> old_commands_;
    std::vector<store::Region> regions_;
};

}  // namespace millrace::app
