#include "dataplane/app/key_receiver.h"

#include <chrono>
#include <openssl/crypto.h>
#include <poll.h>
#include <set>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <millrace/key_socket.h>

#include "dataplane/app/privileges.h"

namespace millrace::app {
namespace {

/// A ticket is good for two hours (OpenSSL's default), so the key before the newest opens all that are.
constexpr std::chrono::hours rotation{2};
constexpr timeval patience{.tv_sec = 2, .tv_usec = 0};

/// Keys that were read are not left lying about.
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
            for (const auto& [slot, keys] : ticket_keys_)
                if (!tickets_from_file_[slot]) keys->rotate();
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
    std::vector<tls::ListenerKeys> keys;
    if (!read || !tls::parse_bundle(bundle.text, keys, error) || !install(keys, error)) return error;
    {
        const std::lock_guard lock(mutex_);
        has_keys_ = true;
    }
    delivered_.notify_all();
    spdlog::info("certificates and keys of {} listener(s) are in force", keys.size());
    return {};
}

/// All of them, or none.
bool KeyReceiver::install(const std::vector<tls::ListenerKeys>& bundle, std::string& error) {
    std::vector<std::shared_ptr<const tls::Context>> contexts;
    const std::lock_guard lock(mutex_);
    for (const tls::ListenerKeys& keys : bundle) {
        tls::ContextSettings settings = keys.context;
        std::shared_ptr<tls::TicketKeys>& tickets = ticket_keys_[keys.slot];
        if (!tickets) tickets = std::make_shared<tls::TicketKeys>();
        settings.ticket_keys = tickets;
        contexts.push_back(tls::Context::server(settings, error));
        if (contexts.back()) continue;
        error = "listener '" + keys.listener + "': " + error;
        return false;
    }
    for (size_t i = 0; i < bundle.size(); ++i) {
        const std::string& file = bundle[i].ticket_keys;
        if (!file.empty())
            ticket_keys_[bundle[i].slot]->set({reinterpret_cast<const uint8_t*>(file.data()), file.size()});
        tickets_from_file_[bundle[i].slot] = !file.empty();
        pool_.set_context(bundle[i].slot, contexts[i]);
    }
    return true;
}

void KeyReceiver::forget_all_but(const SnapshotView& in_force) {
    std::set<uint16_t> kept;
    for (const ListenerRecord& listener : in_force.listeners())
        if (listener.tls != 0) kept.insert(listener.slot);
    const std::lock_guard lock(mutex_);
    std::erase_if(ticket_keys_, [&](const auto& entry) {
        if (kept.contains(entry.first)) return false;
        pool_.set_context(entry.first, nullptr);
        return true;
    });
}

}  // namespace millrace::app
