#include "control/publisher.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base/fault.h"

namespace millrace::control {

namespace {

constexpr unsigned file_mode = 0640;  // control writes, the dataplane reads through the group

bool fails(const std::string& path, const char* call, std::string& error) {
    error = path + ": " + call + ": " + std::strerror(errno);
    return false;
}

bool write_all(int descriptor, const std::byte* data, size_t bytes) {
    while (bytes != 0) {
        const ssize_t written = write(descriptor, data, bytes);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        data += written;
        bytes -= static_cast<size_t>(written);
    }
    return true;
}

}  // namespace

bool Publisher::open(const std::string& directory, std::string& error) {
    directory_ = directory;
    read_previous();
    return open_commands(error);
}

void Publisher::read_previous() {
    std::ifstream file(directory_ + "/config", std::ios::binary | std::ios::ate);
    if (!file) return;
    const std::streamoff size = file.tellg();
    if (size <= 0 || size > snapshot_bytes_max) return;
    std::vector<std::byte> bytes(static_cast<size_t>(size));
    file.seekg(0);
    if (!file.read(reinterpret_cast<char*>(bytes.data()), size)) return;
    std::string ignored;
    bytes_ = std::move(bytes);
    has_snapshot_ = view_.open(bytes_, ignored);
}

bool Publisher::open_commands(std::string& error) {
    const std::string path = directory_ + "/commands";
    commands_ = SharedFile::join(path, commands_magic, commands_header_bytes, sizeof(CommandsFile), true, error);
    if (commands_ && commands_.size() == sizeof(CommandsFile)) return true;
    commands_ = SharedFile::create(path, commands_magic, commands_header_bytes, sizeof(CommandsFile), file_mode, error);
    if (!commands_) return false;
    made_commands_ = true;
    for (ServerControl& server : commands()->servers)
        server.word.store(ServerControl::pack({}), std::memory_order_relaxed);
    if (!commands_.publish()) return fails(path, "rename", error);
    error.clear();
    return true;
}

bool Publisher::write_config(const std::vector<std::byte>& bytes, std::string& error) const {
    const std::string path = directory_ + "/config", temporary = path + ".new";
    unlink(temporary.c_str());
    const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0) return fails(temporary, "open", error);
    const bool written = fchmod(descriptor, file_mode) == 0 && write_all(descriptor, bytes.data(), bytes.size());
    if (!written) fails(temporary, "write", error);
    close(descriptor);
    if (written && rename(temporary.c_str(), path.c_str()) == 0) return true;
    if (written) fails(path, "rename", error);
    unlink(temporary.c_str());
    return false;
}

PublishOutcome Publisher::publish(const Config& config, const SlotIsIdle& is_idle, uint64_t generation_min,
                                  std::string& error) {
    const PublishResult result = to_snapshot(config, snapshot(), is_idle);
    if (!result.snapshot) {
        error = result.error;
        return PublishOutcome::failed;
    }
    std::vector<std::byte> bytes = result.snapshot->build(std::max(generation(), generation_min) + 1);
    SnapshotView view;
    if (!view.open(bytes, error)) {
        error = "the snapshot made from this configuration is invalid (a fault of Millrace): " + error;
        return PublishOutcome::failed;
    }
    if (has_snapshot_ && view.content_hash() == view_.content_hash()) return PublishOutcome::unchanged;
    // Before the configuration names the slot, or a worker could meet the state of the slot's former owner.
    if (!fault(Fault::control_slot_inherits_state))
        for (const uint16_t slot : result.new_server_slots) set_server(slot, {});
    if (!write_config(bytes, error)) return PublishOutcome::failed;
    bytes_ = std::move(bytes);
    has_snapshot_ = view_.open(bytes_, error);
    return PublishOutcome::published;
}

ServerControl::Value Publisher::server(uint16_t slot) const {
    return ServerControl::unpack(commands()->servers[slot].word.load(std::memory_order_relaxed));
}

void Publisher::set_server(uint16_t slot, ServerControl::Value value) {
    commands()->servers[slot].word.store(ServerControl::pack(value), std::memory_order_relaxed);
}

}  // namespace millrace::control
