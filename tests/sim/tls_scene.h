// A scene whose listeners speak TLS, as its servers may.
#pragma once

#include <algorithm>
#include <gtest/gtest.h>
#include <string>

#include "tests/sim/scene.h"

namespace millrace::sim {

inline std::string pattern(size_t length) {
    std::string text(length, ' ');
    for (size_t i = 0; i < length; ++i) text[i] = static_cast<char>(i * 31 + i / 256);
    return text;
}

struct TlsScene : Scene {
    explicit TlsScene(size_t server_count = 1, uint16_t workers = 1) : Scene(server_count, workers) {
        add_tls_listeners(config);
    }
    /// Its servers speak TLS. Before start().
    void secure_servers() {
        config.backends[0].tls = 1;
        config.backends[0].handshake_timeout_ms = 5'000;
    }
    Station& tls_server(
        int number = 1, Station::Handler handler = [](Peer&) {}, const PeerTlsOptions& tls = {}) {
        Station& station = silent_host(number);
        station.listen_tls(server_port, tls, std::move(handler));
        return station;
    }
    /// An upgraded connection over TLS, and the server's end of it.
    Peer& secured(Station& from, Station& to, Peer*& server_end, const PeerTlsOptions& tls = {}) {
        return upgrade(from.connect_tls(https_port, tls), to, server_end);
    }
    uint64_t tls_total(Counter relay::TlsStats::*counter) {
        uint64_t sum = 0;
        for (uint16_t i = 0; i < balancer->worker_count(); ++i) sum += (balancer->stats(i).worker.tls.*counter).load();
        return sum;
    }
    /// No key of any relay is left.
    void expect_no_keys() {
        for (size_t i = 0; i < balancer->shard_count(); ++i)
            for (const relay::TlsEnds& tls : balancer->shard(i).tls)
                for (const relay::TlsEnd& end : tls.ends) {
                    const auto* bytes = reinterpret_cast<const uint8_t*>(&end);
                    if (!std::all_of(bytes, bytes + sizeof end, [](uint8_t byte) { return byte == 0; }))
                        return ADD_FAILURE() << "a slot of shard " << i << " is not wiped";
                }
    }
};

}  // namespace millrace::sim
