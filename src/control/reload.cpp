// Controller's way from a configuration file to a configuration in force. Loading (which may wait for a name server)
// happens on the calling thread, publishing on the main thread, waiting for the dataplane on the calling thread again.
#include <chrono>
#include <spdlog/spdlog.h>
#include <utility>

#include "control/config/tls_files.h"
#include "control/controller.h"
#include "control/servers.h"

namespace millrace::control {

namespace {

uint64_t unix_ms() {
    using namespace std::chrono;
    return static_cast<uint64_t>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
    switch (level) {
        case LogLevel::error:
            return spdlog::level::err;
        case LogLevel::warning:
            return spdlog::level::warn;
        case LogLevel::debug:
            return spdlog::level::debug;
        case LogLevel::info:
            break;
    }
    return spdlog::level::info;
}

}  // namespace

bool Controller::slot_is_idle(SlotKind kind, uint16_t slot) {
    const Statistics& statistics = link_->statistics();
    // Without a stats file no dataplane has run since the machine started, so nothing holds a slot. A dataplane that
    // has died may have left relays behind for its successor: its last counts go on to stand.
    if (!statistics.is_open()) return link_->error().empty();
    if (!publisher_.knows(statistics.header().generation.load(std::memory_order_acquire))) return false;
    switch (kind) {
        case SlotKind::listener:
            return statistics.sum(StatScope::listener, slot, "open") == uint64_t{0};
        case SlotKind::server:
            return statistics.sum(StatScope::server, slot, "open") == uint64_t{0};
        case SlotKind::backend:
            break;
    }
    return true;  // relays pin listeners and servers; a backend's slot carries statistics alone
}

void Controller::configure_probes() {
    std::vector<ProbedServer> probed;
    for (const ServerView& server : servers_of(*publisher_.snapshot())) {
        const std::optional<HealthCheck> check = health_check_of(*config_, server);
        ServerControl::Value value = publisher_.server(server.slot);
        if (check) {
            probed.push_back({server.slot, server.address, server.port, *check, value.probe});
        } else if (!next_config_) {  // else the configuration that is in force may probe it: its last state stands
            value.probe = ProbeState::unknown;
            publisher_.set_server(server.slot, value);
        }
    }
    checker_->configure(probed, monotonic_us() / 1000);
    probes_due_ms_ = 0;
}

void Controller::go_by(Config config) {
    config_ = std::move(config);
    config_generation_ = publisher_.generation();
    spdlog::set_level(to_spdlog(config_->control.log_level));
    configure_probes();
}

/// Turns to the published configuration as soon as the dataplane has. True when it has.
bool Controller::follow_generation() {
    const Statistics& statistics = link_->statistics();
    const bool in_force = statistics.is_open() && publisher_.generation() != 0 &&
                          statistics.header().generation.load(std::memory_order_acquire) == publisher_.generation();
    if (in_force) publisher_.acknowledge();
    if (in_force && next_config_) {
        publisher_.show_published();
        go_by(*std::exchange(next_config_, std::nullopt));
    }
    return in_force;
}

void Controller::take_config(LoadResult loaded, ReloadResult& result) {
    result.diagnostics = std::move(loaded.diagnostics);
    const uint64_t generation_in_force =
        link_->statistics().is_open() ? link_->statistics().header().generation.load() : 0;
    const auto outcome = publisher_.publish(
        loaded.config, [this](SlotKind kind, uint16_t slot) { return slot_is_idle(kind, slot); }, generation_in_force,
        result.error,
        [&](const SnapshotView& next, uint64_t generation, std::string& error) {
            return keys_->set(keys_of(loaded.config, next, generation), error);
        });
    result.generation = publisher_.generation();
    if (outcome == PublishOutcome::failed) {
        result.outcome = ReloadOutcome::not_published;
        if (link_->statistics().is_open() && !publisher_.knows(generation_in_force))
            result.error += " (nothing is known of generation " + std::to_string(generation_in_force) +
                            ", which the dataplane has in force: restart millrace-dataplane)";
        last_error_ = result.error;
        return;
    }
    result.outcome = outcome == PublishOutcome::published ? ReloadOutcome::published : ReloadOutcome::unchanged;
    // Also when the snapshot is unchanged: health checks and control's own settings are not in it.
    next_config_ = std::move(loaded.config);
    loaded_unix_ms_ = unix_ms();
    last_error_.clear();
    {
        std::lock_guard lock(mutex_);
        names_ = names_->with(*publisher_.published());
    }
    if (follow_generation() || link_->alive()) return;
    // Nobody runs who could refuse it, and the next dataplane begins with it.
    publisher_.show_published();
    go_by(*std::exchange(next_config_, std::nullopt));
}

ReloadResult Controller::start_with(LoadResult loaded) {
    ReloadResult result;
    link_->refresh(monotonic_us());
    take_config(std::move(loaded), result);
    // Until the dataplane takes it (and if it never does), the servers in force are probed as this configuration says.
    if (next_config_ && publisher_.snapshot() != nullptr) go_by(*next_config_);
    log(result);
    return result;
}

ReloadResult Controller::reload() {
    std::lock_guard one_at_a_time(reload_mutex_);
    ReloadResult result;
    LoadOptions options;
    call([&](Controller& self) {
        const auto& last = self.next_config_ ? self.next_config_ : self.config_;
        if (last) options.last_addresses = last_addresses(last->backends);
        return true;
    });
    auto loaded = std::make_shared<LoadResult>(load_config(config_path_, resolver_, options));
    const bool ending = !call([](Controller&) { return true; });
    if (ending) {
        result.outcome = ReloadOutcome::not_published;
        result.error = "millrace-control is ending";
    } else if (!loaded->ok()) {
        result.diagnostics = loaded->diagnostics;
        call([error = to_string(loaded->diagnostics.front())](Controller& self) {
            self.last_error_ = error;
            return true;
        });
    } else {
        std::string error_before;
        call([&](Controller& self) {
            if (self.link_->statistics().is_open()) error_before = self.link_->statistics().config_error();
            self.take_config(std::move(*loaded), result);
            return true;
        });
        if (result.outcome == ReloadOutcome::unchanged) error_before.clear();  // it is of this one
        if (result.outcome == ReloadOutcome::published || result.outcome == ReloadOutcome::unchanged)
            wait_for_dataplane(result, error_before);
    }
    log(result);
    return result;
}

void Controller::wait_for_dataplane(ReloadResult& result, const std::string& error_before) {
    const uint64_t deadline = monotonic_us() + reload_wait_ms * 1000;
    for (;;) {
        std::string error;
        const auto state = call([&](Controller& self) {
            if (!self.link_->alive()) return Acknowledgement::dataplane_away;
            error = self.link_->statistics().config_error();
            return self.follow_generation() ? Acknowledgement::in_force : Acknowledgement::late;
        });
        result.acknowledgement = state.value_or(Acknowledgement::dataplane_away);
        if (result.acknowledgement != Acknowledgement::late) return;
        const bool over = monotonic_us() >= deadline;
        // The error of an earlier configuration may still stand there; only a new text tells of this one at once.
        if (!error.empty() && (error != error_before || over)) {
            result.acknowledgement = Acknowledgement::refused;
            result.dataplane_error = error;
            return;
        }
        if (over) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

void Controller::log(const ReloadResult& result) {
    for (const Diagnostic& diagnostic : result.diagnostics)
        spdlog::log(diagnostic.severity == Severity::error ? spdlog::level::err : spdlog::level::warn, "{}",
                    to_string(diagnostic));
    switch (result.outcome) {
        case ReloadOutcome::bad_file:
            spdlog::error("configuration refused, the old one stays in force: {} has errors", config_path_);
            return;
        case ReloadOutcome::not_published:
            spdlog::error("configuration not published, the old one stays in force: {}", result.error);
            return;
        case ReloadOutcome::unchanged:
            spdlog::info("configuration unchanged: generation {}", result.generation);
            break;
        case ReloadOutcome::published:
            spdlog::info("configuration published: generation {}", result.generation);
            break;
    }
    if (result.acknowledgement == Acknowledgement::refused)
        spdlog::error("the dataplane refused generation {}: {}", result.generation, result.dataplane_error);
    else if (result.acknowledgement == Acknowledgement::late)
        spdlog::warn("the dataplane has not taken generation {} within {} ms", result.generation, reload_wait_ms);
}

void Controller::reload_in_background() {
    {
        std::lock_guard lock(mutex_);
        reload_wanted_ = true;
    }
    reload_due_.notify_one();
    if (!reload_thread_.joinable()) reload_thread_ = std::thread([this] { run_reloads(); });
}

void Controller::run_reloads() {
    std::unique_lock lock(mutex_);
    for (;;) {
        reload_due_.wait(lock, [this] { return reload_wanted_ || released_; });
        if (released_) return;
        reload_wanted_ = false;
        lock.unlock();
        reload();
        lock.lock();
    }
}

}  // namespace millrace::control
