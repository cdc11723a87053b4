#include "control/health/checker.h"

#include <algorithm>

#include "dataplane/base/fault.h"

namespace millrace::control {

namespace {

constexpr uint64_t retry_ms = 100;       // after the dataplane refused a probe for want of room
constexpr uint64_t idle_tick_ms = 1000;  // with nothing due

/// A worker publishes its heartbeat every 10 ms. Longer than this without one, and a probe's time was not the server's.
uint64_t stands_still_ms(uint32_t timeout_ms) {
    return std::max<uint64_t>(20, timeout_ms / 4);
}

bool same_target(const ProbedServer& a, const ProbedServer& b) {
    return a.address == b.address && a.port == b.port && a.check == b.check;
}

}  // namespace

void Checker::configure(const std::vector<ProbedServer>& servers, uint64_t now_ms) {
    std::map<uint16_t, Server> next;
    for (const ProbedServer& wanted : servers) {
        const auto old = servers_.find(wanted.slot);
        if (old != servers_.end() && same_target(old->second.what, wanted)) {
            next.insert(servers_.extract(old));
            continue;
        }
        Server server;
        server.what = wanted;
        server.health = HealthState(wanted.state);
        server.due_ms = now_ms;
        next.emplace(wanted.slot, std::move(server));
    }
    for (auto& [slot, gone] : servers_) {
        if (gone.stream == 0) continue;
        streams_.close(slot, gone.stream);
        by_stream_.erase(gone.stream);
    }
    servers_ = std::move(next);
}

uint64_t Checker::tick(uint64_t now_ms) {
    uint64_t next = now_ms + idle_tick_ms;
    for (auto& [slot, server] : servers_) {
        const uint32_t timeout_ms = server.what.check.timeout_ms;
        const uint64_t deadline_ms = server.started_ms + timeout_ms;
        const uint64_t still_ms = stands_still_ms(timeout_ms);
        const uint64_t proven_ms = fault(Fault::control_blames_server_for_dead_dataplane)
                                       ? now_ms
                                       : std::min(now_ms, streams_.heartbeat_ms(slot));
        const bool stands_still = now_ms - proven_ms > still_ms;
        if (server.stream != 0) {
            server.disturbed |= stands_still;
            if (proven_ms >= deadline_ms) time_out(server, now_ms, true);
        }
        if (server.stream == 0 && now_ms >= server.due_ms) {
            if (stands_still)
                server.due_ms = now_ms + retry_ms;
            else
                start(server, now_ms);
        }
        // Past its deadline a probe only waits for a heartbeat; before, a worker that stands still must not be missed.
        if (server.stream != 0)
            next = std::min({next, std::max(server.started_ms + timeout_ms, now_ms + 10), now_ms + still_ms / 2});
        else
            next = std::min(next, server.due_ms);
    }
    return next;
}

void Checker::time_out(Server& server, uint64_t now_ms, bool close_stream) {
    if (server.disturbed)
        server.probe->give_up("its worker stood still meanwhile");
    else
        server.probe->closed(StreamEnd::timed_out);
    finish(server, now_ms, close_stream);
}

void Checker::start(Server& server, uint64_t now_ms) {
    StreamOpen request{};
    request.id = next_id_++;
    request.server = server.what.address;
    request.port = server.what.port;
    request.server_slot = server.what.slot;
    request.timeout_ms = server.what.check.timeout_ms;
    request.tls = server.what.check.tls;
    if (!streams_.open(request)) {
        server.due_ms = now_ms + retry_ms;
        return;
    }
    server.stream = request.id;
    server.started_ms = now_ms;
    server.disturbed = false;
    server.probe = std::make_unique<Probe>(server.what.check, random_());
    by_stream_[request.id] = server.what.slot;
    const uint64_t interval = server.what.check.interval_ms;
    server.due_ms = now_ms + interval * (900 + random_() % 201) / 1000;
}

void Checker::finish(Server& server, uint64_t now_ms, bool close_stream) {
    const Verdict verdict = server.probe->verdict();
    ProbeSummary& summary = server.summary;
    summary.last_reason = server.probe->reason();
    summary.last_duration_ms = static_cast<uint32_t>(now_ms - server.started_ms);
    if (close_stream) streams_.close(server.what.slot, server.stream);
    by_stream_.erase(server.stream);
    server.stream = 0;
    server.probe.reset();
    if (verdict == Verdict::inconclusive) {
        ++summary.inconclusive;
        server.due_ms = now_ms + retry_ms;
        return;
    }
    ++(verdict == Verdict::pass ? summary.passes : summary.failures);
    if (server.health.take(verdict == Verdict::pass, server.what.check.rise, server.what.check.fall))
        on_change_(server.what.slot, server.health.state(), summary.last_reason);
}

Checker::Server* Checker::find(uint64_t stream) {
    const auto entry = by_stream_.find(stream);
    return entry == by_stream_.end() ? nullptr : &servers_.at(entry->second);
}

void Checker::after_input(Server& server, std::span<const std::byte> to_send, uint64_t now_ms) {
    if (server.probe->verdict() != Verdict::pending) return finish(server, now_ms, true);
    if (to_send.empty() || streams_.send(server.what.slot, server.stream, to_send)) return;
    server.probe->closed(StreamEnd::no_memory);
    finish(server, now_ms, true);
}

void Checker::stream_opened(uint64_t id, uint64_t now_ms) {
    if (Server* server = find(id)) after_input(*server, server->probe->opened(), now_ms);
}

void Checker::stream_data(uint64_t id, std::span<const std::byte> bytes, uint64_t now_ms) {
    if (Server* server = find(id)) after_input(*server, server->probe->received(bytes), now_ms);
}

void Checker::stream_closed(uint64_t id, StreamEnd end, uint64_t now_ms) {
    Server* server = find(id);
    if (server == nullptr) return;
    if (end == StreamEnd::timed_out) return time_out(*server, now_ms, false);
    server->probe->closed(end);
    finish(*server, now_ms, false);
}

void Checker::reset(uint64_t now_ms) {
    by_stream_.clear();
    for (auto& [slot, server] : servers_) {
        server.stream = 0;
        server.probe.reset();
        server.due_ms = now_ms;
    }
}

const ProbeSummary* Checker::summary(uint16_t slot) const {
    const auto entry = servers_.find(slot);
    return entry == servers_.end() ? nullptr : &entry->second.summary;
}

}  // namespace millrace::control
