#include "load/options.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>

#include "load/addresses.h"
#include "load/handshakes.h"

namespace millrace::load {
namespace {

/// The command line as it stands, before it is made sense of.
struct Texts {
    std::string role = "both";
    std::string client_interface, server_interface;
    std::string client_addresses, server_addresses;
    std::string client_gateway, server_gateway;
    std::string server_port = "9000";
    std::vector<std::string> targets;
    std::string size;
    std::string close = "fin";
    std::string tls_version, tls_ca;
    TlsSettings tls;
    bool tls_insecure = false;
};

[[noreturn]] void refuse(const std::string& reason) {
    std::fprintf(stderr, "millrace-load: %s\n", reason.c_str());
    std::exit(2);
}

/// "memif:/run/m.sock,server", "af_xdp:veth0", "af_packet:veth0".
InterfaceSettings parse_interface(const char* option, const std::string& text) {
    static const std::map<std::string, Driver> drivers{
        {"memif", Driver::memif}, {"af_xdp", Driver::af_xdp}, {"af_packet", Driver::af_packet}};
    const size_t colon = text.find(':');
    const auto driver = drivers.find(text.substr(0, colon));
    if (colon == std::string::npos || driver == drivers.end())
        refuse(std::string(option) + " '" + text +
               "': write DRIVER:WHAT, as memif:/run/load.sock,client, af_xdp:veth0 or af_packet:veth0");
    InterfaceSettings settings{.driver = driver->second, .device = text.substr(colon + 1)};
    const size_t comma = settings.device.rfind(',');
    if (settings.driver == Driver::memif && comma != std::string::npos) {
        const std::string role = settings.device.substr(comma + 1);
        if (role != "server" && role != "client")
            refuse(std::string(option) + " '" + text + "': memif's own role is ',client' or ',server'");
        settings.memif_server = role == "server";
        settings.device.resize(comma);
    }
    if (!valid_device(settings.driver, settings.device))
        refuse(std::string(option) + " '" + text + "': '" + settings.device +
               (settings.driver == Driver::memif ? "' is no absolute path of a socket" : "' is no interface's name"));
    return settings;
}

void parse_pool(const std::string& who, const std::string& addresses, const std::string& gateway, PoolSettings& pool) {
    std::string error;
    if (addresses.empty()) refuse("--" + who + "-addresses is missing: which addresses shall the " + who + "s have?");
    const auto parsed = parse_addresses(addresses, error);
    if (!parsed) refuse("--" + who + "-addresses: " + error);
    pool.addresses = *parsed;
    const bool v4 = pool.addresses[0].is_v4();
    if (pool.prefix_length == 0) pool.prefix_length = v4 ? 24 : 64;
    if (pool.prefix_length > (v4 ? 32 : 128)) refuse("--" + who + "-prefix is longer than an address");
    if (gateway.empty()) return;
    pool.gateway = parse_ip_address(gateway);
    if (!pool.gateway) refuse("--" + who + "-gateway '" + gateway + "' is no address");
}

void parse_ports(const std::string& text, Settings& settings) {
    unsigned low = 0, high = 0;
    const int count = std::sscanf(text.c_str(), "%u-%u", &low, &high);
    if (count == 1) high = low;
    if (count < 1 || low == 0 || low > high || high > 65535)
        refuse("--server-port '" + text + "': write 9000 or 9000-9003");
    settings.server_port_low = static_cast<uint16_t>(low);
    settings.server_port_high = static_cast<uint16_t>(high);
}

/// TLS is the clients', and certificates are verified unless that is refused in so many words.
std::optional<TlsSettings> parse_tls(const Texts& texts, bool client) {
    if (texts.tls_version.empty()) return std::nullopt;
    if (!client) refuse("--tls is for clients, and --role server has none: servers are spoken to without TLS");
    if (!texts.tls_insecure && texts.tls_ca.empty())
        refuse("--tls needs either --tls-ca FILE, with who signs the certificate, or --tls-insecure to take any");
    TlsSettings tls = texts.tls;
    if (parse_ip_address(tls.name)) refuse("--tls-name '" + tls.name + "' is an address; a host's name is needed");
    tls.version = texts.tls_version == "1.2" ? tls::Version::tls12 : tls::Version::tls13;
    if (texts.tls_insecure) return tls;
    std::ifstream file(texts.tls_ca);
    tls.ca_pem.assign(std::istreambuf_iterator<char>(file), {});
    if (!file || tls.ca_pem.empty()) refuse("--tls-ca " + texts.tls_ca + ": cannot be read, or is empty");
    std::string error;
    if (make_tls_context(tls, error) == nullptr) refuse("--tls-ca " + texts.tls_ca + ": " + error);
    return tls;
}

void make_sense(const Texts& texts, Settings& settings) {
    settings.client = texts.role != "server";
    settings.server = texts.role != "client";
    if (settings.client) {
        if (texts.client_interface.empty()) refuse("--client-interface is missing: DRIVER:WHAT");
        settings.client_interface = parse_interface("--client-interface", texts.client_interface);
        parse_pool("client", texts.client_addresses, texts.client_gateway, settings.clients);
        if (texts.targets.empty()) refuse("--target is missing: ADDRESS:PORT of the balancer");
    }
    if (settings.server) {
        const bool own = !texts.server_interface.empty();
        if (!own && !settings.client) refuse("--server-interface is missing: DRIVER:WHAT");
        if (own) settings.server_interface = parse_interface("--server-interface", texts.server_interface);
        parse_pool("server", texts.server_addresses, texts.server_gateway, settings.servers);
        parse_ports(texts.server_port, settings);
    }
    for (const std::string& text : texts.targets) {
        const auto target = parse_target(text);
        if (!target) refuse("--target '" + text + "': write ADDRESS:PORT, as 198.18.0.1:80 or [2001:db8::1]:80");
        settings.targets.push_back(*target);
    }
    settings.tls = parse_tls(texts, settings.client);
    std::string error;
    const char* usual = settings.workload == WorkloadKind::bulk ? "65536" : "128";
    const auto sizes = Sizes::parse(texts.size.empty() ? usual : texts.size, error);
    if (!sizes) refuse("--size: " + error);
    settings.sizes = *sizes;
    settings.close_by_reset = texts.close == "rst";
    if (settings.workload == WorkloadKind::mix) {
        if (settings.rate == 0) settings.rate = 10'000;
        if (settings.ramp_rate == 0) settings.ramp_rate = 1'000;
    }
}

void add_networks(CLI::App& app, Texts& texts, Settings& settings) {
    app.add_option("--role", texts.role, "What this process is: the clients, the servers, or both")
        ->check(CLI::IsMember({"client", "server", "both"}))
        ->capture_default_str();
    app.add_option("--client-interface", texts.client_interface,
                   "memif:SOCKET[,client|,server], af_xdp:INTERFACE or af_packet:INTERFACE");
    app.add_option("--server-interface", texts.server_interface, "The same for the servers; left out: the clients'");
    app.add_option("--client-addresses", texts.client_addresses, "The clients' addresses: 198.18.4.1-198.18.4.200");
    app.add_option("--client-prefix", settings.clients.prefix_length, "Length of their network's prefix; 24 or 64");
    app.add_option("--client-gateway", texts.client_gateway, "Their way to targets beyond their network");
    app.add_option("--server-addresses", texts.server_addresses, "The servers' addresses");
    app.add_option("--server-prefix", settings.servers.prefix_length, "Length of their network's prefix; 24 or 64");
    app.add_option("--server-gateway", texts.server_gateway, "Their way to whoever is beyond their network");
    app.add_option("--server-port", texts.server_port, "Where the servers listen: 9000 or 9000-9003")
        ->capture_default_str();
    app.add_option("--target", texts.targets, "ADDRESS:PORT that clients connect to; may be repeated")
        ->allow_extra_args(false);
    app.add_option("--host", settings.host, "Host of the requests")->capture_default_str();
    app.add_option("--path", settings.path, "Path of the requests")->capture_default_str();
}

void add_tls(CLI::App& app, Texts& texts) {
    CLI::Option* tls = app.add_option("--tls", texts.tls_version, "Clients speak TLS of this version, 1.2 or 1.3")
                           ->check(CLI::IsMember({"1.2", "1.3"}));
    CLI::Option* ca = app.add_option("--tls-ca", texts.tls_ca, "PEM file of who signs the server's certificate")
                          ->check(CLI::ExistingFile)
                          ->needs(tls);
    app.add_flag("--tls-insecure", texts.tls_insecure, "Take any certificate")->needs(tls)->excludes(ca);
    app.add_option("--tls-name", texts.tls.name, "The server's name: sent as SNI, and asked of its certificate")
        ->needs(tls);
    app.add_option("--tls-resume", texts.tls.resume_share,
                   "Share of the handshakes, 0 to 1, that offer the session of an earlier one with that server")
        ->check(CLI::Range(0.0, 1.0))
        ->needs(tls)
        ->capture_default_str();
}

void add_work(CLI::App& app, Texts& texts, Settings& settings) {
    app.add_option("--connections", settings.connections, "Connections; storm: at once")
        ->check(CLI::Range(1u, 50'000'000u))
        ->capture_default_str();
    app.add_option("--ramp-rate", settings.ramp_rate, "Connections opened a second; 0: as fast as it goes");
    app.add_option("--hold", settings.hold_s, "idle: seconds of silence before every connection is proven alive");
    app.add_option("--seconds", settings.seconds, "How long the work lasts")->capture_default_str();
    app.add_option("--rate", settings.rate, "Pushes, or sessions of a storm, a second; 0: as fast as it goes");
    app.add_option("--depth", settings.depth,
                   "echo, bulk: messages under way on each connection; push without a rate: in all, 1024")
        ->check(CLI::Range(1u, 1'000'000u))
        ->capture_default_str();
    app.add_option("--size", texts.size, "Bytes of a message: 128, 64-256, or a list of these; bulk: 65536");
    app.add_option("--close", texts.close, "How a storm closes")
        ->check(CLI::IsMember({"fin", "rst"}))
        ->capture_default_str();
    app.add_option("--subset", settings.subset, "push: to so many connections only, chosen at random; 0: to all");
    app.add_option("--seed", settings.seed, "Of everything random")->capture_default_str();
    app.add_option("--timeout", settings.timeout_s, "Seconds after which it ends whatever happens")
        ->capture_default_str();
}

}  // namespace

Options parse_options(int argc, char** argv) {
    Options options;
    Texts texts;
    CLI::App app{
        "The load generator of Millrace: WebSocket clients and servers by the million, on a TCP stack of its own."};
    const std::map<std::string, WorkloadKind> workloads{{"idle", WorkloadKind::idle},   {"echo", WorkloadKind::echo},
                                                        {"push", WorkloadKind::push},   {"bell", WorkloadKind::bell},
                                                        {"storm", WorkloadKind::storm}, {"bulk", WorkloadKind::bulk},
                                                        {"mix", WorkloadKind::mix}};
    app.add_option("workload", options.settings.workload, "idle, echo, push, bell, storm, bulk or mix")
        ->required()
        ->transform(CLI::CheckedTransformer(workloads));
    add_networks(app, texts, options.settings);
    add_tls(app, texts);
    add_work(app, texts, options.settings);
    app.add_option("--core", options.settings.core, "The core that it polls on")->capture_default_str();
    app.add_flag("--huge-pages", options.settings.huge_pages, "Use huge pages; those of the frames must be reserved");
    app.add_flag("--json", options.json, "End with one JSON object on a line");
    app.add_option("--histogram", options.histogram, "Write the latencies to this file");
    app.add_option("--log-file", options.log_file, "Where the output of DPDK goes")->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::exit(app.exit(error) == 0 ? 0 : 2);
    }
    make_sense(texts, options.settings);
    return options;
}

}  // namespace millrace::load
