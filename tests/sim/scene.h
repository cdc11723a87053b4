// A stage for tests of the balancer: a network without faults, the balancer, clients and servers that a test drives
// step by step in virtual time. A test that ends without idle() having been expected still checks every invariant.
#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/balancer.h"
#include "tests/sim/http_text.h"
#include "tests/sim/station.h"

namespace millrace::sim {

inline constexpr uint16_t server_port = 8080;

struct Scene {
    explicit Scene(size_t server_count = 1, uint16_t workers = 1) : network(1) {
        std::vector<IpAddress> addresses;
        for (uint8_t i = 1; i <= server_count; ++i) addresses.push_back(Station::address_of(true, i));
        config = balancer_config(addresses, workers);
        link.delay_us = 1000;
    }
    ~Scene() {
        if (balancer == nullptr) return;
        balancer->check(network.now());
        for (const std::string& violation : balancer->violations()) ADD_FAILURE() << violation;
    }

    /// Before this the test changes `config`, `link` and `options`.
    void start() {
        balancer = std::make_unique<Balancer>(config, options, network.now());
        network.attach(*balancer, balancer_mac, link);
        network.set_observer([this](TimeUs now) {
            balancer->check(now);
            chunk_bytes_most = std::max(chunk_bytes_most, balancer->chunk_bytes());
        });
    }
    Station& client(int number = 1, uint32_t receive_buffer_bytes = 65535) {
        return add({.number = static_cast<uint8_t>(number),
                    .server = false,
                    .seed = static_cast<uint64_t>(number),
                    .link = link,
                    .tcp = {},
                    .receive_buffer_bytes = receive_buffer_bytes});
    }
    /// Far away, with buffers for a long fat path.
    Station& far_client(int number, TimeUs delay_us) {
        StationOptions far{
            .number = static_cast<uint8_t>(number), .seed = static_cast<uint64_t>(number), .link = link, .tcp = {}};
        far.link.delay_us = delay_us;
        far.tcp.receive_window_bytes = far.receive_buffer_bytes = far.send_queue_bytes = 2 << 20;
        return add(far);
    }
    /// `handler` is called for each connection at every change; without one it only accepts.
    Station& server(
        int number = 1, Station::Handler handler = [](Peer&) {}) {
        Station& station = silent_host(number);
        station.listen(server_port, std::move(handler));
        return station;
    }
    /// Answers ARP, refuses connections.
    Station& silent_host(int number) {
        return add({.number = static_cast<uint8_t>(number),
                    .server = true,
                    .seed = 100 + static_cast<uint64_t>(number),
                    .link = link,
                    .tcp = {}});
    }

    /// Until `done`, at most `seconds`; returns whether it came to it.
    bool run(double seconds, const std::function<bool()>& done) {
        return network.run(network.now() + static_cast<TimeUs>(seconds * 1e6), done);
    }
    void run(double seconds) {
        run(seconds, [] { return false; });
    }
    /// Runs until nothing of any relay is left.
    void expect_idle(double seconds = 30) {
        EXPECT_TRUE(run(seconds, [this] { return balancer->idle(); })) << balancer->leftovers();
    }
    /// The only closing since the last call.
    RelayEvent closing() {
        std::vector<RelayEvent> closings;
        for (const RelayEvent& event : balancer->events())
            if (event.kind == RelayEventKind::closed) closings.push_back(event);
        EXPECT_EQ(closings.size(), 1u);
        return closings.empty() ? RelayEvent{} : closings.back();
    }
    /// Sends a request and returns what came back when the balancer has finished (or reset).
    std::string exchange(std::string_view request, double seconds = 30) {
        Peer& peer = client(next_client_++).connect(http_port, [](Peer& p) {
            if (p.fin) p.shutdown();
        });
        peer.send(request);
        run(seconds, [&] { return peer.fin || peer.end_; });
        return peer.received;
    }
    /// An upgraded connection, and the server's end of it.
    Peer& upgraded(Station& from, Station& to, Peer*& server_end) {
        return upgrade(from.connect(http_port), to, server_end);
    }
    /// The same over a connection that has just begun.
    Peer& upgrade(Peer& peer, Station& to, Peer*& server_end) {
        peer.send(upgrade_request("/"));
        EXPECT_TRUE(run(10, [&] { return head_length(peer.received) != 0; }));
        EXPECT_EQ(status_of(peer.received), 101);
        peer.received.clear();
        server_end = to.peers().back().get();
        server_end->received.clear();
        return peer;
    }

    Network network;
    LinkOptions link;
    BalancerOptions options;
    SnapshotBuilder config;
    std::unique_ptr<Balancer> balancer;
    uint64_t chunk_bytes_most = 0;

  private:
    Station& add(const StationOptions& station) {
        stations_.push_back(std::make_unique<Station>(network, station));
        return *stations_.back();
    }

    std::vector<std::unique_ptr<Station>> stations_;
    int next_client_ = 100;
};

/// A server's handler: upgrades, then sends back what comes, and finishes when the client has.
inline void echo_upgraded(Peer& peer) {
    if (peer.end_) return;
    if (peer.received.starts_with("GET ")) {
        if (head_length(peer.received) == 0) return;
        peer.send(upgrade_answer());
        peer.received.erase(0, head_length(peer.received));
    }
    peer.send(peer.received);
    peer.received.clear();
    if (peer.fin) peer.shutdown();
}

/// A server's handler: upgrades and no more.
inline void only_upgrade(Peer& peer) {
    if (peer.end_ || !peer.received.starts_with("GET ") || head_length(peer.received) == 0) return;
    peer.received.erase(0, head_length(peer.received));
    peer.send(upgrade_answer());
}

/// A server's handler that sends `answer` once a whole request head has come, and finishes when its peer has.
inline Station::Handler answering(std::string answer, bool finish = false) {
    return [answer = std::move(answer), finish](Peer& peer) {
        if (peer.end_) return;
        if (head_length(peer.received) != 0 && peer.once()) {
            peer.send(answer);
            if (finish) peer.shutdown();
        }
        if (peer.fin) peer.shutdown();
    };
}

}  // namespace millrace::sim
