#include "load/workload_exchange.h"

namespace millrace::load {
namespace {

constexpr uint32_t sends_per_round = 32;

}  // namespace

void Idle::start(TimeUs now) {
    hold_until_ = now + static_cast<TimeUs>(run_.settings().hold_s * 1e6);
}

bool Idle::sending(TimeUs now) const {
    return holding(now) || at_ < run_.engine().pool(Role::client).high_water();
}

bool Idle::poll(TimeUs now) {
    if (holding(now)) return false;
    const uint32_t end = run_.engine().pool(Role::client).high_water();
    uint32_t sent = 0;
    while (at_ < end && sent < sends_per_round && outstanding() < outstanding_max && run_.engine().can_send()) {
        const Ref ref = Ref::of(Role::client, at_);
        run_.engine().pool(Role::client).prefetch(at_ + 4);
        if (run_.engine().is_open(ref)) {
            if (!run_.request(ref, now)) break;
            ++asked_;
            ++sent;
        }
        ++at_;
    }
    return sent != 0;
}

void Idle::on_message(Ref ref, const Message& message) {
    Connection& connection = run_.engine().at(ref);
    if (message.kind() != Kind::reply || connection.has(flag_proven)) return;
    connection.set(flag_proven);
    ++answered_;
    ++run_.figures().connections.proven_alive;
}

/// One that ends while it is asked gives no answer.
void Idle::on_end(Ref ref, Phase phase, End) {
    const Connection& connection = run_.engine().at(ref);
    const bool asked = ref.role() == Role::client && phase == Phase::open && connection.sent != 0;
    if (asked && !connection.has(flag_proven)) ++answered_;
}

void Echo::start(TimeUs now) {
    ends_at_ = now + static_cast<TimeUs>(run_.settings().seconds * 1e6);
}

bool Echo::ask(Ref ref, TimeUs now) {
    if (!run_.engine().is_open(ref) || !run_.request(ref, now)) return false;
    ++asked_;
    return true;
}

/// Begins the loops; the replies keep them going.
bool Echo::poll(TimeUs now) {
    const uint32_t end = run_.engine().pool(Role::client).high_water();
    uint32_t sent = 0;
    while (at_ < end && sent < sends_per_round && run_.engine().can_send()) {
        ask(Ref::of(Role::client, at_), now);
        ++sent;
        if (++begun_ < run_.settings().depth) continue;
        begun_ = 0;
        ++at_;
    }
    return sent != 0;
}

void Echo::on_message(Ref ref, const Message& message) {
    if (message.kind() != Kind::reply) return;
    ++answered_;
    const TimeUs now = run_.engine().now();
    if (now < ends_at_) ask(ref, now);
}

bool Serve::poll(TimeUs now) {
    if (run_.servers_open() != 0) seen_at_ = now;
    return false;
}

}  // namespace millrace::load
