// What control hands to the dataplane: the file `config` (written beside, then renamed into place) and the server
// states in `commands`. Both outlive control: a restarted one finds the slots, generation, overrides and probe states
// of its predecessor here, so nothing else has to be kept on disk. Control's main thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <millrace/commands.h>
#include <millrace/shared_file.h>
#include <millrace/snapshot.h>

#include "control/config/model.h"
#include "control/config/publish.h"

namespace millrace::control {

enum class PublishOutcome : uint8_t { published, unchanged, failed };

class Publisher {
  public:
    /// Reads the predecessor's `config` (one that is missing or invalid counts as none) and joins its `commands`, or
    /// makes a new one. False, with the reason, when neither works.
    bool open(const std::string& directory, std::string& error);

    /// Publishes `config` unless it equals what is in force. `generation_min`: the new generation exceeds it (that of a
    /// running dataplane, whose `config` file may have been lost). On failure everything stays as it was.
    PublishOutcome publish(const Config& config, const SlotIsIdle& is_idle, uint64_t generation_min,
                           std::string& error);

    /// What is in force; null before the first publication.
    const SnapshotView* snapshot() const { return has_snapshot_ ? &view_ : nullptr; }
    uint64_t generation() const { return has_snapshot_ ? view_.generation() : 0; }

    CommandsFile* commands() const { return reinterpret_cast<CommandsFile*>(commands_.data()); }
    /// True when the commands file was made anew because there was no valid one.
    bool made_commands() const { return made_commands_; }

    ServerControl::Value server(uint16_t slot) const;
    /// The workers look there whenever they choose a server.
    void set_server(uint16_t slot, ServerControl::Value value);

  private:
    void read_previous();
    bool open_commands(std::string& error);
    bool write_config(const std::vector<std::byte>& bytes, std::string& error) const;

    std::string directory_;
    SharedFile commands_;
    bool made_commands_ = false;
    bool has_snapshot_ = false;
    std::vector<std::byte> bytes_;
    SnapshotView view_;
};

}  // namespace millrace::control
