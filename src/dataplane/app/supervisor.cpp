#include "dataplane/app/supervisor.h"

#include <csignal>
#include <cstdio>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <time.h>

#include "dataplane/app/cores.h"
#include "dataplane/app/privileges.h"
#include "dataplane/port/burst.h"

namespace millrace::app {
namespace {

constexpr long look_interval_ns = 50'000'000;
constexpr long round_interval_ns = 100'000;

}  // namespace

Supervisor::Supervisor(Instance& instance, std::unique_ptr<const config::RuntimeConfig> config,
                       std::span<port::Orders> orders, ShareOut share_out, InForce in_force)
    : instance_(instance),
      config_(std::move(config)),
      orders_(orders),
      share_out_(std::move(share_out)),
      in_force_(std::move(in_force)),
      polling_(config_->snapshot().dataplane().worker_count) {
    instance_.stats().generation.store(config_->snapshot().generation());
    instance_.stats().polling_workers.store(polling_);
    for (port::Orders& order : orders_) {
        order.config.store(config_.get());
        order.polling.store(polling_);
    }
    thread_ = std::thread([this] { run(); });
}

Supervisor::~Supervisor() {
    ended_ = true;
    thread_.join();
}

void Supervisor::stop() {
    for (port::Orders& order : orders_) order.stop.store(true);
}

bool Supervisor::wait_for_signal(long timeout_ns) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    const timespec timeout{0, timeout_ns};
    return sigtimedwait(&signals, nullptr, &timeout) > 0;
}

void Supervisor::run() {
    drop_thread_capabilities();
    leave_worker_cores(config_->snapshot().dataplane());
    while (!ended_) {
        if (wait_for_signal(look_interval_ns)) stop();
        instance_.stats().heartbeat_us.store(port::monotonic_us(), std::memory_order_relaxed);
        if (stopping()) continue;
        if (const CommandsFile* commands = instance_.follow_commands(); commands != commands_) hand_over(commands);
        if (instance_.config_changed()) look_for_config();
    }
}

void Supervisor::hand_over(const CommandsFile* commands) {
    commands_ = commands;
    for (port::Orders& order : orders_) {
        order.commands.store(commands);
        order.round.fetch_add(1, std::memory_order_release);
    }
    if (wait_for_workers()) instance_.release_old_commands();
}

bool Supervisor::stopping() const {
    return std::ranges::any_of(orders_, [](const port::Orders& order) { return order.stop.load(); });
}

/// True when no worker uses any more what was in force before the latest round. False when they are told to stop
/// meanwhile: they take no more orders then, and go on using what they have until they end.
bool Supervisor::wait_for_workers() {
    for (port::Orders& order : orders_) {
        while (order.round_done.load(std::memory_order_acquire) != order.round.load()) {
            if (wait_for_signal(round_interval_ns)) stop();
            if (stopping()) return false;
        }
    }
    return true;
}

/// Lets so many workers poll from now on. Those that sleep are stopped first, so that the others stand still for no
/// longer than the move takes. When they are told to end meanwhile, they end with the shards that they have.
void Supervisor::set_polling(uint16_t polling) {
    const bool asleep = pause(orders_.subspan(polling_));
    const TimeUs stopped_at = port::monotonic_us();
    const bool still = asleep && pause(orders_.first(polling_));
    uint32_t moved = 0;
    if (still) {
        moved = share_out_(polling);
        polling_ = polling;
        for (port::Orders& order : orders_) order.polling.store(polling, std::memory_order_relaxed);
    }
    for (port::Orders& order : orders_) order.pause.store(false, std::memory_order_release);
    const TimeUs pause_us = port::monotonic_us() - stopped_at;
    if (!still) return;
    instance_.stats().polling_workers.store(polling, std::memory_order_relaxed);
    spdlog::info("{} of {} workers poll; {} shards changed their worker in a pause of {} us", polling, orders_.size(),
                 moved, pause_us);
}

/// Waits until they stand still. False when they are told to end: one that ends does not stand still.
bool Supervisor::pause(std::span<port::Orders> orders) {
    for (port::Orders& order : orders) order.pause.store(true);
    for (port::Orders& order : orders) {
        while (!order.paused.load(std::memory_order_acquire)) {
            if (stopping()) return false;
            sched_yield();
        }
    }
    return true;
}

void Supervisor::look_for_config() {
    std::string error;
    StatsHeader& stats = instance_.stats();
    std::unique_ptr<const config::RuntimeConfig> next;
    if (auto bytes = instance_.read_config(error))
        next = config::RuntimeConfig::compile(std::move(*bytes), config_.get(), error);
    std::snprintf(stats.config_error, sizeof stats.config_error, "%s", next ? "" : error.c_str());
    if (!next) {
        spdlog::error("the new configuration was refused, the old one stays in force: {}", error);
        return;
    }
    for (port::Orders& order : orders_) {
        order.config.store(next.get());
        order.round.fetch_add(1, std::memory_order_release);
    }
    retiring_ = std::exchange(config_, std::move(next));
    if (!wait_for_workers()) return;
    retiring_.reset();
    if (const uint16_t polling = config_->snapshot().dataplane().worker_count; polling != polling_)
        set_polling(polling);
    if (in_force_) in_force_(config_->snapshot());
    stats.generation.store(config_->snapshot().generation(), std::memory_order_release);
    spdlog::info("configuration generation {} is in force", config_->snapshot().generation());
}

}  // namespace millrace::app
