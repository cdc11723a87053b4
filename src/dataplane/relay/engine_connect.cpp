// The way to a server: who may be chosen, from which of our addresses and ports, what a failure leads to.

#include <algorithm>

#include "dataplane/base/source_port.h"
#include "dataplane/relay/engine.h"
#include "dataplane/tcp/close.h"
#include "dataplane/tcp/setup.h"

namespace millrace::relay {
const config::Backend* Engine::backend_of(const Setup& setup) const {
    for (const config::Backend& backend : config_->backends())
        if (backend.record->slot == setup.backend_slot) return &backend;
    return nullptr;
}

void Engine::connect_first(Ref r, const config::Backend& backend) {
    Setup& setup = setup_of(r);
    setup.backend_slot = backend.record->slot;
    setup.retries_left = backend.record->retries;
    connect(r, backend, {503, CloseReason::no_server});
}

/// Chooses a server and starts the connection; goes on to the next candidate while no source port can be had. `failure`
/// is what the client is told when nobody is left.
void Engine::connect(Ref r, const config::Backend& backend, Failure failure) {
    BackendStats& stats = stats_.backends[backend.record->slot];
    Setup& setup = setup_of(r);
    while (true) {
        const std::optional<uint16_t> slot = choose_server(backend, setup);
        if (!slot || !setup.tried.add(*slot)) {
            if (failure.reason == CloseReason::no_server) ++stats.no_server;
            return answer_error(r, failure.status, failure.reason);
        }
        const config::ServerBySlot& server = config_->server_by_slot(*slot);
        set_phase(r, Phase::connecting, now_ + backend.record->connect_timeout_ms * us_per_ms);
        const OpenResult result = open_to(r, server.address, server.port, *slot, &backend);
        if (result == OpenResult::opened) {
            r.relay.server_slot = *slot;
            r.relay.set(flag_server_counted);
            ++server_stats(*slot).open;
            return;
        }
        const bool no_port = result == OpenResult::no_port;
        if (no_port) ++stats.source_ports_exhausted;
        failure = {503, no_port ? CloseReason::no_source_port : CloseReason::unreachable};
        if (setup.retries_left == 0) return answer_error(r, failure.status, failure.reason);
        --setup.retries_left;
    }
}

bool Engine::is_ejected(uint16_t slot) const {
    return servers_[slot].ejected_until > now_;
}

uint32_t Engine::open_on(uint16_t slot) const {
    uint64_t open = stats_.servers[slot].open;
    for (const StatsBlock* block : other_stats_) open += block->servers[slot].open;
    return static_cast<uint32_t>(open);
}

/// Fills candidates_ with the backend's servers as `tier` sees them; true when any but those tried may be chosen.
bool Engine::fill_candidates(const config::Backend& backend, Tier tier, const balance::ExcludedSlots& tried) {
    bool any = false;
    for (size_t i = 0; i < backend.servers.size(); ++i) {
        const ServerRecord& server = backend.servers[i];
        const ServerControl::Value control = control_.server(server.slot);
        ServerState& state = servers_[server.slot];
        if (control.reset_count != state.reset_count) {
            state.reset_count = control.reset_count;
            state.ejected_until = 0;
            state.consecutive_failures = 0;
        }
        bool usable = control.admin == AdminState::enabled;
        if (tier != Tier::enabled) usable = usable && control.probe != ProbeState::down;
        if (tier == Tier::healthy) usable = usable && !is_ejected(server.slot);
        const uint16_t weight = control.weight == ServerControl::weight_of_snapshot ? server.weight : control.weight;
        candidates_[i] = {.slot = server.slot, .weight = weight, .usable = usable, .open = open_on(server.slot)};
        any = any || balance::eligible(candidates_[i], tried);
    }
    return any;
}

/// Ejection never takes the last server: when all that their probes call up are ejected or tried, the ejected ones are
/// tried again.
std::optional<uint16_t> Engine::choose_server(const config::Backend& backend, const Setup& setup) {
    const bool any =
        fill_candidates(backend, Tier::healthy, setup.tried) || fill_candidates(backend, Tier::probed, setup.tried) ||
        (backend.record->when_all_down == WhenAllDown::try_all && fill_candidates(backend, Tier::enabled, setup.tried));
    if (!any) return std::nullopt;
    const size_t count = backend.servers.size();
    const balance::Pool pool{.servers = std::span(candidates_).first(count),
                             .credits = std::span(credits_).subspan(backend.record->first_server, count),
                             .maglev_table = backend.maglev_table};
    return balance::pick(backend.record->algorithm, pool,
                         {.hash = setup.balance_hash, .random = random(), .excluded = setup.tried});
}

Engine::OpenResult Engine::open_to(Ref r, const IpAddress& server, uint16_t port, uint16_t server_slot,
                                   const config::Backend* backend) {
    const std::optional<config::NextHop> hop = config_->routes().lookup(server);
    if (!hop) return OpenResult::unreachable;
    OpenResult result = OpenResult::unreachable;
    if (backend != nullptr && !backend->sources.empty()) {
        for (const SourceRecord& source : backend->sources) {
            const uint16_t local_id = config_->local_id_of_record(source.local_address);
            if (config_->local_addresses()[local_id].address.is_v4() != server.is_v4()) continue;
            result = open_from(r, local_id, source.port_low, source.port_high, server, port, server_slot);
            if (result == OpenResult::opened) break;
        }
        return result;
    }
    const auto locals = config_->local_addresses();
    for (size_t id = 0; id < locals.size() && result != OpenResult::opened; ++id) {
        const config::LocalAddress& local = locals[id];
        if (!local.present || local.interface != hop->interface || local.address.is_v4() != server.is_v4()) continue;
        result = open_from(r, static_cast<uint16_t>(id), 1, 65535, server, port, server_slot);
    }
    return result;
}

Engine::OpenResult Engine::open_from(Ref r, uint16_t local_id, uint16_t port_low, uint16_t port_high,
                                     const IpAddress& server, uint16_t server_port, uint16_t server_slot) {
    Shard& shard = r.shard;
    const IpAddress& local = config_->local_addresses()[local_id].address;
    uint32_t unused_counter = 0;
    uint32_t& counter = server_slot == no_slot ? unused_counter : servers_[server_slot].port_counter;
    SourcePortWalk walk(port_classes_.class_for(server, server_port, local, shard.number),
                        source_port_offset(shard.flow_key, local, server, server_port), counter);
    while (const std::optional<uint16_t> port = walk.next()) {
        if (*port < port_low || *port > port_high) continue;
        if (config_->find_listener(local, *port) != nullptr) continue;
        const uint32_t hash = shard.flow_hash(server, local, server_port, *port);
        if (find(shard, hash, {server, server_port, *port, local_id})) continue;
        if (!shard.flows.insert(hash, FlowValue::pack(r.index, Side::server))) {
            ++stats_.worker.relays_exhausted;
            return OpenResult::no_port;
        }
        counter += walk.tried();
        const tcp::Context ctx = context(shard);
        const tcp::Tuple tuple{.local = local, .peer = server, .local_port = *port, .peer_port = server_port};
        r.relay.server_hot = {};
        r.relay.server_warm = {};
        tcp::open_active(ctx, r.relay.endpoint(Side::server), tuple, local_id, shard.time_wait.take(ctx, tuple));
        r.relay.set(flag_server_open);
        mark_ready(r);
        return OpenResult::opened;
    }
    return OpenResult::no_port;
}

void Engine::on_server_connected(Ref r) {
    if (r.relay.phase == Phase::stream) return on_stream_established(r);
    if (r.relay.phase != Phase::connecting) return;
    Setup& setup = setup_of(r);
    server_stats(r.relay.server_slot).connect_time.add(now_ - setup.started);
    ++server_stats(r.relay.server_slot).opened;
    r.relay.server_active_ms = static_cast<uint32_t>(now_ / us_per_ms);
    const config::Listener* listener = config_->listener_of_slot(r.relay.listener_slot);
    if (listener != nullptr && listener->record->mode == ListenerMode::tcp) {
        count_success(r.relay.server_slot);
        return start_relaying(r);
    }
    set_phase(r, Phase::awaiting_response, now_ + response_timeout(setup));
    send_request(r);
}

TimeUs Engine::response_timeout(const Setup& setup) const {
    const config::Backend* backend = backend_of(setup);
    return (backend == nullptr ? 10'000 : backend->record->upgrade_timeout_ms) * us_per_ms;
}

/// Nothing of an answer has gone to the client yet, so another server may serve it.
void Engine::on_connect_failed(Ref r, CloseReason reason) {
    Setup& setup = setup_of(r);
    const config::Backend* backend = backend_of(setup);
    ++server_stats(r.relay.server_slot).connect_failures;
    count_failure(r.relay.server_slot, backend);
    abort_side(r, Side::server);
    const Failure failure{static_cast<uint16_t>(reason == CloseReason::connect_timeout ? 504 : 502), reason};
    if (backend == nullptr || setup.retries_left == 0) return answer_error(r, failure.status, failure.reason);
    --setup.retries_left;
    ++stats_.backends[setup.backend_slot].retries;
    connect(r, *backend, failure);
}

void Engine::count_success(uint16_t slot) {
    servers_[slot].consecutive_failures = 0;
}

/// An ordinary request never counts against its server: how its answer looks and how long it takes is up to the URL and
/// the body that the client chose, and no client shall be able to eject a server.
void Engine::count_bad_upgrade(Ref r) {
    const Setup& setup = setup_of(r);
    if (setup.kind != http::RequestKind::websocket) return;
    ++server_stats(r.relay.server_slot).upgrade_failures;
    count_failure(r.relay.server_slot, backend_of(setup));
}

void Engine::count_failure(uint16_t slot, const config::Backend* backend) {
    ServerState& state = servers_[slot];
    ++state.consecutive_failures;
    if (backend == nullptr || backend->record->eject_after == 0) return;
    if (state.consecutive_failures < backend->record->eject_after) return;
    state.consecutive_failures = 0;
    state.ejected_until = now_ + backend->record->eject_ms * us_per_ms;
    ++server_stats(slot).ejections;
}

}  // namespace millrace::relay
