// What control hands to the dataplane: the file `config` (written beside, then renamed into place) and the server
// states in `commands`. Both outlive control: a restarted one finds the slots, generation, overrides and probe states
// of its predecessor here, so nothing else has to be kept on disk. Control's main thread only.
//
// What is published is not in force yet: the dataplane may refuse it until its next start. So `config.in_force` is a
// copy of the snapshot that the dataplane took last, and what control shows and probes is told apart from what it
// published: see snapshot() and published().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <millrace/commands.h>
#include <millrace/shared_file.h>
#include <millrace/snapshot.h>

#include "control/config/model.h"
#include "control/config/publish.h"

namespace millrace::control {

enum class PublishOutcome : uint8_t { published, unchanged, failed };

/// A checked snapshot and the bytes that it views.
struct Snapshot {
    std::vector<std::byte> bytes;
    SnapshotView view;
};

/// The snapshot in the file `path`; null when there is none, or no valid one.
std::shared_ptr<const Snapshot> read_snapshot(const std::string& path);

/// Does what must come before a snapshot; false, with the reason, when it can't be done.
using Prepare = std::function<bool(const SnapshotView& next, uint64_t generation, std::string& error)>;

class Publisher {
  public:
    /// Reads the predecessor's `config` (one that is missing or invalid counts as none) and joins its `commands`, or
    /// makes a new one. False, with the reason, when neither works.
    bool open(const std::string& directory, std::string& error);

    /// Publishes `config` unless it equals what is published. `is_idle` tells of relays alone; the slots of what is
    /// published or in force are known here. `generation_min`: the new generation exceeds it (that of a
    /// running dataplane, whose `config` file may have been lost). `prepare` is called before, with what is about to be
    /// published, or is already, and its generation. On failure, of it too, everything stays as it was.
    PublishOutcome publish(const Config& config, const SlotIsIdle& is_idle, uint64_t generation_min, std::string& error,
                           const Prepare& prepare = {});

    /// The dataplane has the newest publication in force.
    void acknowledge();
    /// snapshot() is the newest publication from now on.
    void show_published() { shown_ = published_; }

    /// What control goes by: what was in force at open(), then what show_published() chose. Null before both.
    const SnapshotView* snapshot() const { return shown_ ? &shown_->view : nullptr; }
    const SnapshotView* published() const { return published_ ? &published_->view : nullptr; }
    /// Of the newest publication; 0 before the first.
    uint64_t generation() const { return published_ ? published_->view.generation() : 0; }
    /// True when a dataplane with this generation in force uses no slot that publish() does not know of.
    bool knows(uint64_t generation) const { return generation >= oldest_ && generation <= this->generation(); }

    CommandsFile* commands() const { return reinterpret_cast<CommandsFile*>(commands_.data()); }
    /// True when the commands file was made anew because there was no valid one.
    bool made_commands() const { return made_commands_; }

    ServerControl::Value server(uint16_t slot) const;
    /// The workers look there whenever they choose a server.
    void set_server(uint16_t slot, ServerControl::Value value);

  private:
    std::vector<bool>& used(SlotKind kind) { return used_[static_cast<size_t>(kind)]; }
    void mark_used(const SnapshotView& snapshot);
    bool open_commands(std::string& error);
    /// Writes the file `name` ("/...") of the directory, by a file beside it.
    bool write(const char* name, const std::vector<std::byte>& bytes, std::string& error) const;

    std::string directory_;
    SharedFile commands_;
    bool made_commands_ = false;
    std::shared_ptr<const Snapshot> published_;
    std::shared_ptr<const Snapshot> in_force_;  // the newest that was acknowledged
    std::shared_ptr<const Snapshot> shown_;
    std::vector<bool> used_[3];  // by SlotKind: in some snapshot since generation oldest_
    uint64_t oldest_ = 0;
};

}  // namespace millrace::control
