#include "load/handshakes.h"

#include <algorithm>
#include <utility>

#include <millrace/assert.h>

namespace millrace::load {

std::shared_ptr<const tls::Context> make_tls_context(const TlsSettings& settings, std::string& error) {
    const tls::ContextSettings made_of{
        .version_min = settings.version, .version_max = settings.version, .protocols = {"http/1.1"}};
    std::shared_ptr<tls::Context> context = tls::Context::client(made_of, error);
    if (context == nullptr) return nullptr;
    if (settings.ca_pem.empty())
        context->trust_anybody();
    else if (!context->trust(settings.ca_pem, error))
        return nullptr;
    return context;
}

Handshakes::Handshakes(const TlsSettings& settings, size_t servers) : settings_(settings), servers_(servers) {
    std::string error;
    context_ = make_tls_context(settings, error);
    MILLRACE_ASSERT(context_ != nullptr);
}

/// Spreads the offers evenly.
bool Handshakes::offer() {
    offers_due_ += settings_.resume_share;
    if (offers_due_ < 1) return false;
    offers_due_ -= 1;
    return true;
}

bool Handshakes::awaits_session() const {
    return settings_.resume_share > 0 &&
           std::ranges::any_of(servers_, [](const Server& server) { return server.session == nullptr; });
}

void Handshakes::begin(uint32_t index, size_t server, TimeUs now) {
    SSL_SESSION* session = offer() ? servers_[server].session.get() : nullptr;
    auto handshake = std::make_unique<tls::Handshake>(
        context_, tls::HandshakeSettings{.server_name = settings_.name, .session = session});
    held_[index] = {std::move(handshake), server, now, session != nullptr};
}

Handshakes::Progress Handshakes::step(uint32_t index, tls::Bytes in, tls::Crypto& crypto, tls::Slot& slot, TimeUs now) {
    Held& held = held_.at(index);
    output_.clear();
    switch (held.handshake->step(in, output_)) {
        case State::under_way:
            break;
        case State::done:
            return finish(index, held, crypto, slot, now);
        case State::failed:
            return fail(index, held.handshake->error());
    }
    return {.state = State::under_way, .reads_along = false, .output = output_, .leftover = {}};
}

Handshakes::Progress Handshakes::finish(uint32_t index, Held& held, tls::Crypto& crypto, tls::Slot& slot, TimeUs now) {
    tls::Handshake& handshake = *held.handshake;
    Server& server = servers_[held.server];
    const bool resumed = handshake.resumed();
    if (held.offered && !resumed) server.session.reset();
    const bool wanted = settings_.resume_share > 0 && server.session == nullptr;
    if (wanted) server.session = handshake.session();
    const bool waits =
        wanted && server.session == nullptr && !server.read_along && settings_.version == tls::Version::tls13;
    if (waits) handshake.stay();
    if (!handshake.hand_over(crypto, slot, leftover_)) return fail(index, "the server agreed on an unknown suite");
    ++figures_.done;
    if (resumed) ++figures_.resumed;
    figures_.duration.record(now - held.began);
    server.read_along = server.read_along || waits;
    if (!waits) held_.erase(index);
    const bool reads_along = waits && read_along(index, {});
    return {.state = State::done, .reads_along = reads_along, .output = output_, .leftover = leftover_};
}

Handshakes::Progress Handshakes::fail(uint32_t index, const std::string& error) {
    ++figures_.failed;
    figures_.error = error;
    held_.erase(index);
    return {.state = State::failed, .reads_along = false, .output = output_, .leftover = {}};
}

bool Handshakes::read_along(uint32_t index, tls::Bytes records) {
    const Held& held = held_.at(index);
    held.handshake->read_along(records);
    servers_[held.server].session = held.handshake->session();
    if (servers_[held.server].session == nullptr) return true;
    end(index);
    return false;
}

void Handshakes::end(uint32_t index) {
    const auto found = held_.find(index);
    if (found == held_.end()) return;
    if (found->second.handshake->state() == State::under_way) {
        fail(index, "the connection ended");
        return;
    }
    servers_[found->second.server].read_along = false;
    held_.erase(found);
}

}  // namespace millrace::load
