#include "dataplane/app/key_receiver.h"

#include <chrono>
#include <openssl/crypto.h>
#include <poll.h>
#include <set>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include <millrace/key_socket.h>

#include "dataplane/app/pool_handshakes.h"
#include "dataplane/app/privileges.h"
#include "dataplane/base/fault.h"

namespace millrace::app {
namespace {

/// A ticket is good for two hours (OpenSSL's default), so the key before the newest opens all that are.
constexpr std::chrono::hours rotation{2};
constexpr timeval patience{.tv_sec = 2, .tv_usec = 0};
constexpr const char* no_such_slot = "there is no such slot";

/// The text that was read is overwritten; what was made of it is OpenSSL's, and some strings that are freed.
struct Wiped {
    std::string text;
    ~Wiped() { OPENSSL_cleanse(text.data(), text.size()); }
};

}  // namespace

KeyReceiver::~KeyReceiver() {
    if (thread_.joinable()) {
        eventfd_write(wake_, 1);
        thread_.join();
    }
    if (socket_ >= 0) close(socket_);
    if (wake_ >= 0) close(wake_);
    unlink((directory_ + '/' + std::string(key_socket_name)).c_str());
}

bool KeyReceiver::start(std::string& error) {
    wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    socket_ = listen_at_key_socket(directory_, error);
    if (wake_ < 0 || socket_ < 0) return false;
    thread_ = std::thread([this] { run(); });
    return true;
}

bool KeyReceiver::wait(int timeout_ms) {
    std::unique_lock lock(mutex_);
    return delivered_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return has_keys_; });
}

void KeyReceiver::run() {
    drop_thread_capabilities();
    auto rotate_at = std::chrono::steady_clock::now() + rotation;
    while (true) {
        const auto left = rotate_at - std::chrono::steady_clock::now();
        const auto left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count() + 1;
        pollfd waiting[] = {{wake_, POLLIN, 0}, {socket_, POLLIN, 0}};
        poll(waiting, 2, static_cast<int>(std::max<long>(left_ms, 0)));
        if ((waiting[0].revents & POLLIN) != 0) return;
        if (std::chrono::steady_clock::now() >= rotate_at) {
            rotate_at += rotation;
            const std::lock_guard lock(mutex_);
            for (const auto& [number, keys] : used_)
                if (keys.tickets && !keys.tickets_from_file) keys.tickets->rotate();
        }
        if ((waiting[1].revents & POLLIN) == 0) continue;
        const int client = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) continue;
        serve(client);
        close(client);
    }
}

void KeyReceiver::serve(int client) {
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const std::string problem = take(client);
    if (!problem.empty()) spdlog::error("keys were refused, those before stay in force: {}", problem);
    const std::string answer = (problem.empty() ? "ok" : problem).substr(0, key_answer_bytes_max);
    send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
}

/// Why the delivery is refused, or nothing.
std::string KeyReceiver::take(int client) {
    if (!peer_owns(client, control_directory_)) return "who brings them is not millrace-control";
    const int file = receive_file(client);
    if (file < 0) return "no file came";
    Wiped bundle;
    std::string error;
    const bool read = read_sealed_file(file, bundle.text, error);
    close(file);
    tls::KeyBundle keys;
    if (!read || !tls::parse_bundle(bundle.text, keys, error) || !build(keys, error)) return error;
    delivered_.notify_all();
    spdlog::info("certificates and keys of {} listener(s) and {} backend(s) have come", keys.listeners.size(),
                 keys.backends.size());
    return {};
}

/// All of them, or none.
bool KeyReceiver::build(const tls::KeyBundle& bundle, std::string& error) {
    KeyMap built;
    for (const tls::ListenerKeys& from : bundle.listeners) {
        if (build(from, built, error)) continue;
        error = "listener '" + from.listener + "': " + error;
        return false;
    }
    for (const tls::BackendKeys& from : bundle.backends) {
        if (build(from, built, error)) continue;
        error = "backend '" + from.backend + "': " + error;
        return false;
    }
    stage(bundle, std::move(built));
    return true;
}

bool KeyReceiver::build(const tls::ListenerKeys& from, KeyMap& built, std::string& error) {
    if (from.slot >= listener_slot_max) {
        error = no_such_slot;
        return false;
    }
    Keys& keys = built[from.slot];
    keys.tickets_from_file = !from.ticket_keys.empty();
    keys.tickets = std::make_shared<tls::TicketKeys>();
    if (keys.tickets_from_file) {
        const std::string& file = from.ticket_keys;
        keys.tickets->set({reinterpret_cast<const uint8_t*>(file.data()), file.size()});
    } else {
        const std::lock_guard lock(mutex_);
        const auto before = used_.find(from.slot);
        // Keys from a file end with it: perhaps they were taken away because others know them.
        const bool outlive = before != used_.end() &&
                             (!before->second.tickets_from_file || fault(Fault::app_ticket_keys_outlive_their_file));
        if (outlive && !fault(Fault::app_ticket_keys_lost_at_reload)) keys.tickets = before->second.tickets;
    }
    tls::ContextSettings settings = from.context;
    settings.ticket_keys = keys.tickets;
    keys.context = tls::Context::server(settings, error);
    if (keys.context && fault(Fault::app_keys_taken_in_part)) use(from.slot, keys);
    return keys.context != nullptr;
}

bool KeyReceiver::build(const tls::BackendKeys& from, KeyMap& built, std::string& error) {
    if (from.slot >= backend_slot_max) {
        error = no_such_slot;
        return false;
    }
    Keys& keys = built[context_of_backend(from.slot)];
    keys.servers = tls::make_servers(from, error);
    return keys.servers != nullptr;
}

void KeyReceiver::stage(const tls::KeyBundle& bundle, KeyMap built) {
    const std::lock_guard lock(mutex_);
    has_keys_ = true;
    const bool now = bundle.generation <= generation_ || fault(Fault::app_keys_before_their_configuration);
    for (const auto& [number, keys] : built)
        if (now || !used_.contains(number)) use(number, keys);
    // Workers may reach for new servers a moment before in_force().
    for (const tls::BackendKeys& from : bundle.backends)
        for (const tls::ServerName& server : from.servers)
            used_[context_of_backend(from.slot)].servers->know(server.slot, {server.name, server.host});
    next_ = now ? KeyMap{} : std::move(built);
    next_generation_ = bundle.generation;
}

void KeyReceiver::use(uint16_t number, const Keys& keys) {
    used_[number] = keys;
    keys.servers ? pool_.set_servers(number, keys.servers) : pool_.set_context(number, keys.context);
}

void KeyReceiver::in_force(const SnapshotView& config) {
    const std::lock_guard lock(mutex_);
    generation_ = config.generation();
    if (!next_.empty() && next_generation_ <= generation_)
        for (const auto& [number, keys] : std::exchange(next_, {})) use(number, keys);
    std::set<uint16_t> kept;
    for (const ListenerRecord& listener : config.listeners())
        if (listener.tls != 0) kept.insert(listener.slot);
    for (const BackendRecord& backend : config.backends())
        if (backend.tls != 0) kept.insert(context_of_backend(backend.slot));
    for (const auto& [number, keys] : next_) kept.insert(number);
    std::erase_if(used_, [&](const auto& entry) {
        if (kept.contains(entry.first) || fault(Fault::app_keys_outlive_their_listener)) return false;
        pool_.set_context(entry.first, nullptr);
        return true;
    });
}

}  // namespace millrace::app
