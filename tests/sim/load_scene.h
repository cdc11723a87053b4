// A whole run of the load generator through the simulated balancer, on a network that loses, delays, reorders, repeats
// and damages frames. The balancer loses nothing, and the generator must say so.
#pragma once

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>

#include "load/addresses.h"
#include "load/result.h"
#include "tests/sim/balancer.h"
#include "tests/sim/load_node.h"

namespace millrace::sim {

using load::WorkloadKind;

struct LoadScene {
    explicit LoadScene(WorkloadKind workload, bool v6 = false) {
        settings.workload = workload;
        settings.client_interface = {Driver::af_packet, "veth0", false};
        settings.clients = pool(v6 ? "2001:db8::1:1-2001:db8::1:4" : "198.18.1.1-198.18.1.4", v6);
        settings.servers = pool(v6 ? "2001:db8::2:1-2001:db8::2:2" : "198.18.2.1-198.18.2.2", v6);
        settings.server_port_low = settings.server_port_high = 8080;
        settings.targets = {{v6 ? balancer_v6 : balancer_v4, http_port}};
        settings.connections = 60;
        settings.seconds = 1;
        settings.chunk_bytes = 64u << 20;
        link.loss = 0.01;
        link.duplicate = link.reorder = link.corrupt = 0.005;
        link.jitter_us = 50;
        link.corrupt_only_ip = true;
    }

    static load::PoolSettings pool(const char* addresses, bool v6) {
        std::string error;
        return {*load::parse_addresses(addresses, error), static_cast<uint8_t>(v6 ? 64 : 15), std::nullopt};
    }

    /// Runs to the end; the generator must say that all went `well`.
    const load::Run& run(bool well = true) {
        SnapshotBuilder config = balancer_config(settings.servers.addresses);
        add_tls_listeners(config);
        config.local_addresses.push_back({balancer_v6, 0, 64, {}});
        balancer = std::make_unique<Balancer>(config, BalancerOptions{}, network.now());
        node = std::make_unique<LoadNode>(settings, 64, network.now());
        network.attach(*balancer, balancer_mac, link);
        network.attach(*node, load_mac, link);
        network.set_observer([this](TimeUs now) {
            if (before_event) before_event(now);
            balancer->check(now);
        });
        EXPECT_TRUE(network.run(network.now() + 120 * us_per_s, [this] { return node->run().over(); }));
        EXPECT_EQ(node->run().succeeded(), well) << load::summary(node->run());
        for (const std::string& violation : balancer->violations()) ADD_FAILURE() << violation;
        return node->run();
    }

    load::Settings settings;
    LinkOptions link;
    Network network{1};
    std::function<void(TimeUs)> before_event;
    std::unique_ptr<Balancer> balancer;
    std::unique_ptr<LoadNode> node;
};

}  // namespace millrace::sim
