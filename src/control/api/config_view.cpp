// The configuration in force, every default filled in, with the keys and units of the configuration file. Keys that
// have no meaning beside others are left out, so that it is a valid file again.
#include "control/api/views.h"
#include "control/api/words.h"
#include "control/config/text.h"

namespace millrace::control::api {

namespace {

std::string from_ms(uint64_t value) {
    return format_duration_us(value * 1000);
}

std::string range(uint16_t low, uint16_t high) {
    return std::to_string(low) + '-' + std::to_string(high);
}

std::string prefix(const InterfaceAddress& address) {
    return to_string(address.address) + '/' + std::to_string(address.prefix_length);
}

Json tcp_json(const Tcp& tcp) {
    return {{"congestion_control", word(tcp.congestion_control)},
            {"idle_restart", tcp.idle_restart},
            {"ack_delay", from_ms(tcp.ack_delay_ms)},
            {"path_mtu_min", tcp.path_mtu_min}};
}

Json dataplane_json(const Dataplane& d) {
    return {{"cores", d.cores},
            {"workers", d.workers},
            {"shards", d.shards},
            {"relays_max", d.relays_max},
            {"chunk_memory", format_size_bytes(d.chunk_memory_bytes)},
            {"half_open_max", d.half_open_max},
            {"syn_cookies", word(d.syn_cookies)},
            {"time_wait_max", d.time_wait_max},
            {"neighbours_max", d.neighbours_max},
            {"idle_sleep", format_duration_us(d.idle_sleep_us)},
            {"send_queue", format_size_bytes(d.send_queue_bytes)},
            {"send_queue_max", format_size_bytes(d.send_queue_max_bytes)},
            {"drain_rate_min", format_size_bytes(d.drain_rate_min)},
            {"crypto_threads", d.crypto_threads},
            {"tls_handshakes_max", d.tls_handshakes_max},
            {"huge_pages", d.huge_pages},
            {"tcp", tcp_json(d.tcp)}};
}

Json control_json(const ControlSettings& control) {
    Json sockets = Json::array();
    for (const AdminSocket& socket : control.admin_sockets) {
        char mode[8];
        std::snprintf(mode, sizeof mode, "%04o", socket.mode & 07777);
        sockets.push_back(
            {{"path", socket.path}, {"role", word(socket.role)}, {"group", socket.group}, {"mode", mode}});
    }
    return {{"user", control.user}, {"log_level", word(control.log_level)}, {"admin_socket", sockets}};
}

Json interface_json(const Interface& i) {
    Json addresses = Json::array();
    for (const InterfaceAddress& address : i.addresses) addresses.push_back(prefix(address));
    return {{"name", i.name},
            {"driver", word(i.driver)},
            {"device", i.device},
            {"addresses", addresses},
            {"vlan", i.vlan},
            {"mtu", i.mtu},
            {"queues", i.queues},
            {"rx_descriptors", i.rx_descriptors},
            {"tx_descriptors", i.tx_descriptors},
            {"take_over", i.take_over},
            {"memif_role", i.memif_server ? "server" : "client"}};
}

Json keepalive_json(const Keepalive& k) {
    return {{"idle", from_ms(k.idle_s * uint64_t{1000})},
            {"interval", from_ms(k.interval_s * uint64_t{1000})},
            {"count", k.count}};
}

Json tls_json(const ListenerTls& t) {
    Json json{{"min_version", word(t.min_version)},
              {"max_version", word(t.max_version)},
              {"ciphers", t.ciphers},
              {"suites", t.suites},
              {"groups", t.groups},
              {"alpn", t.alpn},
              {"tickets", t.tickets},
              {"ticket_keys", t.ticket_keys},
              {"client_certificates", word(t.client_certificates)},
              {"client_ca", t.client_ca},
              {"client_subject_header", t.client_subject_header},
              {"handshake_timeout", from_ms(t.handshake_timeout_ms)},
              {"certificate", Json::array()}};
    for (const Certificate& certificate : t.certificates)
        json["certificate"].push_back(
            {{"chain", certificate.chain}, {"key", certificate.key}, {"ocsp", certificate.ocsp}});
    return json;
}

Json tls_json(const BackendTls& t) {
    return {{"ca", t.ca},
            {"verify", t.verify},
            {"server_name", t.server_name},
            {"certificate", t.certificate},
            {"key", t.key},
            {"min_version", word(t.min_version)},
            {"max_version", word(t.max_version)},
            {"ciphers", t.ciphers},
            {"suites", t.suites},
            {"groups", t.groups},
            {"resume", t.resume},
            {"handshake_timeout", from_ms(t.handshake_timeout_ms)}};
}

Json listener_json(const Listener& l) {
    Json json{{"name", l.name},       {"address", l.address.is_unspecified() ? "*" : to_string(l.address)},
              {"port", l.port},       {"mode", word(l.mode)},
              {"backend", l.backend}, {"idle_timeout", from_ms(l.idle_timeout_ms)}};
    if (l.keepalive) json["keepalive"] = keepalive_json(*l.keepalive);
    if (l.tls) json["tls"] = tls_json(*l.tls);
    if (l.mode == ListenerMode::tcp) return json;
    json.update({{"head_timeout", from_ms(l.head_timeout_ms)},
                 {"head_bytes_max", format_size_bytes(l.head_bytes_max)},
                 {"headers_max", l.headers_max},
                 {"forwarded_for", word(l.forwarded_for)},
                 {"forwarded_proto", word(l.forwarded_proto)},
                 {"forwarded_host", word(l.forwarded_host)},
                 {"request_id", word(l.request_id)},
                 {"retry_after", from_ms(l.retry_after_s * uint64_t{1000})},
                 {"route", Json::array()}});
    for (const HttpRoute& route : l.routes)
        json["route"].push_back({{"host", route.host}, {"path", route.path}, {"backend", route.backend}});
    return json;
}

Json health_json(const HealthCheck& h) {
    Json json{{"type", word(h.type)},
              {"interval", from_ms(h.interval_ms)},
              {"timeout", from_ms(h.timeout_ms)},
              {"rise", h.rise},
              {"fall", h.fall}};
    if (h.type != HealthType::tcp) json.update({{"path", h.path}, {"host", h.host}});
    if (h.type == HealthType::http) json["expect_status"] = range(h.status_low, h.status_high);
    return json;
}

Json backend_json(const Backend& b) {
    Json json{
        {"name", b.name},
        {"balance", word(b.balance)},
        {"hash", b.hash_header.empty() ? "source" : "header:" + b.hash_header},
        {"maglev_size", b.maglev_size},
        {"connect_timeout", from_ms(b.connect_timeout_ms)},
        {"upgrade_timeout", from_ms(b.upgrade_timeout_ms)},
        {"idle_timeout", from_ms(b.idle_timeout_ms)},
        {"retries", b.retries},
        {"when_all_down", word(b.when_all_down)},
        {"sources", Json::array()},
        {"ejection",
         {{"consecutive_failures", b.ejection.consecutive_failures}, {"duration", from_ms(b.ejection.duration_ms)}}}};
    for (const SourcePool& source : b.sources)
        json["sources"].push_back(
            {{"address", to_string(source.address)}, {"ports", range(source.port_low, source.port_high)}});
    if (b.keepalive) json["keepalive"] = keepalive_json(*b.keepalive);
    if (b.health) json["health"] = health_json(*b.health);
    if (b.health && b.tls) json["health"]["tls"] = b.health->tls;
    if (b.tls) json["tls"] = tls_json(*b.tls);
    json["server"] = Json::array();
    for (const Server& server : b.servers) {
        const bool literal_v6 = server.host.find(':') != std::string::npos;
        Json resolved = Json::array();
        for (const IpAddress& address : server.addresses) resolved.push_back(to_string(address));
        json["server"].push_back(
            {{"name", server.name},
             {"address", (literal_v6 ? '[' + server.host + ']' : server.host) + ':' + std::to_string(server.port)},
             {"weight", server.weight},
             {"resolved", resolved}});
    }
    return json;
}

}  // namespace

Json effective_config(Controller& controller) {
    if (!controller.config()) return nullptr;
    const Config& config = *controller.config();
    Json json{{"schema", 1},
              {"dataplane", dataplane_json(config.dataplane)},
              {"control", control_json(config.control)},
              {"interface", Json::array()},
              {"route", Json::array()},
              {"listener", Json::array()},
              {"backend", Json::array()}};
    for (const Interface& interface : config.interfaces) json["interface"].push_back(interface_json(interface));
    for (const StaticRoute& route : config.routes)
        json["route"].push_back({{"destination", prefix(route.destination)},
                                 {"gateway", to_string(route.gateway)},
                                 {"interface", config.interfaces[route.interface_index].name}});
    for (const Listener& listener : config.listeners) json["listener"].push_back(listener_json(listener));
    for (const Backend& backend : config.backends) json["backend"].push_back(backend_json(backend));
    return {{"generation", controller.config_generation()}, {"config", json}};
}

}  // namespace millrace::control::api
