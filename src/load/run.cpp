#include "load/run.h"

#include <algorithm>
#include <cstdio>

namespace millrace::load {
namespace {

constexpr uint32_t opening_max = 512;  // connections in their handshakes at once
constexpr uint32_t opens_per_round = 16;
constexpr uint32_t closes_per_round = 32;
constexpr TimeUs stall_us = 10 * us_per_s;
constexpr TimeUs close_us_max = 30 * us_per_s;
constexpr TimeUs close_quiet_us = 200 * us_per_ms;
constexpr uint32_t spare_records = 4096;  // for health probes, and for ends that outlive their connection

TableLimits limits_of(const Settings& settings) {
    const bool churns = settings.workload == WorkloadKind::storm || settings.workload == WorkloadKind::mix;
    return {.clients = settings.client ? settings.connections + spare_records : 0,
            .servers = settings.server ? settings.connections + spare_records : 0,
            .chunk_bytes = settings.chunk_bytes,
            .time_wait = churns ? 1u << 20 : 1u << 16,
            .tls = settings.client && settings.tls,
            .huge_pages = settings.huge_pages};
}

}  // namespace

Run::Run(const Settings& settings, const config::RuntimeConfig& config, net::FrameSink& sink,
         std::vector<MacAddress> macs, TimeUs now, std::function<Cycles()> cycles)
    : settings_(settings),
      cycles_(std::move(cycles)),
      tables_(limits_of(settings), settings.seed, now),
      engine_(settings, config, sink, std::move(macs), tables_, *this),
      workload_(make_workload(*this)),
      now_(now),
      moved_at_(now),
      cycles_before_(cycles_()),
      random_state_(mix(settings.seed + 1) | 1),
      secret_(mix(settings.seed ^ now)),
      told_at_(now) {
    figures_.began = now;
}

Run::~Run() = default;

uint64_t Run::random() {
    random_state_ += 0x9e3779b97f4a7c15;
    return mix(random_state_);
}

uint64_t Run::token_of(uint32_t id, TimeUs sent_us) const {
    return mix(secret_ ^ mix(sent_us + (uint64_t{id} << 32)));
}

void Run::receive(std::span<const net::InboundFrame> frames, TimeUs now) {
    now_ = now;
    engine_.receive(frames, now);
}

bool Run::poll(TimeUs now) {
    now_ = now;
    bool worked = false;
    switch (stage_) {
        case Stage::ramp:
            worked = poll_ramp();
            if (ramped()) begin_work();
            break;
        case Stage::work:
            worked = workload_->poll(now);
            if (!workload_->sending(now)) end_work();
            break;
        case Stage::drain:
            if (workload_->outstanding() == 0) settle_account();
            break;
        case Stage::close:
            worked = close_some();
            break;
        case Stage::over:
            return false;
    }
    worked = engine_.poll(now) || worked;
    watch_for_stall();
    return worked;
}

bool Run::poll_ramp() {
    if (!settings_.client || settings_.workload == WorkloadKind::storm) return false;
    const double elapsed = static_cast<double>(now_ - figures_.began) / 1e6;
    const double due = settings_.ramp_rate == 0 ? 1e18 : settings_.ramp_rate * elapsed + 1;
    bool worked = false;
    for (uint32_t i = 0; i < opens_per_round && opening_ < opening_max; ++i) {
        const uint64_t asked = figures_.connections.asked;
        if (asked >= settings_.connections || static_cast<double>(asked) >= due || !engine_.can_send()) break;
        if (!open(false)) {
            stop("no address and port is left for another connection: give more --client-addresses or --target");
            break;
        }
        worked = true;
    }
    return worked;
}

bool Run::ramped() const {
    if (stage_ != Stage::ramp) return false;
    if (settings_.workload == WorkloadKind::storm) return settings_.client || servers_upgraded_ != 0;
    if (!settings_.client) return servers_upgraded_ >= settings_.connections;
    return figures_.connections.asked == settings_.connections && opening_ == 0;
}

bool Run::open(bool transient) {
    const OpenResult result = engine_.open(next_id_, transient);
    if (result != OpenResult::opened) return false;
    opened_at_[next_id_ % opened_at_.size()] = {next_id_, now_};
    ++next_id_;
    ++opening_;
    ++figures_.connections.asked;
    return true;
}

bool Run::send(Ref ref, Kind kind, TimeUs sent_us, uint64_t token) {
    return engine_.send(ref, kind, settings_.sizes.draw(random()), sent_us, token);
}

bool Run::request(Ref ref, TimeUs sent_us) {
    return send(ref, Kind::request, sent_us, token_of(engine_.at(ref).id, sent_us));
}

void Run::begin_work() {
    stage_ = Stage::work;
    moved_at_ = now_;
    figures_.work_began = now_;
    if (settings_.workload != WorkloadKind::idle) cycles_before_ = cycles_();
    workload_->start(now_);
}

void Run::end_work() {
    stage_ = Stage::drain;
    moved_at_ = now_;
    figures_.work_ended = now_;
    const Cycles after = cycles_();
    figures_.cycles = {after.busy - cycles_before_.busy, after.device - cycles_before_.device,
                       after.idle - cycles_before_.idle};
    figures_.connection_bytes = tables_.connection_bytes();
    figures_.ends = uint64_t{tables_.clients.high_water()} + tables_.servers.high_water();
}

/// Everything that will come has come: what did not is lost, where this process has seen both its ends.
void Run::settle_account() {
    if (stage_ == Stage::ramp || stage_ == Stage::work) end_work();
    const MessageCounts& seen = engine_.ledger().counts();
    const bool exchanges = settings_.workload == WorkloadKind::idle || settings_.workload == WorkloadKind::echo;
    const uint64_t accounted = seen.received + seen.corrupted + seen.crossed + seen.lost;
    if (settings_.client && (settings_.server || exchanges) && seen.sent > accounted)
        engine_.ledger().note_lost(seen.sent - accounted);
    messages_ = engine_.ledger().counts();
    stage_ = Stage::close;
    close_until_ = now_ + close_us_max;
    close_quiet_at_ = now_;
}

/// Ends the connections by resets, which leave nothing behind: the clients', then those of the servers' that the
/// balancer did not end meanwhile. Each time it waits until nothing comes any more: what lies in a memif ring when its
/// owner goes never arrives.
bool Run::close_some() {
    const Role role = close_role_;
    store::RecordPool<Connection>& pool = engine_.pool(role);
    bool worked = false;
    for (uint32_t closed = 0; closed < closes_per_round && close_at_ < pool.high_water() && engine_.can_send();
         ++close_at_) {
        if (!pool.is_live(close_at_)) continue;
        engine_.close(Ref::of(role, close_at_), true);
        ++closed;
        worked = true;
    }
    const uint64_t come = engine_.tcp_counters().segments_in;
    if (close_at_ < pool.high_water() || !engine_.settled() || come != close_came_) {
        close_came_ = come;
        close_quiet_at_ = now_;
    }
    if (now_ > close_until_) stage_ = Stage::over;
    if (now_ - close_quiet_at_ < close_quiet_us) return worked;
    if (role == Role::server) stage_ = Stage::over;
    close_role_ = Role::server;
    close_at_ = 0;
    return worked;
}

void Run::stop(const std::string& why) {
    if (stage_ == Stage::close || stage_ == Stage::over) return;
    figures_.trouble = why;
    settle_account();
}

void Run::watch_for_stall() {
    if (stage_ == Stage::close || stage_ == Stage::over) return;
    const uint64_t moved = engine_.ledger().counts().received + figures_.connections.upgraded + servers_upgraded_ +
                           figures_.connections.failed + figures_.sessions;
    const bool waits = stage_ != Stage::work || workload_->outstanding() != 0;
    if (moved != moved_ || !waits) {
        moved_ = moved;
        moved_at_ = now_;
    }
    if (static_cast<double>(now_ - figures_.began) > settings_.timeout_s * 1e6)
        return stop("the time of --timeout is over");
    const bool awaited = settings_.client || servers_upgraded_ != 0;  // a server waits for its first client
    if (now_ - moved_at_ < stall_us || !awaited) return;
    if (stage_ == Stage::drain) return settle_account();
    if (stage_ == Stage::work) return stop("nothing has come for ten seconds of what is under way");
    const bool silent = engine_.tcp_counters().segments_in == 0;
    stop(silent ? "no answer: is the balancer there, on this network, and is its address among those of --target?"
                : "no new connection for ten seconds; an HTTP status other than 101 came last: " +
                      std::to_string(engine_.last_status()));
}

void Run::on_upgraded(Ref ref) {
    const Connection& connection = engine_.at(ref);
    if (ref.role() == Role::server) {
        if (connection.id == no_id) return;
        ++servers_upgraded_;
        ++servers_open_;
        if (!settings_.client) ++figures_.connections.upgraded;
    } else {
        --opening_;
        ++figures_.connections.upgraded;
        const OpenedAt& opened = opened_at_[connection.id % opened_at_.size()];
        if (opened.id == connection.id) figures_.connect.record(now_ - opened.at);
    }
    workload_->on_upgraded(ref);
}

void Run::on_message(Ref ref, const Message& message) {
    if (ref.role() == Role::client) {
        if (message.kind() == Kind::reply) {
            if (message.token != token_of(message.id, message.sent_us)) return engine_.ledger().note_corrupted();
            ++figures_.requests_answered;
        } else if (message.kind() == Kind::push) {
            ++figures_.pushes_arrived;
        }
    }
    if (message.kind() == Kind::bulk) ++figures_.bulk_arrived;
    if (message.kind() != Kind::request) figures_.latency.record(now_ - std::min(now_, message.sent_us));
    workload_->on_message(ref, message);
}

void Run::on_end(Ref ref, End end) {
    const Connection& connection = engine_.at(ref);
    const Phase phase = connection.phase;
    if (ref.role() == Role::server) {
        if (connection.id != no_id && phase != Phase::upgrading && servers_open_ > 0) --servers_open_;
    } else if (phase != Phase::open && phase != Phase::closing) {
        --opening_;
        if (stage_ != Stage::close) ++figures_.connections.failed;
    } else if (end != End::closed && stage_ != Stage::close) {
        ++figures_.connections.closed_by_peer;
    }
    workload_->on_end(ref, phase, end);
}

bool Run::succeeded() const {
    const ConnectionCounts& c = figures_.connections;
    const bool proven = settings_.workload != WorkloadKind::idle || !settings_.client || c.proven_alive == c.asked;
    const bool complete = !settings_.client || c.upgraded == c.asked;
    return figures_.trouble.empty() && complete && proven && c.failed == 0 && c.closed_by_peer == 0 &&
           messages_.faultless();
}

const char* Run::stage_name() const {
    switch (stage_) {
        case Stage::ramp:
            return "ramp";
        case Stage::work:
            return "work";
        case Stage::drain:
            return "drain";
        case Stage::close:
            return "close";
        case Stage::over:
            break;
    }
    return "over";
}

std::string Run::progress(TimeUs now) {
    const double seconds = std::max(static_cast<double>(now - told_at_) / 1e6, 1e-6);
    const uint64_t received = engine_.ledger().counts().received;
    const uint64_t upgraded = figures_.connections.upgraded;
    char line[200];
    std::snprintf(
        line, sizeof line, "%-5s %6.1f s | connections %llu of %u, %.0f/s | messages %.0f/s | p50 %llu us, p99 %llu us",
        stage_name(), static_cast<double>(now - figures_.began) / 1e6, static_cast<unsigned long long>(upgraded),
        settings_.connections, static_cast<double>(upgraded - told_upgraded_) / seconds,
        static_cast<double>(received - told_received_) / seconds,
        static_cast<unsigned long long>(figures_.latency.percentile(50)),
        static_cast<unsigned long long>(figures_.latency.percentile(99)));
    told_at_ = now;
    told_received_ = received;
    told_upgraded_ = upgraded;
    return line;
}

}  // namespace millrace::load
