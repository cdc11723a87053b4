// ws-load: WebSocket clients and echoing servers on kernel sockets, many in one process, for the tests and measurements
// that need more than Python can do. `ws-load serve --help`, `ws-load run --help`.

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "echo_server.h"
#include "load_client.h"

namespace {

volatile std::sig_atomic_t stop = 0;

}  // namespace

int main(int argc, char** argv) {
    ws_load::ServerOptions server;
    ws_load::ClientOptions client;
    uint32_t interval_ms = 0;

    CLI::App app("WebSocket load on kernel sockets");
    app.require_subcommand(1);
    CLI::App* serve = app.add_subcommand("serve", "echo every frame until SIGTERM");
    serve->add_option("--listen", server.listen, "ADDRESS:PORT, may be repeated")->required();
    serve->add_option("--name", server.name, "X-Served-By of the answers");
    CLI::App* run = app.add_subcommand("run", "open connections and exchange messages");
    run->add_option("--to", client.to, "ADDRESS:PORT, may be repeated")->required();
    run->add_option("--from", client.from, "source ADDRESS:0, may be repeated");
    run->add_option("--connections", client.connections, "to each target");
    run->add_option("--parallel", client.parallel, "upgrades under way at once");
    run->add_option("--messages", client.messages, "per connection; 0: no limit");
    run->add_option("--sizes", client.sizes, "of the messages in turn, comma separated")
        ->delimiter(',')
        ->check(CLI::Range(0, 65536));
    run->add_option("--interval-ms", interval_ms, "from one message to the next; 0: at once");
    run->add_option("--seconds", client.seconds, "of the exchange; 0: no limit");
    run->add_option("--path", client.path, "of the upgrade request");
    run->add_option("--host", client.host, "of the upgrade request");
    run->add_flag("--hold", client.hold, "keep the connections idle until SIGTERM");
    CLI11_PARSE(app, argc, argv);
    client.interval_us = interval_ms * 1000;

    std::signal(SIGTERM, [](int) { stop = 1; });
    std::signal(SIGINT, [](int) { stop = 1; });
    try {
        return *serve ? ws_load::serve(server, stop) : ws_load::run_clients(client, stop);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "ws-load: %s\n", error.what());
        return 2;
    }
}
