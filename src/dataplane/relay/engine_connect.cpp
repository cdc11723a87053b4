// The way to a server: who may be chosen, from which of our addresses and ports, what a failure leads to.

#include <algorithm>

#include "dataplane/base/source_port.h"
#include "dataplane/relay/engine.h"
#include "dataplane/tcp/close.h"
#include "dataplane/tcp/setup.h"

namespace millrace::relay {
namespace {

constexpr uint32_t port_steps_max = 256;        // flow table lookups of one search
constexpr uint32_t port_steps_per_source = 16;  // before it tries another address
constexpr uint32_t port_steps_when_scarce = 8;  // of a search soon after one that found nothing
constexpr TimeUs ports_scarce_us = 10 * us_per_ms;
constexpr size_t other_counts_per_ms = 512;  // counters of other workers, each on a cache line of its own

}  // namespace

const config::Backend* Engine::backend_of(const Setup& setup) const {
    return config_->backend_of_slot(setup.backend_slot, setup.backend_since);
}

void Engine::connect_first(Ref r, const config::Backend& backend) {
    Setup& setup = setup_of(r);
    setup.backend_slot = backend.record->slot;
    setup.backend_since = backend.since;
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
            count_server(r, 1);
            if (server.tls) begin_tls(r, Side::server);
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

/// Reads some of the other workers' counts for least_conn, round and round, so that it takes a small part of a
/// millisecond however many servers and workers there are: each count is read about every
/// servers × workers / other_counts_per_ms milliseconds.
void Engine::read_other_counts() {
    const std::span<const ServerRecord> servers = config_->snapshot().servers();
    if (other_stats_.empty() || servers.empty()) return;
    const size_t budget = std::max<size_t>(other_counts_per_ms / other_stats_.size(), 1);
    for (size_t left = std::min(budget, servers.size()); left > 0; --left) {
        if (other_counts_at_ >= servers.size()) other_counts_at_ = 0;
        const ServerRecord& server = servers[other_counts_at_++];
        if (config_->backends()[server.backend].record->algorithm != Algorithm::least_conn) continue;
        uint64_t open = 0;
        for (const StatsBlock* block : other_stats_) open += block->servers[server.slot].open.load();
        open_elsewhere_[server.slot] = static_cast<uint32_t>(open);
    }
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
        candidates_[i] = {
            .slot = server.slot,
            .weight = weight,
            .usable = usable,
            .open = static_cast<uint32_t>(server_stats(server.slot).open.load()) + open_elsewhere_[server.slot]};
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

/// Looks for a free source port, a few at a time at each source address in turn, and remembers where it ended: the next
/// search goes on there. So neither many full addresses nor a nearly full one hold up the worker for long; a server for
/// which nothing was found within the limit counts as exhausted for now.
Engine::OpenResult Engine::open_to(Ref r, const IpAddress& server, uint16_t port, uint16_t server_slot,
                                   const config::Backend* backend) {
    const std::optional<config::NextHop> hop = config_->routes().lookup(server);
    if (!hop) return OpenResult::unreachable;
    const auto pool = backend == nullptr ? std::span<const SourceRecord>{} : backend->sources;
    const auto locals = config_->local_addresses();
    const size_t count = pool.empty() ? locals.size() : pool.size();
    ServerState& state = servers_[server_slot];
    PortSearch search{.server = server,
                      .server_port = port,
                      .state = state,
                      .left = now_ < state.ports_scarce_until ? port_steps_when_scarce : port_steps_max};
    const uint32_t limit = search.left;
    OpenResult result = OpenResult::unreachable;
    for (size_t visited = 0; visited < count && search.left > 0; ++visited) {
        if (state.source_at >= count || fault(Fault::relay_source_search_starts_over)) state.source_at = 0;
        uint16_t id = state.source_at;
        SourceRecord range{.local_address = 0, .port_low = 1, .port_high = 65535, .reserved = 0};
        if (!pool.empty()) {
            range = pool[state.source_at];
            id = config_->local_id_of_record(range.local_address);
        }
        const config::LocalAddress& local = locals[id];
        const bool fits = local.address.is_v4() == server.is_v4() &&
                          (!pool.empty() || (local.present && local.interface == hop->interface));
        if (fits) result = open_from(r, id, range.port_low, range.port_high, search);
        if (result == OpenResult::opened) break;
        ++state.source_at;
    }
    if (backend != nullptr) stats_.backends[backend->record->slot].source_ports_tried += limit - search.left;
    if (result == OpenResult::no_port) state.ports_scarce_until = now_ + ports_scarce_us;
    return result;
}

Engine::OpenResult Engine::open_from(Ref r, uint16_t local_id, uint16_t port_low, uint16_t port_high,
                                     PortSearch& search) {
    Shard& shard = r.shard;
    const IpAddress& local = config_->local_addresses()[local_id].address;
    const auto ports = port_classes_.class_for(search.server, search.server_port, local, shard.number);
    const auto first = std::ranges::lower_bound(ports, port_low), last = std::ranges::upper_bound(ports, port_high);
    SourcePortWalk walk(std::span(first, last),
                        source_port_offset(shard.flow_key, local, search.server, search.server_port),
                        search.state.port_counter);
    for (uint32_t steps = std::min(search.left, port_steps_per_source); steps > 0; --steps) {
        const std::optional<uint16_t> port = walk.next();
        if (!port) break;
        --search.left;
        if (config_->find_listener(local, *port) != nullptr) continue;
        const uint32_t hash = shard.flow_hash(search.server, local, search.server_port, *port);
        if (find(shard, hash, {search.server, search.server_port, *port, local_id})) continue;
        if (!shard.flows.insert(hash, FlowValue::pack(r.index, Side::server))) {
            ++stats_.worker.relays_exhausted;
            break;
        }
        search.state.port_counter += walk.tried();
        const tcp::Context ctx = context(shard);
        const tcp::Tuple tuple{
            .local = local, .peer = search.server, .local_port = *port, .peer_port = search.server_port};
        r.relay.server_hot = {};
        r.relay.server_warm = {};
        tcp::open_active(ctx, r.relay.endpoint(Side::server), tuple, local_id, shard.time_wait.take(ctx, tuple));
        r.relay.set(flag_server_open);
        mark_ready(r);
        return OpenResult::opened;
    }
    search.state.port_counter += walk.tried();
    return OpenResult::no_port;
}

void Engine::on_server_connected(Ref r) {
    if (r.relay.phase == Phase::connecting) {
        server_stats(r.relay.server_slot).connect_time.add(now_ - setup_of(r).started);
        ++server_stats(r.relay.server_slot).opened;
        r.relay.server_active_ms = static_cast<uint32_t>(now_ / us_per_ms);
    } else if (r.relay.phase != Phase::stream) {
        return;
    }
    r.relay.has_tls(Side::server) ? begin_server_handshake(r) : on_server_ready(r);
}

/// What is said from now on reaches the server, through TLS if it speaks that.
void Engine::on_server_ready(Ref r) {
    if (r.relay.phase == Phase::stream) return on_stream_established(r);
    Setup& setup = setup_of(r);
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

/// No route leads to the server, or nobody there answers to its address.
void Engine::on_server_unreachable(Ref r) {
    if (r.relay.phase == Phase::stream) return close_stream(r, StreamEnd::unreachable);
    on_connect_failed(r, CloseReason::unreachable);
}

void Engine::on_connect_failed(Ref r, CloseReason reason) {
    ++server_stats(r.relay.server_slot).connect_failures;
    count_failure(r.relay.server_slot, backend_of(setup_of(r)));
    connect_next(r, reason);
}

/// Nothing of an answer has gone to the client yet, so another server may serve it.
void Engine::connect_next(Ref r, CloseReason reason) {
    Setup& setup = setup_of(r);
    const config::Backend* backend = backend_of(setup);
    abort_side(r, Side::server);
    if (r.relay.has_tls(Side::server)) end_tls(r, Side::server);
    if (setup.response != store::no_chunk && !fault(Fault::relay_tls_server_words_kept)) {
        r.shard.chunks.free(setup.response);
        setup.response = store::no_chunk;
    }
    const bool refused = reason == CloseReason::connect_refused || reason == CloseReason::tls_handshake;
    const bool ours = reason == CloseReason::tls_refused || reason == CloseReason::no_memory;
    const Failure failure{static_cast<uint16_t>(refused ? 502 : ours ? 503 : 504), reason};
    if (backend == nullptr || setup.retries_left == 0) return answer_error(r, failure.status, failure.reason);
    --setup.retries_left;
    ++stats_.backends[setup.backend_slot].retries;
    connect(r, *backend, failure);
}

void Engine::count_success(uint16_t slot) {
    servers_[slot].consecutive_failures = 0;
}

/// A handshake that got no well-formed answer in time. An ordinary request never counts against its server: how its
/// answer looks and how long it takes is up to the URL and the body that the client chose, and no client shall be able
/// to eject a server. For the same reason a well-formed refusal of a handshake does not count: whoever sends it lives.
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
