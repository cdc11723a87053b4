#include "control/servers.h"

#include <algorithm>

namespace millrace::control {

std::vector<ServerView> servers_of(const SnapshotView& snapshot) {
    std::vector<ServerView> servers;
    for (const ServerRecord& record : snapshot.servers())
        servers.push_back({std::string(snapshot.text(snapshot.backends()[record.backend].name)),
                           std::string(snapshot.text(record.name)), record.address, record.port, record.slot,
                           record.weight});
    return servers;
}

std::optional<HealthCheck> health_check_of(const Config& config, const ServerView& server) {
    const auto backend = std::find_if(config.backends.begin(), config.backends.end(),
                                      [&](const Backend& candidate) { return candidate.name == server.backend; });
    if (backend == config.backends.end() || !backend->health) return std::nullopt;
    HealthCheck check = *backend->health;
    check.tls = check.tls && backend->tls;
    if (!check.host.empty()) return check;
    const auto entry = std::find_if(backend->servers.begin(), backend->servers.end(),
                                    [&](const Server& candidate) { return candidate.name == server.name; });
    std::string host = entry == backend->servers.end() ? to_string(server.address) : entry->host;
    if (host.find(':') != std::string::npos) host = '[' + host + ']';
    check.host = server.port == (check.tls ? 443 : 80) ? host : host + ':' + std::to_string(server.port);
    return check;
}

LastAddresses last_addresses(const SnapshotView& snapshot) {
    return [servers = servers_of(snapshot)](const std::string& backend, const Server& server) {
        std::vector<IpAddress> addresses;
        for (const ServerView& known : servers)
            if (known.backend == backend && known.name == server.name && known.port == server.port)
                addresses.push_back(known.address);
        return addresses;
    };
}

LastAddresses last_addresses(std::vector<Backend> backends) {
    return [backends = std::move(backends)](const std::string& backend, const Server& server) {
        for (const Backend& known : backends)
            for (const Server& entry : known.servers)
                if (known.name == backend && entry.name == server.name && entry.port == server.port &&
                    entry.host == server.host)
                    return entry.addresses;
        return std::vector<IpAddress>();
    };
}

std::string endpoint_text(const IpAddress& address, uint16_t port) {
    const std::string text = to_string(address);
    return (address.is_v4() ? text : '[' + text + ']') + ':' + std::to_string(port);
}

}  // namespace millrace::control
