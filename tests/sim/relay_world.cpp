#include "tests/sim/relay_world.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "dataplane/wire/frame.h"
#include "tests/sim/http_text.h"
#include "tests/sim/transfer.h"

namespace millrace::sim {
namespace {

constexpr uint16_t server_port = 8080;
constexpr size_t raw_head_bytes = 8;  // "S" and the session's number: how a raw server learns which one it is
constexpr TimeUs run_us_max = 3600 * us_per_s;

std::string stream(uint64_t key, size_t size) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(stream_byte(key, i));
    return bytes;
}

/// Of structures that are nothing but 64-bit counts.
template <typename Totals>
void add(Totals& sum, const Totals& more) {
    auto* to = reinterpret_cast<uint64_t*>(&sum);
    const auto* from = reinterpret_cast<const uint64_t*>(&more);
    for (size_t i = 0; i < sizeof sum / sizeof(uint64_t); ++i) to[i] += from[i];
}

size_t first_difference(std::string_view a, std::string_view b) {
    return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

// The seed is mixed first: numbers from neighbouring seeds are the same ones, shifted.
RelayWorld::RelayWorld(uint64_t seed, TimeUs moves_us)
    : random_(Random(seed).next()),
      random_moves_(Random(~seed).next()),
      random_tls_(Random(seed ^ 0x746c73).next()),
      moves_us_(moves_us),
      network_(random_.next()) {
    plan_network();
    if (moves_us != 0) move_at_ = network_.now();
    const size_t sessions = random_.between(4, 8);
    for (size_t i = 0; i < sessions; ++i) plan_session(i);
}

RelayWorld::~RelayWorld() = default;

void RelayWorld::plan_network() {
    link_ = bad_weather(random_);
    std::vector<IpAddress> addresses;
    const uint8_t server_count = static_cast<uint8_t>(random_.between(2, 3));
    std::vector<bool> v6;
    for (uint8_t i = 1; i <= server_count; ++i) {
        v6.push_back(random_.chance(0.3));
        addresses.push_back(Station::address_of(true, i, v6.back()));
    }
    const bool one_refuses = random_.chance(0.3);
    SnapshotBuilder config = balancer_config(addresses, random_.chance(0.3) || moves_us_ != 0 ? 2 : 1);
    config.local_addresses.push_back({balancer_v6, 0, 64, {}});
    config.dataplane.send_queue_bytes = uint32_t{16384} << random_.below(4);
    config.dataplane.send_queue_max_bytes = uint32_t{16384} << random_.below(8);
    config.backends[0].algorithm = static_cast<Algorithm>(random_.below(4));
    if (random_.chance(0.3)) config.dataplane.syn_cookies = SynCookies::always;
    config.backends[0].connect_timeout_ms = 60'000;
    config.backends[0].upgrade_timeout_ms = 600'000;
    // Two timeouts in a row of a minute each are possible; silence of a peer that lost its RST has to end the run.
    config.backends[0].idle_timeout_ms = 900'000;
    add_tls_listeners(config);
    servers_speak_tls_ = random_tls_.chance(0.4);
    config.backends[0].tls = servers_speak_tls_;
    config.backends[0].handshake_timeout_ms = 300'000;
    for (ListenerRecord& listener : config.listeners) {
        listener.head_timeout_ms = listener.handshake_timeout_ms = 300'000;
        listener.idle_timeout_ms = 900'000;
    }
    balancer_ = std::make_unique<Balancer>(
        config, BalancerOptions{.seed = random_.next(), .ring_frames = static_cast<uint32_t>(random_.between(2, 256))},
        network_.now());
    network_.attach(*balancer_, balancer_mac, link_);
    for (uint8_t i = 1; i <= server_count; ++i) {
        servers_.push_back(std::make_unique<Station>(
            network_,
            StationOptions{
                .number = i, .server = true, .v6 = v6[i - 1u], .seed = random_.next(), .link = link_, .tcp = {}}));
        const auto handler = [this](Peer& peer) { on_server(peer); };
        if (i == 1 && one_refuses) continue;
        if (servers_speak_tls_)
            servers_.back()->listen_tls(server_port, {.version = random_version()}, handler);
        else
            servers_.back()->listen(server_port, handler);
    }
    for (uint8_t i = 1; i <= 3; ++i) {
        tcp::Options tcp;
        tcp.timestamps = random_.chance(0.7);
        tcp.mss_v4 = static_cast<uint16_t>(random_.between(500, 1460));
        tcp.mss_v6 = static_cast<uint16_t>(random_.between(1220, 1440));
        clients_.push_back(std::make_unique<Station>(network_, StationOptions{.number = i,
                                                                              .server = false,
                                                                              .v6 = random_.chance(0.3),
                                                                              .seed = random_.next(),
                                                                              .link = link_,
                                                                              .tcp = tcp}));
    }
    if (random_.chance(0.5)) plan_narrow_path();
}

tls::Version RelayWorld::random_version() {
    return random_tls_.chance(0.3) ? tls::Version::tls12 : tls::Version::tls13;
}

/// For a while the balancer's packets meet a narrower link, and whoever sends too large ones may not be told.
void RelayWorld::plan_narrow_path() {
    narrow_at_ = network_.now() + random_.below(3'000'000);
    wide_at_ = random_.chance(0.5) ? narrow_at_ + random_.below(20'000'000) : UINT64_MAX;
    narrow_mtu_ = static_cast<uint16_t>(random_.between(1280, 1499));  // the least that IPv6 must be given
    black_hole_ = random_.chance(0.5);
}

void RelayWorld::change_path(TimeUs now) {
    for (TimeUs* due : {&narrow_at_, &wide_at_}) {
        if (now < *due) continue;
        LinkOptions link = link_;
        link.mtu_bytes = due == &narrow_at_ ? narrow_mtu_ : uint16_t{0};
        link.black_hole = black_hole_;
        network_.set_link(balancer_mac, link);
        *due = UINT64_MAX;
    }
}

void RelayWorld::move_shards(TimeUs now) {
    // Handshakes don't outlive a move of their shard.
    const bool shaking = balancer_->worker_total(&relay::WorkerStats::relays_tls_handshake) != 0 ||
                         (servers_speak_tls_ && balancer_->worker_total(&relay::WorkerStats::relays_connecting) != 0);
    if (moves_us_ == 0 || shaking) return;
    // Relays that are ready between two polls are rare.
    const bool ready = balancer_->busy() && random_moves_.chance(0.2);
    if (now < move_at_ && !ready) return;
    move_at_ = now + random_moves_.below(2 * moves_us_);
    polling_ = polling_ == 1 ? 2 : 1;
    for (size_t number = 0; number < balancer_->shard_count(); ++number) {
        if (worker::owner_of(static_cast<uint32_t>(number), 2, 2) == 0) continue;
        relay::Shard& shard = balancer_->shard(number);
        moved_.relaying += shard.gauges.phase(relay::Phase::relaying);
        moved_.connecting += shard.gauges.phase(relay::Phase::connecting);
        moved_.half_open += shard.half_open.size();
        moved_.ready += shard.ready.size();
        moved_.parked += shard.parked.size();
    }
    moved_.shards += balancer_->share_out(polling_);
}

/// The first four sessions alone move 256 KiB each way.
void RelayWorld::plan_session(size_t number) {
    auto session = std::make_unique<Session>();
    session->number = number;
    session->station = clients_[random_.below(clients_.size())].get();
    session->tls = random_tls_.chance(0.4);
    session->starts_at = network_.now() + random_.below(500'000);
    const bool bulk = number < 4;
    session->kind = bulk ? (random_.chance(0.75) ? Kind::websocket : Kind::raw) : static_cast<Kind>(random_.below(8));
    session->ending = static_cast<Ending>(random_.below(bulk ? 3 : 5));
    const size_t least = bulk ? 65536 : 0;
    session->up = make_body(*session, true, least + random_.below(65536));
    session->down = make_body(*session, false, least + random_.below(65536));
    session->cut_at = random_.below(40'000);
    session->pause_at = random_.chance(0.3) ? random_.below(session->down.size() + 1) : SIZE_MAX;
    session->pause_us = random_.between(1, 3'000) * us_per_ms;
    sessions_.push_back(std::move(session));
}

/// Sets the head of that direction and returns what follows it.
std::string RelayWorld::make_body(Session& session, bool up, size_t size) {
    const std::string path = "/s/" + std::to_string(session.number);
    const std::string post = "POST " + path + " HTTP/1.1\r\nHost: sim.test\r\n";
    const std::string content = stream(random_.next(), size);
    std::string& head = up ? session.request : session.answer;
    const std::string length = "Content-Length: " + std::to_string(size) + "\r\n\r\n";
    switch (session.kind) {
        case Kind::websocket:
            head = up ? upgrade_request(path) : upgrade_answer();
            return content;
        case Kind::raw: {
            char text[raw_head_bytes + 1];
            std::snprintf(text, sizeof text, "S%07zu", session.number);
            head = up ? text : "";
            return content;
        }
        case Kind::refused_upgrade:
            head = up ? upgrade_request(path) : "HTTP/1.1 403 Forbidden\r\n" + length;
            return up ? "" : content;
        case Kind::post:
            head = up ? post + length : "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + length;
            return content;
        case Kind::post_chunked:
        case Kind::get_chunked: {
            const bool body = !up || session.kind == Kind::post_chunked;
            const std::string framing = "Transfer-Encoding: chunked\r\n\r\n";
            head = !up    ? "HTTP/1.1 200 OK\r\n" + framing
                   : body ? post + framing
                          : "GET " + path + " HTTP/1.1\r\nHost: sim.test\r\n\r\n";
            return body ? chunked(content, 1 + random_.below(3000)) : "";
        }
        case Kind::get:
        case Kind::get_until_close:
            head = up ? "GET " + path + " HTTP/1.1\r\nHost: sim.test\r\n\r\n"
                      : "HTTP/1.1 200 OK\r\n" + (session.kind == Kind::get ? length : "\r\n");
            return up ? "" : content;
    }
    return "";
}

/// Every segment after the SYN-ACK was lost, until the balancer had forgotten the SYN after five retransmissions (63
/// s): the client believes that it is connected, and its next segment is answered by a reset.
bool RelayWorld::never_accepted(const Session& session, std::span<const RelayEvent> events) {
    constexpr TimeUs syn_received_us = 63'000'000;
    const bool opened = std::ranges::any_of(events, [&](const RelayEvent& event) {
        return event.client == session.station->address() && event.client_port == session.client->port();
    });
    return !opened && session.servers_seen == 0 && session.client->received.empty() &&
           session.client->end_ == End::reset && session.ended_at > session.starts_at + syn_received_us;
}

void RelayWorld::check_session(const Session& session, std::span<const RelayEvent> events) {
    if (never_accepted(session, events)) return;
    const auto closing = std::ranges::find_if(events, [&](const RelayEvent& event) {
        return event.kind == RelayEventKind::closed && event.client == session.station->address() &&
               event.client_port == session.client->port();
    });
    if (closing == events.end()) return fail(name_of(session) + ": its closing was not told");
    const bool refused =
        servers_seem_gone() && session.servers_seen == 0 && closing->closer == Closer::balancer &&
        (closing->reason == CloseReason::unreachable || closing->reason == CloseReason::connect_refused);
    if (refused) return;
    const bool cut = session.client->aborted || (session.server != nullptr && session.server->aborted);
    check_received(session, true, !cut);
    check_received(session, false, !cut);
    // After a plain answer the balancer waits some seconds for the client's FIN and then resets.
    const bool in_order = session.client->end_ == End::closed || (!upgrades(session) && session.client->fin);
    if (!cut && !in_order) fail(name_of(session) + ": the client's connection did not end in order");
    if (session.servers_seen > 1) fail(name_of(session) + " reached two servers");
    if (closing->closer == Closer::none ||
        (cut ? closing->reason == CloseReason::none : closing->reason != CloseReason::fin))
        fail(name_of(session) + " was closed by the " + name(closing->closer) + ": " + name(closing->reason));
}

std::string RelayWorld::name_of(const Session& session) {
    return "session " + std::to_string(session.number);
}

void RelayWorld::fail(const std::string& what) {
    if (failure_.empty()) failure_ = what;
}

void RelayWorld::start_due(TimeUs now) {
    for (const auto& session : sessions_) {
        if (session->client == nullptr && session->starts_at <= now) session->client = &connect(*session);
        if (session->paused_until != 0 && session->paused_until <= now) {
            session->paused_until = 0;
            session->client->resume();
        }
    }
}

Peer& RelayWorld::connect(Session& session) {
    const bool raw = session.kind == Kind::raw;
    const IpAddress to = !session.station->address().is_v4() ? balancer_v6
                         : session.number % 2 == 0           ? balancer_v4
                                                             : balancer_v4_second;
    const auto handler = [this, &session](Peer& peer) { on_client(session, peer); };
    if (!session.tls) return session.station->connect(raw ? tcp_port : http_port, handler, to);
    const PeerTlsOptions options{.version = random_version(), .alpn = random_tls_.chance(0.5)};
    return session.station->connect_tls(raw ? tls_port : https_port, options, handler, to);
}

void RelayWorld::on_client(Session& session, Peer& peer) {
    if (!peer.open_) return;
    if (session.tls && session.key_updates_left > 0 && random_tls_.chance(0.2)) {
        --session.key_updates_left;
        peer.key_update(random_tls_.chance(0.5));
    }
    if (!session.client_began) {
        session.client_began = true;
        peer.send(session.request);
        if (session.kind != Kind::websocket) peer.send(session.up);
        // Plain HTTP clients may finish after their request; so may raw ones.
        const bool finish = session.kind == Kind::raw ? session.ending != Ending::server_first
                                                      : !upgrades(session) && session.kind != Kind::refused_upgrade &&
                                                            session.ending == Ending::both;
        if (finish) peer.shutdown();
    }
    if (peer.end_) {
        session.ended_at = network_.now();
        return;
    }
    const size_t head = session.kind == Kind::raw ? 0 : head_length(peer.received);
    if (session.kind == Kind::websocket && head != 0 && !session.client_done) {
        session.client_done = true;
        // A server that resets may do so before its answer is out: 502 then.
        if (status_of(peer.received) != 101) {
            if (session.ending != Ending::server_reset && !servers_seem_gone())
                fail(name_of(session) + ": " + peer.received.substr(0, 40));
            return;
        }
        peer.send(session.up);
        if (session.ending != Ending::server_first) peer.shutdown();
    }
    if (peer.fin) peer.shutdown();
    pause_or_reset(session, peer);
}

void RelayWorld::pause_or_reset(Session& session, Peer& peer) {
    if (peer.received.size() >= session.pause_at) {
        session.pause_at = SIZE_MAX;
        session.paused_until = network_.now() + session.pause_us;
        peer.pause();
    }
    if (session.ending == Ending::client_reset && peer.received.size() > session.cut_at) peer.abort();
}

RelayWorld::Session* RelayWorld::session_of(Peer& peer) {
    std::string_view text = peer.received;
    if (text.starts_with("S")) {
        if (text.size() < raw_head_bytes) return nullptr;
        text = text.substr(1, raw_head_bytes - 1);
    } else {
        if (head_length(text) == 0) return nullptr;
        const size_t path = text.find("/s/");
        text = path == std::string_view::npos ? "" : text.substr(path + 3, text.find(' ', path) - path - 3);
    }
    size_t number = SIZE_MAX;
    std::from_chars(text.data(), text.data() + text.size(), number);
    if (number < sessions_.size()) return sessions_[number].get();
    fail("a server got a head that nobody sent: " + peer.received.substr(0, 60));
    return nullptr;
}

void RelayWorld::on_server(Peer& peer) {
    Session* session = session_of(peer);
    if (session == nullptr) {
        if (peer.fin) peer.shutdown();
        return;
    }
    if (session->server != &peer) {
        session->server = &peer;
        ++session->servers_seen;
    }
    if (peer.end_) return;
    if (servers_speak_tls_ && session->server_key_updates_left > 0 && random_tls_.chance(0.2)) {
        --session->server_key_updates_left;
        peer.key_update(random_tls_.chance(0.5));
    }
    const size_t head = session->kind == Kind::raw ? raw_head_bytes : head_length(peer.received);
    const bool whole = peer.received.size() - head >= session->up.size();
    if (!session->server_began && (upgrades(*session) || whole)) {
        session->server_began = true;
        peer.send(session->answer + session->down);
        const bool first =
            upgrades(*session) ? session->ending != Ending::client_first : session->kind == Kind::get_until_close;
        if (first) peer.shutdown();
    }
    if (peer.fin && session->server_began) peer.shutdown();
    if (session->ending == Ending::server_reset && peer.received.size() > session->cut_at) peer.abort();
}

/// A neighbour that leaves three questions unanswered seems not to be there, and the connection goes elsewhere: where
/// the link loses three questions or answers of every server in turn, a client may be refused.
bool RelayWorld::servers_seem_gone() const {
    return network_.totals().neighbour_messages_lost >= 3;
}

/// Whose peer was reset and who has nothing to say waits for ever when the RST was lost; nobody can help it.
bool RelayWorld::is_over(const Session& session) const {
    if (session.client == nullptr) return false;
    const bool client = session.client->end_.has_value();
    // The server of a plain exchange is reset some seconds after the answer, too.
    const bool server = session.server == nullptr || session.server->end_ || !upgrades(session);
    return (client && server) || session.client->aborted || (session.server != nullptr && session.server->aborted);
}

void RelayWorld::check_received(const Session& session, bool at_client, bool whole) {
    const Peer* peer = at_client ? session.client : session.server;
    const std::string name = name_of(session) + (at_client ? " at the client: " : " at the server: ");
    if (peer == nullptr) {
        if (whole) fail(name + "never connected");
        return;
    }
    std::string_view received = peer->received;
    size_t head = session.kind == Kind::raw ? (at_client ? 0 : raw_head_bytes) : head_length(received);
    if (at_client && session.kind == Kind::post && head != 0) {
        const size_t second = head_length(received.substr(head));
        head = second == 0 ? 0 : head + second;
    }
    if (head == 0 && session.kind != Kind::raw) {
        if (whole) fail(name + "no head");
        return;
    }
    if (at_client && !whole && status_of(received) == 502) return;
    received.remove_prefix(std::min(head, received.size()));
    const std::string_view sent = at_client ? session.down : session.up;
    const size_t same = first_difference(received, sent);
    if (same != received.size())
        fail(name + "byte " + std::to_string(same) + " of " + std::to_string(received.size()) +
             " differs or is too much (" + std::to_string(sent.size()) + " sent)");
    else if (whole && received.size() != sent.size())
        fail(name + std::to_string(received.size()) + " of " + std::to_string(sent.size()) + " bytes");
}

void RelayWorld::check_end() {
    events_ = balancer_->events();
    const auto closed = static_cast<uint64_t>(
        std::ranges::count_if(events_, [](const RelayEvent& e) { return e.kind == RelayEventKind::closed; }));
    uint64_t accepted = 0;
    for (uint16_t slot = 0; slot < 4; ++slot)
        for (uint16_t worker = 0; worker < balancer_->worker_count(); ++worker)
            accepted += balancer_->stats(worker).listeners[slot].accepted;
    if (closed != accepted) fail(std::to_string(accepted) + " relays, " + std::to_string(closed) + " of them closed");
    for (const auto& session : sessions_) check_session(*session, events_);
    for (const auto* side : {&clients_, &servers_}) {
        for (const auto& station : *side) {
            for (const std::string& violation : station->host().violations()) fail(violation);
            if (station->host().open_sockets() == 0 && station->host().chunk_bytes() != 0) fail("a host leaks chunks");
        }
    }
}

/// For whoever looks for the cause.
void RelayWorld::describe_sessions() {
    for (const auto& session : sessions_) {
        failure_ += "\n  " + name_of(*session) + ": kind " + std::to_string(static_cast<int>(session->kind)) +
                    ", ending " + std::to_string(static_cast<int>(session->ending));
        for (const bool at_client : {true, false}) {
            const Peer* peer = at_client ? session->client : session->server;
            failure_ += at_client ? "; client" : "; server";
            if (peer == nullptr) continue;
            failure_ += " received " + std::to_string(peer->received.size()) + " of " +
                        std::to_string((at_client ? session->down : session->up).size()) + " + head" +
                        (peer->fin ? ", FIN" : "") + (peer->aborted ? ", aborted" : "") +
                        (peer->end_ ? ", ended " + std::to_string(static_cast<int>(*peer->end_)) : ", open");
        }
    }
    if (events_.empty()) events_ = balancer_->events();
    for (const RelayEvent& event : events_)
        failure_ += "\n  event: port " + std::to_string(event.client_port) + " kind " +
                    std::to_string(static_cast<int>(event.kind)) + " " + name(event.closer) + " " + name(event.reason);
}

std::string RelayWorld::run() {
    network_.set_observer([this](TimeUs now) {
        start_due(now);
        change_path(now);
        move_shards(now);
        balancer_->check(now);
    });
    const auto over = [&] {
        return !failure_.empty() || !balancer_->violations().empty() ||
               (std::ranges::all_of(sessions_, [&](const auto& s) { return is_over(*s); }) && balancer_->idle());
    };
    const bool ended = network_.run(network_.now() + run_us_max, over);
    balancer_->check(network_.now());
    for (const std::string& violation : balancer_->violations()) fail(violation);
    if (!ended) fail("not over after an hour; left in the balancer:" + balancer_->leftovers());
    if (failure_.empty()) check_end();
    if (!failure_.empty()) describe_sessions();
    return failure_;
}

void RelayWorld::add_to(RelayTotals& totals) const {
    ++totals.seeds;
    totals.failures += failure_.empty() ? 0 : 1;
    totals.virtual_us += network_.now() - 1'000'000'000;
    add(totals.moved, moved_);
    for (const auto& session : sessions_) {
        ++totals.sessions;
        totals.tls_sessions += session->tls ? 1 : 0;
        if (session->client != nullptr) totals.bytes_down += session->client->received.size();
        if (session->server != nullptr) totals.bytes_up += session->server->received.size();
    }
    for (uint16_t worker = 0; worker < balancer_->worker_count(); ++worker)
        totals.key_updates += balancer_->stats(worker).worker.tls.key_updates_out.load();
    add(totals.network, network_.totals());
}

}  // namespace millrace::sim
