#include "control/config/check.h"

#include <bit>
#include <sys/sysinfo.h>
#include <tuple>

#include <millrace/config_rules.h>

#include "control/config/addresses.h"
#include "control/config/checker.h"

namespace millrace::control {

// ---- [dataplane], [control] -----------------------------------------------------------------------------------------

void Checker::check_dataplane() {
    const Dataplane& dataplane = config_.dataplane;
    const uint32_t core_count =
        options_.core_count != 0 ? options_.core_count : static_cast<uint32_t>(std::max(get_nprocs_conf(), 1));
    for (size_t i = 0; i < dataplane.cores.size(); ++i) {
        const std::string path = item("dataplane.cores", i);
        const uint16_t core = dataplane.cores[i];
        if (std::find(dataplane.cores.begin(), dataplane.cores.begin() + static_cast<ptrdiff_t>(i), core) !=
            dataplane.cores.begin() + static_cast<ptrdiff_t>(i))
            error(path, "core " + std::to_string(core) + " stands twice; name each core once");
        if (core >= core_count)
            machine_error(path, "core " + std::to_string(core) + " does not exist; this machine has cores " + "0 to " +
                                    std::to_string(core_count - 1));
    }
    if (dataplane.workers > dataplane.cores.size())
        error("dataplane.workers", "\"workers\" is " + std::to_string(dataplane.workers) + ", more than the " +
                                       std::to_string(dataplane.cores.size()) + " cores; name more \"cores\"");
    const uint32_t shards = dataplane.shards;
    if (!std::has_single_bit(shards))
        error("dataplane.shards", "\"shards\" is " + std::to_string(shards) + ", which is no power of two; write " +
                                      std::to_string(std::bit_floor(shards)) + " or " +
                                      std::to_string(std::bit_ceil(shards)));
    else if (shards < dataplane.cores.size())
        error(has("dataplane.shards") ? "dataplane.shards" : "dataplane.cores",
              "\"shards\" is " + std::to_string(shards) + ", fewer than the " + std::to_string(dataplane.cores.size()) +
                  " cores; write at least " + std::to_string(std::bit_ceil(dataplane.cores.size())));
    else
        check_chunk_memory();
}

/// Each shard has its part.
void Checker::check_chunk_memory() {
    const uint64_t memory = config_.dataplane.chunk_memory_bytes;
    const uint32_t shards = config_.dataplane.shards;
    const uint64_t least = shards * shard_chunk_bytes_min, most = shards * shard_chunk_bytes_max;
    if (memory >= least && memory <= most) return;
    const char* path = has("dataplane.chunk_memory") ? "dataplane.chunk_memory" : "dataplane.shards";
    error(path, "\"chunk_memory\" is " + format_size_bytes(memory) + " and \"shards\" is " + std::to_string(shards) +
                    ", but each shard must have " + format_size_bytes(shard_chunk_bytes_min) + " to " +
                    format_size_bytes(shard_chunk_bytes_max) + "; write " +
                    (memory < least ? "at least " + format_size_bytes(least) + ", or fewer shards"
                                    : "at most " + format_size_bytes(most) + ", or more shards"));
}

void Checker::check_control() {
    std::vector<AdminSocket>& sockets = config_.control.admin_sockets;
    std::map<std::string, size_t> first;
    for (size_t i = 0; i < sockets.size(); ++i) {
        const std::string path = item("control.admin_socket", i);
        const auto [known, is_new] = first.try_emplace(sockets[i].path, i);
        if (!is_new)
            error(path + ".path", "socket " + in_quotes(sockets[i].path) + " exists already, on " +
                                      line(item("control.admin_socket", known->second)) +
                                      "; give it a path of its own");
        if ((sockets[i].mode & 0002) != 0 && sockets[i].role != Role::viewer)
            error(path + ".mode",
                  "this mode lets every local user connect; use a group and \"0660\", or role = \"viewer\"");
    }
    if (sockets.empty()) sockets.emplace_back();
}

// ---- [[interface]], [[route]] ---------------------------------------------------------------------------------------

void Checker::check_interfaces() {
    const std::vector<Interface>& interfaces = config_.interfaces;
    if (interfaces.empty() && !has("interface"))
        error("", "there is no [[interface]]; add one with name, driver, device and addresses");
    check_names("interface", "interface", interfaces);
    std::map<std::string, size_t> devices;
    for (size_t i = 0; i < interfaces.size(); ++i) {
        const Interface& interface = interfaces[i];
        const std::string path = item("interface", i);
        if (has(path + ".device") && has(path + ".driver")) {
            static constexpr const char* forms[] = {"the name of a kernel interface, as \"eth1\"",
                                                    "the name of a kernel interface, as \"eth1\"",
                                                    "the absolute path of a socket, as \"/run/millrace/front.memif\"",
                                                    "a PCI address, as \"0000:3b:00.0\""};
            if (!valid_device(interface.driver, interface.device))
                error(path + ".device", "\"device\" is " + in_quotes(interface.device) +
                                            "; with this driver it must be " +
                                            forms[static_cast<size_t>(interface.driver)]);
            const auto [known, is_new] = devices.try_emplace(interface.device, i);
            if (!is_new)
                error(path + ".device", "device " + in_quotes(interface.device) + " belongs to the interface on " +
                                            line(item("interface", known->second)) +
                                            " already; give each interface a device of its own");
        }
        if (has(path + ".memif_role") && has(path + ".driver") && interface.driver != Driver::memif &&
            interface.memif_server)
            error(path + ".memif_role",
                  "\"memif_role\" has no meaning with this driver; remove it, or set driver = \"memif\"");
        if (interface.mtu < mtu_min_ipv6 && has_family(interface, false))
            error(path + ".mtu", "\"mtu\" is " + std::to_string(interface.mtu) +
                                     " on an interface with IPv6 addresses; write at least " +
                                     std::to_string(mtu_min_ipv6));
        const size_t cores = config_.dataplane.cores.size();
        if (interface.queues != 0 && interface.queues < cores)
            error(path + ".queues", "\"queues\" is " + std::to_string(interface.queues) + ", fewer than the " +
                                        std::to_string(cores) + " cores; write at least " + std::to_string(cores) +
                                        ", or 0 for one per core");
        for (const char* key : {"rx_descriptors", "tx_descriptors"}) {
            const uint16_t count = key[0] == 'r' ? interface.rx_descriptors : interface.tx_descriptors;
            if (!std::has_single_bit(count))
                error(path + "." + key,
                      in_quotes(key) + " is " + std::to_string(count) + ", which is no power of two; write " +
                          std::to_string(std::bit_floor(count)) + " or " + std::to_string(std::bit_ceil(count)));
        }
    }
    check_addresses();
}

void Checker::check_addresses() {
    std::map<IpAddress, std::string> first;
    std::map<std::tuple<IpAddress, uint8_t>, std::pair<size_t, std::string>> networks;
    for (size_t i = 0; i < config_.interfaces.size(); ++i) {
        addresses_known_ = addresses_known_ && !config_.interfaces[i].addresses.empty();
        for (size_t j = 0; j < config_.interfaces[i].addresses.size(); ++j) {
            const IpAddress& address = config_.interfaces[i].addresses[j].address;
            const std::string path = item(item("interface", i, "addresses"), j);
            addresses_known_ = addresses_known_ && !address.is_unspecified();
            if (address.is_unspecified()) continue;
            const auto [known, is_new] = first.try_emplace(address, path);
            if (!is_new)
                error(path, "address " + to_string(address) + " stands on " + line(known->second) +
                                " already; give each address to one interface");
            // What goes to a network leaves by one interface; the other one's neighbours would never be reached. A
            // prefix of full length holds no neighbour.
            const uint8_t length = config_.interfaces[i].addresses[j].prefix_length;
            if (!is_new || length == (address.is_v4() ? 32 : 128)) continue;
            const IpAddress network = network_of(address, length);
            const auto [owner, first_owner] = networks.try_emplace({network, length}, i, path);
            if (!first_owner && owner->second.first != i)
                error(path, "network " + to_string(network) + "/" + std::to_string(length) +
                                " belongs to the interface of " + line(owner->second.second) +
                                " already; give each interface networks of its own");
        }
    }
}

void Checker::check_routes() {
    std::map<std::tuple<IpAddress, uint8_t>, std::string> first;
    for (size_t i = 0; i < config_.routes.size(); ++i) {
        const StaticRoute& route = config_.routes[i];
        const std::string path = item("route", i);
        if (has(path + ".destination")) {
            const auto [known, is_new] =
                first.try_emplace({route.destination.address, route.destination.prefix_length}, path);
            if (!is_new)
                error(path + ".destination",
                      "this destination has a route on " + line(known->second) + " already; keep one of the two");
        }
        if (addresses_known_ && has(path + ".gateway")) check_gateway(i);
    }
}

/// Finds the interface that the gateway is reached by.
void Checker::check_gateway(size_t index) {
    StaticRoute& route = config_.routes[index];
    const std::string path = item("route", index);
    const std::string gateway = to_string(route.gateway);
    if (has(path + ".destination") && route.destination.address.is_v4() != route.gateway.is_v4())
        return error(path + ".gateway", "gateway " + gateway + " is of another family than the destination; write an " +
                                            (route.gateway.is_v4() ? "IPv6" : "IPv4") + " address");
    if (is_local(route.gateway))
        return error(path + ".gateway", "gateway " + gateway + " is our own address; write the address of the router");
    const bool link_local =
        !route.gateway.is_v4() && route.gateway.bytes[0] == 0xfe && (route.gateway.bytes[1] & 0xc0) == 0x80;
    const bool named = !route.interface.empty() && has(path + ".interface");
    if (named && !check_reference(path + ".interface", "interface", route.interface, names_of(config_.interfaces)))
        return;
    for (size_t i = 0; i < config_.interfaces.size(); ++i) {
        const Interface& interface = config_.interfaces[i];
        if (named && interface.name != route.interface) continue;
        if (on_link(interface, route.gateway) || (named && link_local)) {
            route.interface_index = static_cast<uint16_t>(i);
            return;
        }
    }
    if (link_local)
        return error(path + ".gateway",
                     "gateway " + gateway + " is link-local; name its interface, as interface = \"front\"");
    error(path + ".gateway", "gateway " + gateway + " is in no network of " +
                                 (named ? "interface " + in_quotes(route.interface) : std::string("an interface")) +
                                 "; write the address of a router in one of them");
}

// ---- [[backend]] ----------------------------------------------------------------------------------------------------

void Checker::check_backends() {
    backend_names_ = names_of(config_.backends);
    check_names("backend", "backend", config_.backends);
    for (size_t i = 0; i < config_.backends.size(); ++i) check_backend(i);
}

void Checker::check_backend(size_t index) {
    Backend& backend = config_.backends[index];
    const std::string path = item("backend", index);
    if (backend.balance != Algorithm::maglev) {
        if (!backend.hash_header.empty())
            error(path + ".hash",
                  "\"hash\" has no meaning with this \"balance\"; remove it, or set balance = \"maglev\"");
    } else if (backend.maglev_size < backend.servers.size() * 100) {
        warning(path + ".maglev_size",
                "\"maglev_size\" is " + std::to_string(backend.maglev_size) + " for " +
                    std::to_string(backend.servers.size()) +
                    " servers, which spreads unevenly; a prime over 100 times the servers is better");
    }
    if (backend.servers.empty() && !has(path + ".server"))
        error(path, "backend " + in_quotes(backend.name) + " has no server; add a [[backend.server]]");
    check_health(backend, path);
    check_sources(backend, path);
    check_servers(backend, path);
    if (backend.tls) check_tls(backend, path);
}

void Checker::check_health(const Backend& backend, const std::string& path) {
    if (!backend.health) return;
    const HealthCheck& health = *backend.health;
    const std::string here = path + ".health";
    if (health.timeout_ms > health.interval_ms)
        error(here + ".timeout", "\"timeout\" of the probes is " +
                                     format_duration_us(health.timeout_ms * uint64_t{1000}) +
                                     ", longer than their \"interval\"; write at most " +
                                     format_duration_us(health.interval_ms * uint64_t{1000}));
    if (has(here + ".tls") && !backend.tls)
        error(here + ".tls", "\"tls\" of the probes has no meaning without a [backend.tls]; remove it, or add that");
    if (!has(here + ".type")) return;
    const auto meaningless = [&](const char* key, bool meaning, const char* types) {
        if (has(here + "." + key) && !meaning)
            error(here + "." + key,
                  in_quotes(key) + " has no meaning for these probes; remove it, or set type = " + types);
    };
    const char* requests = "\"http\" or \"websocket\"";
    meaningless("path", health.type != HealthType::tcp, requests);
    meaningless("host", health.type != HealthType::tcp, requests);
    meaningless("expect_status", health.type == HealthType::http, "\"http\"");
}

void Checker::check_sources(const Backend& backend, const std::string& path) {
    for (size_t i = 0; i < backend.sources.size(); ++i) {
        const SourcePool& pool = backend.sources[i];
        const std::string here = item(path + ".sources", i);
        if (!has(here + ".address")) continue;
        if (addresses_known_ && !is_local(pool.address))
            error(here + ".address",
                  "source " + to_string(pool.address) + " is no address of an interface; " + local_addresses());
        for (size_t j = 0; j < i; ++j) {
            const SourcePool& other = backend.sources[j];
            if (pool.address == other.address && pool.port_low <= other.port_high && other.port_low <= pool.port_high)
                error(here, "this pool shares ports with the one on " + line(item(path + ".sources", j)) +
                                "; give each port of an address to one pool");
        }
    }
}

void Checker::check_servers(Backend& backend, const std::string& path) {
    check_names(path + ".server", "server", backend.servers);
    bool any_weight = backend.servers.empty();
    for (size_t i = 0; i < backend.servers.size(); ++i) {
        Server& server = backend.servers[i];
        const std::string here = item(path + ".server", i);
        any_weight = any_weight || server.weight != 0;
        if (!has(here + ".address")) continue;
        for (size_t j = 0; j < i; ++j)
            if (backend.servers[j].host == server.host && backend.servers[j].port == server.port)
                warning(here + ".address", "this is the address of server " + in_quotes(backend.servers[j].name) +
                                               " too; one entry with a larger weight does the same");
        resolve(backend.name, server, here + ".address");
        std::string problem;
        const std::vector<IpAddress> found = server.addresses;
        std::erase_if(server.addresses, [&](const IpAddress& address) { return !usable(backend, address, problem); });
        if (server.addresses.empty() && !found.empty()) {
            error(here + ".address", problem);
        } else if (server.addresses.size() < found.size()) {
            warning(here + ".address", "only some addresses of " + in_quotes(server.host) + " are used: " + problem);
        }
    }
    if (!any_weight)
        warning(path, "every server of backend " + in_quotes(backend.name) +
                          " has weight 0, so it takes nothing new; give one a weight above 0");
}

void Checker::resolve(const std::string& backend, Server& server, const std::string& path) {
    if (const auto literal = parse_ip_address(server.host)) {
        server.addresses = {*literal};
        return;
    }
    std::string problem;
    server.addresses = resolver_.resolve(server.host, problem);
    std::sort(server.addresses.begin(), server.addresses.end());
    server.addresses.erase(std::unique(server.addresses.begin(), server.addresses.end()), server.addresses.end());
    if (!server.addresses.empty()) return;
    problem = "the name " + in_quotes(server.host) + " does not resolve: " + problem + "; ";
    if (options_.last_addresses) server.addresses = options_.last_addresses(backend, server);
    if (server.addresses.empty()) return machine_error(path, problem + "correct it, or write an IP address");
    for (const IpAddress& address : server.addresses)
        problem += to_string(address) + (&address == &server.addresses.back() ? "" : ", ");
    warning(path, problem + " of the configuration before goes on to be used");
}

/// Can a worker connect to `address` from an address that it may use?
bool Checker::usable(const Backend& backend, const IpAddress& address, std::string& problem) const {
    const std::string name = to_string(address);
    if (!is_host_address(address)) {
        problem = name + " can't be the address of a server; write the address of a host";
        return false;
    }
    if (is_local(address)) {
        problem = name + " is our own address; write the address of the server";
        return false;
    }
    const char* family = address.is_v4() ? "IPv4" : "IPv6";
    bool reached = false;
    for (size_t i = 0; i < config_.interfaces.size(); ++i) {
        const Interface& interface = config_.interfaces[i];
        reached = reached || on_link(interface, address);
        for (const StaticRoute& route : config_.routes)
            reached = reached || (route.interface_index == i && has_family(interface, address.is_v4()) &&
                                  address.in_prefix(route.destination.address, route.destination.prefix_length));
    }
    if (!reached && addresses_known_) {
        problem = name + " is in no network of an interface, and no route leads there from an " + family +
                  " address; add an address in its network or a [[route]]";
        return false;
    }
    const bool source = std::any_of(backend.sources.begin(), backend.sources.end(), [&](const SourcePool& pool) {
        return pool.address.is_unspecified() || pool.address.is_v4() == address.is_v4();
    });
    if (!backend.sources.empty() && !source) {
        problem = name + " has no source of its family; add an " + std::string(family) + " address to \"sources\"";
        return false;
    }
    return true;
}

/// The shared tables' sizes, which bound what all backends or listeners hold together.
void Checker::check_totals() {
    size_t servers = 0, sources = 0, routes = 0, addresses = 0;
    for (const Backend& backend : config_.backends) {
        for (const Server& server : backend.servers) servers += server.addresses.size();
        sources += backend.sources.size();
    }
    for (const Listener& listener : config_.listeners)
        routes += listener.routes.size() + (listener.backend.empty() ? 0 : 1);
    for (const Interface& interface : config_.interfaces) addresses += interface.addresses.size();
    const auto bound = [&](const char* path, const char* what, size_t count, size_t max) {
        if (count > max)
            error(path, "there are " + std::to_string(count) + " " + what + "; the most is " + std::to_string(max));
    };
    bound("backend", "addresses of servers over all backends", servers, server_slot_max);
    bound("backend", "sources over all backends", sources, source_max);
    bound("listener", "routes over all listeners", routes, http_route_max);
    bound("interface", "addresses over all interfaces", addresses, local_address_max);
}

void check_config(Config& config, const Positions& positions, Resolver& resolver, const LoadOptions& options,
                  Diagnostics& diagnostics) {
    Checker(config, positions, resolver, options, diagnostics).check();
}

}  // namespace millrace::control
