#include "control/publisher.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base/fault.h"

namespace millrace::control {

namespace {

constexpr const char* config_name = "/config";
constexpr const char* in_force_name = "/config.in_force";
constexpr unsigned file_mode = 0640;  // control writes, the dataplane reads through the group

bool fails(const std::string& path, const char* call, std::string& error) {
    error = path + ": " + call + ": " + std::strerror(errno);
    return false;
}

bool write_all(int descriptor, const std::byte* data, size_t bytes) {
    while (bytes != 0) {
        const ssize_t written = ::write(descriptor, data, bytes);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        data += written;
        bytes -= static_cast<size_t>(written);
    }
    return true;
}

}  // namespace

std::shared_ptr<const Snapshot> read_snapshot(const std::string& path) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) return nullptr;
    const std::streamoff size = file.tellg();
    if (size <= 0 || size > snapshot_bytes_max) return nullptr;
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->bytes.resize(static_cast<size_t>(size));
    file.seekg(0);
    if (!file.read(reinterpret_cast<char*>(snapshot->bytes.data()), size)) return nullptr;
    std::string ignored;
    return snapshot->view.open(snapshot->bytes, ignored) ? snapshot : nullptr;
}

bool Publisher::open(const std::string& directory, std::string& error) {
    directory_ = directory;
    published_ = read_snapshot(directory_ + config_name);
    in_force_ = published_ ? read_snapshot(directory_ + in_force_name) : nullptr;
    shown_ = in_force_ ? in_force_ : published_;
    used(SlotKind::listener).resize(listener_slot_max);
    used(SlotKind::backend).resize(backend_slot_max);
    used(SlotKind::server).resize(server_slot_max);
    for (const auto& snapshot : {published_, in_force_})
        if (snapshot) mark_used(snapshot->view);
    oldest_ = shown_ ? shown_->view.generation() : 0;
    return open_commands(error);
}

void Publisher::mark_used(const SnapshotView& snapshot) {
    for (const ListenerRecord& record : snapshot.listeners()) used(SlotKind::listener)[record.slot] = true;
    for (const BackendRecord& record : snapshot.backends()) used(SlotKind::backend)[record.slot] = true;
    for (const ServerRecord& record : snapshot.servers()) used(SlotKind::server)[record.slot] = true;
}

void Publisher::acknowledge() {
    if (in_force_ && in_force_->view.generation() == generation()) return;
    in_force_ = published_;
    for (std::vector<bool>& slots : used_) slots.assign(slots.size(), false);
    mark_used(in_force_->view);
    oldest_ = generation();
    std::string error;
    if (write(in_force_name, in_force_->bytes, error)) return;
    spdlog::warn("{}; a restart of millrace-control may not know what is in force", error);
    unlink((directory_ + in_force_name).c_str());
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

bool Publisher::write(const char* name, const std::vector<std::byte>& bytes, std::string& error) const {
    const std::string path = directory_ + name, temporary = path + ".new";
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
                                  std::string& error, const Prepare& prepare) {
    const PublishResult result = to_snapshot(
        config, published(), [&](SlotKind kind, uint16_t slot) { return !used(kind)[slot] && is_idle(kind, slot); },
        in_force_ ? &in_force_->view : nullptr);
    if (!result.snapshot) {
        error = result.error;
        return PublishOutcome::failed;
    }
    auto next = std::make_shared<Snapshot>();
    next->bytes = result.snapshot->build(std::max(generation(), generation_min) + 1);
    if (!next->view.open(next->bytes, error)) {
        error = "the snapshot made from this configuration is invalid (a fault of Millrace): " + error;
        return PublishOutcome::failed;
    }
    const bool unchanged = published_ && next->view.content_hash() == published_->view.content_hash();
    if (prepare && !prepare(next->view, unchanged ? generation() : next->view.generation(), error))
        return PublishOutcome::failed;
    if (unchanged) return PublishOutcome::unchanged;
    // Before the configuration names the slot, or a worker could meet the state of the slot's former owner.
    if (!fault(Fault::control_slot_inherits_state))
        for (const uint16_t slot : result.new_server_slots) set_server(slot, {});
    if (!write(config_name, next->bytes, error)) return PublishOutcome::failed;
    mark_used(next->view);
    if (oldest_ == 0) oldest_ = next->view.generation();
    published_ = std::move(next);
    return PublishOutcome::published;
}

ServerControl::Value Publisher::server(uint16_t slot) const {
    return ServerControl::unpack(commands()->servers[slot].word.load(std::memory_order_relaxed));
}

void Publisher::set_server(uint16_t slot, ServerControl::Value value) {
    commands()->servers[slot].word.store(ServerControl::pack(value), std::memory_order_relaxed);
}

}  // namespace millrace::control
