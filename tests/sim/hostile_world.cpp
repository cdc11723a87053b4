#include "tests/sim/hostile_world.h"

#include <algorithm>

#include "tests/sim/http_text.h"
#include "tests/sim/transfer.h"

namespace millrace::sim {
namespace {

constexpr TimeUs run_us_max = 3600 * us_per_s;
constexpr size_t honest_bytes = 50'000;

}  // namespace

HostileWorld::HostileWorld(uint64_t seed)
    : random_(Random(~seed).next()), network_(random_.next()), down_key_(random_.next()) {
    // The links keep the order of frames: a peer judges how the window moves from one to the next.
    const LinkOptions link{.loss = random_.chance(0.5) ? 0.01 : 0, .delay_us = random_.between(50, 10'000)};
    SnapshotBuilder config = balancer_config({Station::address_of(true, 1)}, random_.chance(0.3) ? 2 : 1);
    config.dataplane.send_queue_bytes = uint32_t{16384} << random_.below(4);
    config.dataplane.send_queue_max_bytes = uint32_t{16384} << random_.below(8);
    const auto count = static_cast<uint8_t>(random_.between(1, 4));
    hostile_servers_ = random_.chance(0.4);
    for (uint8_t number = 1; hostile_servers_ && number <= count; ++number) {
        const auto slot = static_cast<uint16_t>(config.servers.size());
        config.servers.push_back(
            {config.text("h" + std::to_string(slot)), Hostile::address_of(true, number), 8080, slot, uint16_t{1}, 1});
    }
    if (hostile_servers_) call_hostile_servers(config);
    balancer_ = std::make_unique<Balancer>(
        config, BalancerOptions{.seed = random_.next(), .ring_frames = static_cast<uint32_t>(random_.between(4, 256))},
        network_.now());
    network_.attach(*balancer_, balancer_mac, link);
    down_.resize(random_.between(1, 300'000));
    for (size_t i = 0; i < down_.size(); ++i) down_[i] = static_cast<char>(stream_byte(down_key_, i));
    server_ = std::make_unique<Station>(
        network_, StationOptions{.number = 1, .server = true, .seed = random_.next(), .link = link, .tcp = {}});
    server_->listen(8080, [this](Peer& peer) { on_server(peer); });
    client_ = std::make_unique<Station>(
        network_, StationOptions{.number = 1, .server = false, .seed = random_.next(), .link = link, .tcp = {}});
    for (uint8_t number = 1; number <= count; ++number) {
        hostile_.push_back(std::make_unique<Hostile>(HostileOptions{
            .number = number, .seed = random_.next(), .down_key = down_key_, .server = hostile_servers_}));
        network_.attach(*hostile_.back(), hostile_.back()->mac(), link);
    }
}

/// The raw listener leads to them, the other one to the honest server.
void HostileWorld::call_hostile_servers(SnapshotBuilder& config) {
    BackendRecord backend = config.backends[0];
    backend.name = config.text("hostile");
    backend.slot = 1;
    backend.first_server = 1;
    backend.server_count = static_cast<uint32_t>(config.servers.size()) - 1;
    config.backends.push_back(backend);
    config.http_routes[1].backend = 1;
}

/// Raw streams begin with an H, and get the stream down and a FIN; the honest clients speak HTTP.
void HostileWorld::on_server(Peer& peer) {
    if (peer.end_ || peer.received.empty()) return;
    const bool hostile = peer.received[0] == 'H';
    if ((hostile || head_length(peer.received) != 0) && peer.once()) {
        if (!hostile)
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(honest_bytes) + "\r\n\r\n" +
                      std::string(honest_bytes, 'x'));
        else
            peer.send(down_);
        if (hostile) peer.shutdown();
    }
    if (peer.fin) peer.shutdown();
}

void HostileWorld::check_end() {
    for (const Peer* peer : honest_)
        if (peer->received.size() - head_length(peer->received) != honest_bytes)
            fail("an honest client got " + std::to_string(peer->received.size()) + " bytes");
    for (const auto& peer : server_->peers())
        if (peer->received.starts_with('H')) check_hostile_stream(*peer);
    for (const Peer* peer : callers_) check_hostile_stream(*peer);
}

void HostileWorld::check_hostile_stream(const Peer& peer) {
    bytes_up_ += peer.received.size();
    const auto sent_by = [&](const auto& hostile) {
        for (size_t i = 0; i < peer.received.size(); ++i)
            if (!hostile->may_stand(i, static_cast<uint8_t>(peer.received[i]))) return false;
        return true;
    };
    if (!std::ranges::any_of(hostile_, sent_by)) fail("an honest peer got bytes that no hostile one sent there");
}

std::string HostileWorld::run() {
    network_.set_observer([this](TimeUs now) {
        balancer_->check(now);
        for (const auto& hostile : hostile_)
            for (const std::string& violation : hostile->violations()) fail(violation);
    });
    for (int i = 0; i < 3; ++i) {
        Peer& peer = client_->connect(http_port, [](Peer& p) {
            if (p.fin) p.shutdown();
        });
        peer.send("GET / HTTP/1.1\r\nHost: sim.test\r\n\r\n");
        honest_.push_back(&peer);
    }
    for (size_t i = 0; hostile_servers_ && i < hostile_.size(); ++i) {
        callers_.push_back(&client_->connect(tcp_port, [](Peer& p) {
            if (p.fin) p.shutdown();
        }));
        callers_.back()->send(down_);
    }
    const auto begun = [](const Peer* peer) { return peer->open_ || peer->end_; };
    const auto over = [&] {
        return !failure_.empty() || !balancer_->violations().empty() ||
               (std::ranges::all_of(hostile_, [](const auto& h) { return h->over(); }) &&
                std::ranges::all_of(callers_, begun) && balancer_->idle());
    };
    const bool ended = network_.run(network_.now() + run_us_max, over);
    for (const std::string& violation : balancer_->violations()) fail(violation);
    if (!ended) fail("not over after an hour; left in the balancer:" + balancer_->leftovers());
    if (failure_.empty()) check_end();
    return failure_;
}

void HostileWorld::add_to(HostileTotals& totals) const {
    totals.failures += failure_.empty() ? 0 : 1;
    totals.peers += hostile_.size();
    totals.bytes_up += bytes_up_;
    for (const auto& hostile : hostile_) {
        totals.actions += hostile->actions();
        totals.bytes_down += hostile->bytes_seen();
    }
}

}  // namespace millrace::sim
