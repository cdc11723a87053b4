#include "load/workload_push.h"

#include <algorithm>

namespace millrace::load {
namespace {

constexpr uint32_t sends_per_round = 32;
constexpr uint32_t prefetch_ahead = 8;
constexpr TimeUs late_us_max = 10 * us_per_s;
constexpr uint64_t under_way_default = 1024;  // pushes under way when there is no rate and no --depth

}  // namespace

PushOrder::PushOrder(Run& run, uint32_t subset)
    : run_(run),
      all_(std::max(run.engine().pool(Role::server).high_water(), 1u), run.random()),
      size_(subset == 0 ? all_.size() : std::min(subset, all_.size())),
      order_(size_, run.random()) {}

bool PushOrder::takes_pushes(Ref ref) const {
    return run_.engine().is_open(ref) && !run_.engine().at(ref).has(flag_transient);
}

void PushOrder::advance() {
    if (++at_ == size_) {
        at_ = 0;
        order_ = Permutation(size_, run_.random());
    }
    run_.engine().pool(Role::server).prefetch(at((at_ + prefetch_ahead) % size_).index());
}

void Push::start(TimeUs now) {
    began_ = now;
    ends_at_ = now + static_cast<TimeUs>(run_.settings().seconds * 1e6);
    planned_ = static_cast<uint64_t>(run_.settings().rate * run_.settings().seconds);
    if (run_.settings().server) order_.emplace(run_, run_.settings().subset);
}

/// What fell due in time is sent, however late: else a balancer that holds the servers up would be spared it.
bool Push::sending(TimeUs now) const {
    const bool late = order_ && pushed_ < planned_ && now < ends_at_ + late_us_max;
    return now < ends_at_ || late;
}

uint64_t Push::outstanding() const {
    if (run_.settings().both()) return pushed_ - arrived_;
    // A server's end alone sees only that its bytes are acknowledged.
    return order_ ? run_.engine().bytes_under_way() / 256 : 0;
}

/// When the next push is to be sent; empty when none is before something has come.
std::optional<TimeUs> Push::next_due(TimeUs now) const {
    const Settings& settings = run_.settings();
    if (settings.rate > 0) {
        if (pushed_ == planned_) return std::nullopt;
        return began_ + static_cast<TimeUs>(static_cast<double>(pushed_) * 1e6 / settings.rate);
    }
    const uint64_t most = settings.depth > 1 ? settings.depth : under_way_default;
    return outstanding() < most ? std::optional(now) : std::nullopt;
}

bool Push::poll(TimeUs now) {
    if (!order_ || !sending(now)) return false;
    uint32_t sent = 0;
    for (uint32_t visited = 0; visited < sends_per_round && run_.engine().can_send(); ++visited) {
        const std::optional<TimeUs> due = next_due(now);
        if (!due || *due > now) break;
        const Ref ref = order_->current();
        if (order_->takes_pushes(ref)) {
            if (!run_.push(ref, Kind::push, *due)) break;
            ++pushed_;
            ++sent;
        }
        order_->advance();
    }
    return sent != 0;
}

void Push::on_message(Ref ref, const Message& message) {
    if (ref.role() == Role::client && message.kind() == Kind::push) ++arrived_;
}

void Bell::start(TimeUs now) {
    rung_at_ = now;
    ends_at_ = now + static_cast<TimeUs>(run_.settings().seconds * 1e6);
    if (run_.settings().server) order_.emplace(run_, 0);
}

/// Clients alone don't know when the bell rings: they listen until all have heard it, or the time is over.
bool Bell::sending(TimeUs now) const {
    if (order_) return visited_ < order_->size();
    return now < ends_at_ && arrived_ < run_.settings().connections;
}

bool Bell::poll(TimeUs) {
    uint32_t sent = 0;
    if (!order_) return false;
    for (; sent < sends_per_round && sending(rung_at_) && run_.engine().can_send(); ++visited_) {
        const Ref ref = order_->current();
        if (order_->takes_pushes(ref)) {
            if (!run_.push(ref, Kind::push, rung_at_)) break;
            ++pushed_;
            ++sent;
        }
        order_->advance();
    }
    return sent != 0;
}

void Bell::on_message(Ref ref, const Message& message) {
    if (ref.role() != Role::client || message.kind() != Kind::push) return;
    ++arrived_;
    const TimeUs now = run_.engine().now();
    run_.figures().bell_drain_us = now - std::min(now, message.sent_us);
}

}  // namespace millrace::load
