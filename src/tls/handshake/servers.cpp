#include "tls/handshake/servers.h"

#include <utility>

#include <millrace/assert.h>

namespace millrace::tls {
namespace {

constexpr uint64_t second_ns = 1'000'000'000;
constexpr uint64_t session_good_ns = 600 * second_ns;

}  // namespace

Servers::Servers(std::shared_ptr<const Context> context, Settings settings)
    : context_(std::move(context)), settings_(std::move(settings)) {
    MILLRACE_ASSERT(context_ && !context_->is_server());
}

void Servers::know(uint16_t slot, const Server& server) {
    const std::lock_guard lock(mutex_);
    Server& known = known_[slot].server;
    if (known.name.empty()) known = server;
}

/// Null when the slot had another server's session.
const Servers::Known* Servers::find(const ServerPeer& peer) const {
    const auto found = known_.find(peer.server_slot);
    return found != known_.end() && found->second.address == peer.address ? &found->second : nullptr;
}

Servers::Known* Servers::find(const ServerPeer& peer) {
    return const_cast<Known*>(std::as_const(*this).find(peer));
}

std::string Servers::name_of(const ServerPeer& peer) const {
    if (!settings_.server_name.empty()) return settings_.server_name;
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(peer.server_slot);
    const bool has_host = found != known_.end() && !found->second.server.host.empty();
    return has_host ? found->second.server.host : to_string(peer.address);
}

Owned<SSL_SESSION> Servers::session(const ServerPeer& peer) const {
    const std::lock_guard lock(mutex_);
    const Known* known = find(peer);
    return Owned<SSL_SESSION>(known != nullptr && known->session ? SSL_SESSION_dup(known->session.get()) : nullptr);
}

bool Servers::harvest(const ServerPeer& peer, std::optional<uint64_t> refused_ns, uint64_t now_ns) {
    if (!settings_.resume) return false;
    const std::lock_guard lock(mutex_);
    Known& known = known_[peer.server_slot];
    if (known.address != peer.address) known = {.server = known.server, .address = peer.address};
    // One that was stored meanwhile is not the one that was refused.
    if (refused_ns && known.session && known.stored_ns <= *refused_ns) {
        known.session.reset();
        known.due_ns = 0;
    }
    if (known.awaited || now_ns < known.due_ns) return false;
    return known.awaited = true;
}

void Servers::store(const ServerPeer& peer, Owned<SSL_SESSION> session, uint64_t now_ns) {
    const std::lock_guard lock(mutex_);
    Known* known = find(peer);
    if (known == nullptr) return;
    known->session = std::move(session);
    known->stored_ns = now_ns;
    known->due_ns = now_ns + session_good_ns;
    known->awaited = false;
}

void Servers::give_up(const ServerPeer& peer, uint64_t again_ns) {
    const std::lock_guard lock(mutex_);
    Known* known = find(peer);
    if (known == nullptr) return;
    known->due_ns = again_ns;
    known->awaited = false;
}

std::optional<std::string> Servers::failed(const ServerPeer& peer, const std::string& error, uint64_t now_ns) {
    const std::lock_guard lock(mutex_);
    if (Known* known = find(peer); known != nullptr && known->session) {  // perhaps it was the session's fault
        known->session.reset();
        known->due_ns = 0;
    }
    ++untold_;
    if (now_ns < tell_at_ns_) return std::nullopt;
    tell_at_ns_ = now_ns + second_ns;
    const uint64_t others = std::exchange(untold_, 0) - 1;
    const auto found = known_.find(peer.server_slot);
    std::string name = to_string(peer.address);
    if (found != known_.end() && !found->second.server.name.empty())
        name = settings_.backend + '/' + found->second.server.name + " (" + name + ')';
    return "no TLS with server " + name + ": " + error +
           (others == 0 ? std::string() : ", and " + std::to_string(others) + " more of its backend before");
}

}  // namespace millrace::tls
