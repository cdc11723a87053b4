// millracectl: the operator's command line. It uses nothing but the admin API (docs/operations.md).
// Exit codes: 0 done, 1 failed (the reason on standard error), 2 wrong usage.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>

#include <millrace/capture.h>
#include <millrace/commands.h>
#include <millrace/run_directory.h>
#include <millrace/shared_file.h>

#include "cli/capture.h"
#include "cli/client.h"
#include "cli/ping.h"
#include "cli/render.h"

namespace millrace::cli {
namespace {

struct Context {
    std::string instance = "default";
    std::string socket;
    bool json = false;
    std::function<void(const Client&)> run;

    Client client() const {
        return {socket.empty() ? run_directory(instance, RunPart::control) + "/admin.sock" : socket, instance};
    }
    void print(const Json& document, std::string (*render)(const Json&)) const {
        const std::string text =
            json ? document.dump(2, ' ', false, Json::error_handler_t::replace) + '\n' : render(document);
        std::fwrite(text.data(), 1, text.size(), stdout);
    }
};

void add_view(Context& context, CLI::App& parent, const char* name, const char* description, const std::string& path,
              std::string (*render)(const Json&)) {
    parent.add_subcommand(name, description)->callback([&context, path, render] {
        context.run = [&context, path, render](const Client& client) { context.print(client.get(path), render); };
    });
}

// ---- show connections -----------------------------------------------------------------------------------------------

struct ConnectionOptions {
    std::string listener, server;
    uint32_t limit = 100;
    bool all = false;
};

void show_connections(const Context& context, const Client& client, const ConnectionOptions& options) {
    std::string base = "/v1/connections?limit=" + std::to_string(options.all ? 1000 : options.limit);
    if (!options.listener.empty()) base += "&listener=" + options.listener;
    if (!options.server.empty()) base += "&server=" + options.server;
    Json document = client.get(base);
    while (options.all && document["next_cursor"].is_string()) {
        Json page = client.get(base + "&cursor=" + document["next_cursor"].get<std::string>());
        for (Json& connection : page["connections"]) document["connections"].push_back(std::move(connection));
        document["next_cursor"] = page["next_cursor"];
    }
    context.print(document, render_connections);
}

std::string check_name(const std::string& text) {
    const bool valid = !text.empty() && text.size() <= 63 &&
                       text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                           std::string::npos;
    return valid ? "" : "'" + text + "' is no name";
}

std::string check_server(const std::string& text) {
    const size_t slash = text.find('/');
    const bool valid = slash != std::string::npos && check_name(text.substr(0, slash)).empty() &&
                       check_name(text.substr(slash + 1)).empty();
    return valid ? "" : "'" + text + "' is not BACKEND/SERVER";
}

// ---- show tcp
// --------------------------------------------------------------------------------------------------------

std::string check_connection(const std::string& text) {
    const bool valid = text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
    return valid ? "" : "'" + text + "' is no id of a connection; see: millracectl show connections";
}

void add_show_tcp(Context& context, CLI::App& show) {
    CLI::App* tcp = show.add_subcommand("tcp", "TCP of both sides of one relay");
    const auto id = std::make_shared<std::string>();
    tcp->add_option("connection", *id, "Id, as show connections has it")
        ->required()
        ->check(CLI::Validator(check_connection, "ID"));
    tcp->callback([&context, id] {
        context.run = [&context, id](const Client& client) {
            context.print(client.get("/v1/connections/" + *id + "/tcp"), render_tcp);
        };
    });
}

// ---- show
// ------------------------------------------------------------------------------------------------------------

void add_show(Context& context, CLI::App& app) {
    CLI::App* show = app.add_subcommand("show", "Show a part of the instance")->require_subcommand(1);
    add_view(context, *show, "listeners", "Listeners and their routes", "/v1/listeners", render_listeners);
    add_view(context, *show, "backends", "Backends", "/v1/backends", render_backends);
    add_view(context, *show, "servers", "Servers: health, weight, overrides, relays", "/v1/servers", render_servers);
    add_view(context, *show, "workers", "Workers: useful busy share, relays, packets", "/v1/workers", render_workers);
    add_view(context, *show, "neighbours", "Neighbours (ARP, NDP)", "/v1/neighbours", render_neighbours);
    add_view(context, *show, "capture", "The capture that runs, or the last one", "/v1/capture", render_capture);
    add_view(context, *show, "routes", "Routes", "/v1/routes", render_routes);
    add_view(context, *show, "certificates", "Our certificates, and how long they are good", "/v1/certificates",
             render_certificates);
    CLI::App* connections = show->add_subcommand("connections", "Live relays");
    const auto options = std::make_shared<ConnectionOptions>();
    connections->add_option("--listener", options->listener, "Only of this listener")
        ->check(CLI::Validator(check_name, "NAME"));
    connections->add_option("--server", options->server, "Only of this server")
        ->check(CLI::Validator(check_server, "BACKEND/SERVER"));
    connections->add_option("--limit", options->limit, "Most relays shown")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    connections->add_flag("--all", options->all, "Every relay, however many");
    connections->callback([&context, options] {
        context.run = [&context, options](const Client& client) { show_connections(context, client, *options); };
    });
    add_show_tcp(context, *show);
}

// ---- server ---------------------------------------------------------------------------------------------------------

void add_server(Context& context, CLI::App& app) {
    CLI::App* server = app.add_subcommand("server", "Override a server's state or weight")->require_subcommand(1);
    const auto name = std::make_shared<std::string>();
    const auto weight = std::make_shared<unsigned>(0);
    const auto add = [&](const char* command, const char* description) {
        CLI::App* sub = server->add_subcommand(command, description);
        sub->add_option("server", *name, "BACKEND/SERVER")->required()->check(CLI::Validator(check_server, ""));
        return sub;
    };
    for (const auto& [command, description] :
         {std::pair{"drain", "Nothing new to it; what is open stays"}, std::pair{"enable", "Use it again"},
          std::pair{"disable", "Nothing new to it, as if it were not configured"},
          std::pair{"reset", "Back to the configuration: no overrides, no ejections"}})
        add(command, description)->callback([&context, name, path = std::string(command)] {
            context.run = [&context, name, path](const Client& client) {
                context.print(client.post("/v1/servers/" + *name + '/' + path), render_servers);
            };
        });
    CLI::App* set_weight = add("weight", "Give it another weight");
    set_weight->add_option("weight", *weight, "0 to 1000; 0: nothing new")->required()->check(CLI::Range(0, 1000));
    set_weight->callback([&context, name, weight] {
        context.run = [&context, name, weight](const Client& client) {
            context.print(client.put("/v1/servers/" + *name + "/weight", {{"weight", *weight}}), render_servers);
        };
    });
}

// ---- config ---------------------------------------------------------------------------------------------------------

void check_config(const Context& context, const Client& client, const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) throw Failure(path + " can't be read");
    const Json document = client.post("/v1/config/check", text.str());
    if (context.json)
        context.print(document, nullptr);
    else
        std::fputs(render_diagnostics(document["diagnostics"], path).c_str(), stderr);
    if (!document["ok"].get<bool>()) throw Failure(path + " has errors");
    if (!context.json) std::printf("%s: ok\n", path.c_str());
}

std::string render_reload(const Json& d) {
    std::string out = render_diagnostics(d["diagnostics"], "");
    const std::string dataplane = d.value("dataplane", "");
    out += d.value("result", "") + ": generation " + d["generation"].dump();
    if (dataplane == "in_force") out += ", in force";
    if (dataplane == "not_running") out += "; the dataplane is not running and will start with it";
    if (dataplane == "late") out += "; the dataplane has not taken it yet, see: millracectl status";
    return out + '\n';
}

void reload_config(const Context& context, const Client& client) {
    try {
        context.print(client.post("/v1/config/reload"), render_reload);
    } catch (const Failure& failure) {
        if (!context.json && failure.answer().contains("diagnostics"))
            std::fputs(render_diagnostics(failure.answer()["diagnostics"], "").c_str(), stderr);
        throw;
    }
}

void add_config(Context& context, CLI::App& app) {
    CLI::App* config = app.add_subcommand("config", "Check, reload or show the configuration")->require_subcommand(1);
    const auto file = std::make_shared<std::string>();
    CLI::App* check = config->add_subcommand("check", "Let control check a file without loading it");
    check->add_option("file", *file, "Configuration file")->required();
    check->callback([&context, file] {
        context.run = [&context, file](const Client& client) { check_config(context, client, *file); };
    });
    config->add_subcommand("reload", "Load the configuration file anew")->callback([&context] {
        context.run = [&context](const Client& client) { reload_config(context, client); };
    });
    add_view(context, *config, "show", "The configuration in force, with every default", "/v1/config", render_config);
}

// ---- ping
// ------------------------------------------------------------------------------------------------------------

void add_ping(Context& context, CLI::App& app) {
    CLI::App* command = app.add_subcommand("ping", "Echo requests over the data path: is a server or gateway there?");
    const auto options = std::make_shared<PingOptions>();
    command->add_option("address", options->address, "IPv4 or IPv6 address")->required();
    command->add_option("--count", options->count, "How many")->check(CLI::Range(1, 10'000))->capture_default_str();
    command->add_option("--interval", options->interval_s, "Seconds from one to the next")
        ->check(CLI::Range(0.01, 60.0))
        ->capture_default_str();
    command->add_option("--size", options->size, "Bytes of payload")
        ->check(CLI::Range(ping_payload_min, ping_payload_max))
        ->capture_default_str();
    command->add_option("--timeout", options->timeout_s, "Seconds to wait for each answer")
        ->check(CLI::Range(0.01, 5.0))
        ->capture_default_str();
    command->callback([&context, options] {
        context.run = [&context, options](const Client& client) { ping(client, *options, context.json); };
    });
}

// ---- capture
// ---------------------------------------------------------------------------------------------------------

void add_capture(Context& context, CLI::App& app) {
    CLI::App* command = app.add_subcommand("capture", "Copy frames of all workers into a pcap file (role admin)");
    const auto options = std::make_shared<CaptureOptions>();
    command->add_option("-w,--write", options->file, "File to write; -: standard output")->required();
    command->add_option("--filter", options->filter,
                        "host ADDRESS, port N, tcp, udp, icmp, arp; joined by and, or, not and brackets");
    command->add_option("--seconds", options->seconds, "How long")->check(CLI::Range(1, 300))->capture_default_str();
    command->add_option("--count", options->count, "At most so many frames")->check(CLI::Range(1, 10'000'000));
    command->add_option("--snaplen", options->snaplen, "At most so many bytes of each frame")
        ->check(CLI::Range(1u, capture_snaplen_max));
    command->callback([&context, options] {
        context.run = [&context, options](const Client& client) { capture(client, *options, context.json); };
    });
}

// ---- events ---------------------------------------------------------------------------------------------------------

std::string render_events(const Json& document) {
    std::string out;
    for (const Json& event : document["events"]) out += render_event(event) + '\n';
    return out;
}

void add_events(Context& context, CLI::App& app) {
    CLI::App* events = app.add_subcommand("events", "Openings and closings of relays");
    const auto follow = std::make_shared<bool>(false);
    const auto replay = std::make_shared<int>(-1);
    events->add_flag("--follow,-f", *follow, "Wait for new ones");
    events->add_option("--replay", *replay, "Begin with the newest N (default: 100, with --follow 0)")
        ->check(CLI::Range(0, 1000));
    events->callback([&context, follow, replay] {
        context.run = [&context, follow, replay](const Client& client) {
            const std::string count = *replay < 0 ? "" : "replay=" + std::to_string(*replay);
            if (!*follow) return context.print(client.get("/v1/events?" + count), render_events);
            client.follow("/v1/events?follow=1&" + count, [&context](const std::string& line) {
                const Json event = Json::parse(line, nullptr, false);
                std::printf("%s\n", context.json || event.is_discarded() ? line.c_str() : render_event(event).c_str());
                std::fflush(stdout);
            });
        };
    });
}

int main_function(int argc, char** argv) {
    CLI::App app("Operates a running Millrace instance.", "millracectl");
    Context context;
    app.add_option("--instance", context.instance, "Name of the instance")->capture_default_str();
    app.add_option("--socket", context.socket,
                   "Admin socket (default: control/admin.sock in the instance's run directory)");
    app.add_flag("--json", context.json, "Stable JSON instead of tables");
    app.set_version_flag("--version", MILLRACE_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    add_view(context, app, "status", "The instance at a glance", "/v1/status", render_status);
    add_show(context, app);
    add_server(context, app);
    add_config(context, app);
    add_events(context, app);
    add_ping(context, app);
    add_capture(context, app);
    add_view(context, app, "stats", "Every statistic", "/v1/stats", render_stats);
    try {
        app.parse(argc, argv);
        if (!valid_instance_name(context.instance))
            throw CLI::ValidationError("--instance", "1 to 32 of a-z A-Z 0-9 - _, beginning with a letter or digit");
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    try {
        context.run(context.client());
        return 0;
    } catch (const Failure& failure) {
        if (context.json && !failure.answer().is_null()) std::printf("%s\n", failure.answer().dump(2).c_str());
        std::fprintf(stderr, "millracectl: %s\n", failure.what());
    } catch (const std::exception& unexpected) {
        std::fprintf(stderr, "millracectl: unexpected answer: %s\n", unexpected.what());
    }
    return 1;
}

}  // namespace
}  // namespace millrace::cli

int main(int argc, char** argv) {
    return millrace::cli::main_function(argc, argv);
}
