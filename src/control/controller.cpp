#include "control/controller.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <millrace/run_directory.h>

#include "control/servers.h"

namespace millrace::control {

namespace {

constexpr uint64_t refresh_us = 50'000;
constexpr uint64_t sample_us = 1'000'000;
constexpr int busy_turn_ms = 2;     // while the dataplane owes us something
constexpr int capture_turn_ms = 1;  // the rings fill fast
constexpr int idle_turn_ms = 50;

uint64_t unix_ms() {
    using namespace std::chrono;
    return static_cast<uint64_t>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

template <typename Struct>
bool read(std::span<const std::byte> bytes, Struct& out) {
    if (bytes.size() < sizeof out) return false;
    std::memcpy(&out, bytes.data(), sizeof out);
    return true;
}

const char* text_of(ProbeState state) {
    return state == ProbeState::up ? "up" : state == ProbeState::down ? "down" : "unknown";
}

}  // namespace

uint64_t monotonic_us() {
    using namespace std::chrono;
    return static_cast<uint64_t>(duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count());
}

// Ids count up from the clock, in steps far below its pace: a restarted control meets none of its predecessor's.
Controller::Controller(std::string instance, std::string config_path)
    : instance_(std::move(instance)),
      config_path_(std::move(config_path)),
      start_unix_ms_(unix_ms()),
      next_request_(start_unix_ms_ << 20),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      names_(std::make_shared<Names>()) {}

Controller::~Controller() {
    release_callers();
    if (reload_thread_.joinable()) reload_thread_.join();
    if (wake_ >= 0) close(wake_);
}

bool Controller::open(std::string& error) {
    if (wake_ < 0) {
        error = "eventfd failed";
        return false;
    }
    if (!publisher_.open(run_directory(instance_, RunPart::control), error)) return false;
    link_ = std::make_unique<DataplaneLink>(run_directory(instance_, RunPart::dataplane), publisher_.commands());
    keys_ = std::make_unique<KeySender>(run_directory(instance_, RunPart::dataplane));
    checker_ = std::make_unique<Checker>(
        *link_,
        [this](uint16_t slot, ProbeState state, const std::string& reason) {
            ServerControl::Value value = publisher_.server(slot);
            value.probe = state;
            publisher_.set_server(slot, value);
            const auto known = names();
            spdlog::log(state == ProbeState::down ? spdlog::level::warn : spdlog::level::info, "server {}/{} is {}: {}",
                        known->backend_of_server(slot), known->server(slot), text_of(state), reason);
        },
        (start_unix_ms_ << 20) + 1, start_unix_ms_);
    if (publisher_.snapshot() != nullptr) names_ = names_->with(*publisher_.snapshot());
    return true;
}

int Controller::turn() {
    const uint64_t now_us = monotonic_us(), now_ms = now_us / 1000;
    if (now_us >= refresh_due_us_) {
        refresh_due_us_ = now_us + refresh_us;
        follow_dataplane(now_us);
    }
    link_->sample_heartbeats();
    link_->poll(
        [&](const MessageHeader& header, std::span<const std::byte> payload) { on_reply(header, payload, now_ms); });
    if (capture_) capture_->turn_done();
    run_calls();
    expire_requests(now_us);
    if (link_->alive() && now_ms >= probes_due_ms_) probes_due_ms_ = checker_->tick(now_ms);
    if (now_us >= sample_due_us_) {
        sample_due_us_ = now_us + sample_us;
        sample_loads();
    }
    if (capture_ && capture_->running()) return capture_turn_ms;
    if (checker_->under_way() != 0 || !waiting_.empty()) return busy_turn_ms;
    const uint64_t next_ms = link_->alive() ? probes_due_ms_ : now_ms + idle_turn_ms;
    return static_cast<int>(std::clamp<uint64_t>(next_ms - std::min(next_ms, now_ms), 1, idle_turn_ms));
}

void Controller::follow_dataplane(uint64_t now_us) {
    link_->refresh(now_us);
    keys_->follow(now_us);
    if (link_->error() != link_error_) {
        link_error_ = link_->error();
        if (!link_error_.empty()) spdlog::error("the dataplane's files can't be used: {}", link_error_);
    }
    follow_generation();
    if (link_->epoch() == epoch_) return;
    epoch_ = link_->epoch();
    checker_->reset(now_us / 1000);
    if (capture_) capture_->end("the dataplane went away");
    probes_due_ms_ = 0;
    loads_.clear();
    for (auto& [id, request] : waiting_) request.promise.set_value(std::nullopt);
    waiting_.clear();
    {
        std::lock_guard lock(mutex_);
        events_ = link_->events();
    }
    if (link_->alive() == was_alive_) return;
    was_alive_ = link_->alive();
    if (was_alive_)
        spdlog::info("dataplane is there: pid {}, {} workers, generation {}", link_->statistics().header().pid,
                     link_->worker_count(), link_->statistics().header().generation.load());
    else
        spdlog::warn("dataplane is away: no heartbeat; health states stay as they are");
}

void Controller::on_reply(const MessageHeader& header, std::span<const std::byte> payload, uint64_t now_ms) {
    StreamId stream;
    StreamClosed closed;
    switch (static_cast<MessageType>(header.type)) {
        case MessageType::stream_opened:
            if (read(payload, stream)) checker_->stream_opened(stream.id, now_ms);
            return;
        case MessageType::stream_data:
            if (read(payload, stream)) checker_->stream_data(stream.id, payload.subspan(sizeof stream), now_ms);
            return;
        case MessageType::stream_closed:
            if (read(payload, closed)) checker_->stream_closed(closed.id, closed.end, now_ms);
            return;
        case MessageType::captured:
            if (capture_ && capture_->id() == header.request_id) capture_->take(payload);
            return;
        default: {  // the answer to ask(), or of a newer dataplane
            const auto request = waiting_.find(header.request_id);
            if (request == waiting_.end()) return;
            request->second.promise.set_value(std::vector<std::byte>(payload.begin(), payload.end()));
            waiting_.erase(request);
            return;
        }
    }
}

void Controller::expire_requests(uint64_t now_us) {
    for (auto request = waiting_.begin(); request != waiting_.end();) {
        if (now_us < request->second.deadline_us) {
            ++request;
            continue;
        }
        request->second.promise.set_value(std::nullopt);
        request = waiting_.erase(request);
    }
}

void Controller::sample_loads() {
    const Statistics& statistics = link_->statistics();
    if (!statistics.is_open()) return loads_.clear();
    loads_.resize(statistics.worker_count());
    for (uint32_t worker = 0; worker < loads_.size(); ++worker) {
        const auto total = [&](std::string_view name) { return statistics.of_worker(worker, name).value_or(0); };
        WorkerLoad& load = loads_[worker];
        const WorkerLoad now{total("busy_cycles_total"), total("idle_cycles_total"), total("device_cycles_total"), 0};
        const double busy = static_cast<double>(now.busy - load.busy);
        const double all = static_cast<double>(now.busy + now.idle + now.device - load.busy - load.idle - load.device);
        load = now;
        load.busy_share = all > 0 ? std::clamp(busy / all, 0.0, 1.0) : 0;
    }
}

bool Controller::enqueue(std::function<void()> task) {
    {
        std::lock_guard lock(mutex_);
        if (released_) return false;
        calls_.push_back(std::move(task));
    }
    eventfd_write(wake_, 1);
    return true;
}

void Controller::run_calls() {
    eventfd_t ignored;
    eventfd_read(wake_, &ignored);
    std::deque<std::function<void()>> calls;
    {
        std::lock_guard lock(mutex_);
        calls.swap(calls_);
    }
    for (auto& call : calls) call();
}

void Controller::release_callers() {
    std::deque<std::function<void()>> calls;
    {
        std::lock_guard lock(mutex_);
        released_ = true;
        calls.swap(calls_);
    }
    reload_due_.notify_all();
    resolver_.give_up();
    for (auto& [id, request] : waiting_) request.promise.set_value(std::nullopt);
    waiting_.clear();
}

Reply Controller::ask(uint32_t worker, MessageType type, std::span<const std::byte> payload, int wait_ms) {
    const std::vector<std::byte> bytes(payload.begin(), payload.end());
    auto future = call([worker, type, bytes, wait_ms](Controller& self) -> std::shared_ptr<std::future<Reply>> {
        const uint64_t id = self.next_id();
        if (!self.link_->request(worker, type, id, bytes)) return nullptr;
        Waiting& request = self.waiting_[id];
        request.deadline_us = monotonic_us() + static_cast<uint64_t>(wait_ms) * 1000;
        return std::make_shared<std::future<Reply>>(request.promise.get_future());
    });
    if (!future || !*future) return std::nullopt;
    return (*future)->get();
}

std::shared_ptr<const EventsMapping> Controller::events() {
    std::lock_guard lock(mutex_);
    return events_;
}

std::shared_ptr<const Names> Controller::names() {
    std::lock_guard lock(mutex_);
    return names_;
}

}  // namespace millrace::control
