// A client and a server of our own TCP, each with a Transfer, and the network between them: one world per seed, for the
// cases of tcp_sim_test.cpp and the throughput table. Every invariant is checked after every event.
#pragma once

#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>

#include "tests/sim/host.h"
#include "tests/sim/transfer.h"

namespace millrace::sim {

inline constexpr MacAddress client_mac{{2, 0, 0, 0, 0, 1}};
inline constexpr MacAddress server_mac{{2, 0, 0, 0, 0, 2}};
inline constexpr IpAddress client_v4 = IpAddress::v4(198, 18, 0, 1);
inline constexpr IpAddress server_v4 = IpAddress::v4(198, 18, 0, 2);
inline constexpr IpAddress client_v6{{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
inline constexpr IpAddress server_v6{{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
inline constexpr uint16_t port = 443;

struct World {
    explicit World(uint64_t seed) : random(seed), network(random.next()) {
        client_options.mac = client_mac;
        client_options.gateway = server_mac;
        client_options.address = client_v4;
        client_options.seed = random.next();
        server_options.mac = server_mac;
        server_options.gateway = client_mac;
        server_options.address = server_v4;
        server_options.seed = random.next();
        to_server.send_key = to_client.receive_key = random.next();
        to_client.send_key = to_server.receive_key = random.next();
    }

    /// Bytes in each direction.
    void set_sizes(uint64_t up, uint64_t down) {
        to_server.send_bytes = to_client.receive_bytes = up;
        to_client.send_bytes = to_server.receive_bytes = down;
    }

    void use_v6() {
        client_options.address = client_v6;
        server_options.address = server_v6;
    }

    void start() {
        client_application = std::make_unique<Transfer>(to_server);
        server_application = std::make_unique<Transfer>(to_client);
        client = std::make_unique<Host>(client_options, *client_application);
        server = std::make_unique<Host>(server_options, *server_application);
        network.attach(*client, client_mac, link);
        network.attach(*server, server_mac, link);
        network.set_observer([this](TimeUs now) {
            client->check(now);
            server->check(now);
        });
        const tcp::Tuple tuple{client_options.address, server_options.address, 50000, port};
        client->prepare(tuple, network.now());
        server->prepare({tuple.peer, tuple.local, tuple.peer_port, tuple.local_port}, network.now());
        server->listen(port);
        client_application->socket = client->connect(server_options.address, port, 50000);
    }

    bool failed() const {
        return !client->violations().empty() || !server->violations().empty() || !client_application->failure.empty() ||
               !server_application->failure.empty();
    }

    /// Runs on for at most `seconds` of virtual time, until `done` or something is wrong.
    bool run(TimeUs seconds, const std::function<bool()>& done) {
        const bool reached = network.run(network.now() + seconds * us_per_s, [&] { return failed() || done(); });
        return reached && !failed();
    }

    bool both_complete() const { return client_application->complete() && server_application->complete(); }

    void expect_sound() const {
        for (const Host* host : {client.get(), server.get()}) {
            for (const std::string& violation : host->violations()) ADD_FAILURE() << violation;
        }
        EXPECT_EQ(client_application->failure, "");
        EXPECT_EQ(server_application->failure, "");
    }

    /// Both streams arrived in full, both sides closed, nothing is left behind.
    void expect_finished(TimeUs seconds) {
        EXPECT_TRUE(run(seconds, [this] { return both_complete(); }));
        expect_sound();
        EXPECT_EQ(client_application->received, to_server.receive_bytes);
        EXPECT_EQ(server_application->received, to_client.receive_bytes);
        EXPECT_EQ(client->chunk_bytes(), 0u);
        EXPECT_EQ(server->chunk_bytes(), 0u);
        EXPECT_EQ(server->half_open(), 0u);
    }

    Random random;
    Network network;
    LinkOptions link;
    HostOptions client_options, server_options;
    TransferOptions to_server, to_client;
    std::unique_ptr<Transfer> client_application, server_application;
    std::unique_ptr<Host> client, server;
};

}  // namespace millrace::sim
