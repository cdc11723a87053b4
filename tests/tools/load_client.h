// The client half of ws-load: opens many WebSocket connections from kernel sockets, and once all are up exchanges
// messages with echoing servers, one at a time on each connection, comparing every byte that comes back.
#pragma once

#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

namespace ws_load {

struct ClientOptions {
    std::vector<std::string> to;    ///< targets, each with `connections` connections
    std::vector<std::string> from;  ///< source addresses with port 0, taken in turn; empty: the kernel's choice
    std::string path = "/echo";
    std::string host = "localhost";
    uint32_t connections = 1;
    uint32_t parallel = 100;              ///< upgrades under way at once
    uint64_t messages = 0;                ///< per connection; 0: until `seconds` or a signal
    std::vector<uint32_t> sizes = {128};  ///< of the messages in turn, each connection from another on; up to 65,536
    uint32_t interval_us = 0;             ///< from one message to the next; 0: as soon as the answer is there
    uint32_t seconds = 0;                 ///< of the exchange; 0: until `messages` or a signal
    bool hold = false;                    ///< send nothing
};

/// Runs to the end and prints two JSON lines: when all connections are up, and at the end. Returns 0 when every upgrade
/// succeeded, no connection broke and every message came back unchanged.
int run_clients(const ClientOptions& options, const volatile std::sig_atomic_t& stop);

}  // namespace ws_load
