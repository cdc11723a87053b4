#include "control/api/views.h"

#include <pwd.h>
#include <unistd.h>

#include "control/api/words.h"
#include "control/servers.h"

namespace millrace::control::api {

namespace {

std::string hex16(uint64_t value) {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
    return text;
}

std::string address_or_any(const IpAddress& address) {
    return address.is_unspecified() ? "any" : to_string(address);
}

bool ejected(const Statistics& statistics, uint16_t slot) {
    return statistics.sum(StatScope::server, slot, "ejected_workers").value_or(0) != 0;
}

/// One word for people, the strongest reason first.
const char* server_state(ServerControl::Value control, bool is_ejected) {
    if (control.admin == AdminState::disabled) return "disabled";
    if (control.admin == AdminState::drain) return "drain";
    if (control.probe == ProbeState::down) return "down";
    if (is_ejected) return "ejected";
    return control.probe == ProbeState::up ? "up" : "unknown";
}

Json health_json(Controller& controller, const ServerView& server) {
    if (!controller.config()) return nullptr;
    const auto check = health_check_of(*controller.config(), server);
    const ProbeSummary* summary = controller.checker().summary(server.slot);
    if (!check || summary == nullptr) return nullptr;
    return {{"type", word(check->type)},           {"passes", summary->passes},
            {"failures", summary->failures},       {"inconclusive", summary->inconclusive},
            {"last_result", summary->last_reason}, {"last_duration_ms", summary->last_duration_ms}};
}

Json server_json(Controller& controller, const ServerView& server) {
    const ServerControl::Value control = controller.publisher().server(server.slot);
    const Statistics& statistics = controller.link().statistics();
    const bool weight_overridden = control.weight != ServerControl::weight_of_snapshot;
    Json overrides = Json::array();
    if (control.admin != AdminState::enabled) overrides.push_back("admin");
    if (weight_overridden) overrides.push_back("weight");
    return {{"backend", server.backend},
            {"name", server.name},
            {"address", to_string(server.address)},
            {"port", server.port},
            {"slot", server.slot},
            {"state", server_state(control, ejected(statistics, server.slot))},
            {"admin", word(control.admin)},
            {"probe", word(control.probe)},
            {"weight", weight_overridden ? control.weight : server.weight},
            {"configured_weight", server.weight},
            {"overrides", overrides},
            {"health", health_json(controller, server)},
            {"stats", statistics.values(StatScope::server, server.slot)}};
}

std::string user_name() {
    const passwd* entry = getpwuid(geteuid());
    return entry != nullptr ? entry->pw_name : std::to_string(geteuid());
}

Json dataplane_json(Controller& controller) {
    const DataplaneLink& link = controller.link();
    const Statistics& statistics = link.statistics();
    Json json{{"running", link.alive()}, {"error", nullptr}};
    if (!link.error().empty()) json["error"] = link.error();
    if (!statistics.is_open()) return json;
    const std::string config_error = statistics.config_error();
    const StatsHeader& header = statistics.header();
    json["pid"] = header.pid;
    json["workers"] = statistics.worker_count();
    json["polling_workers"] = header.polling_workers.load();
    json["started_unix_ms"] = header.start_unix_us / 1000;
    json["generation"] = header.generation.load(std::memory_order_acquire);
    json["config_error"] = config_error.empty() ? Json(nullptr) : Json(config_error);
    json["tsc_hz"] = header.tsc_hz;
    json["relay_record_bytes"] = header.relay_record_bytes;
    json["malformed_replies"] = link.malformed_replies();
    return json;
}

}  // namespace

Json status(Controller& controller) {
    const SnapshotView* snapshot = controller.publisher().snapshot();
    unsigned total = 0, usable = 0, overridden = 0;
    uint64_t open = 0;
    if (snapshot != nullptr)
        for (const ServerView& server : servers_of(*snapshot)) {
            const ServerControl::Value control = controller.publisher().server(server.slot);
            ++total;
            overridden += control.admin != AdminState::enabled || control.weight != ServerControl::weight_of_snapshot;
            usable += control.admin == AdminState::enabled && control.probe != ProbeState::down &&
                      !ejected(controller.link().statistics(), server.slot);
            open += controller.link().statistics().sum(StatScope::server, server.slot, "open").value_or(0);
        }
    const std::string& error = controller.last_error();
    return {{"instance", controller.instance()},
            {"version", MILLRACE_VERSION},
            {"control",
             {{"pid", getpid()},
              {"user", user_name()},
              {"started_unix_ms", controller.start_unix_ms()},
              {"config_file", controller.config_path()},
              {"config_loaded_unix_ms", controller.loaded_unix_ms()},
              {"config_error", error.empty() ? Json(nullptr) : Json(error)},
              {"generation", controller.publisher().generation()},
              {"content_hash", snapshot != nullptr ? Json(hex16(snapshot->content_hash())) : Json(nullptr)}}},
            {"dataplane", dataplane_json(controller)},
            {"listeners", snapshot != nullptr ? snapshot->listeners().size() : 0},
            {"backends", snapshot != nullptr ? snapshot->backends().size() : 0},
            {"servers", {{"total", total}, {"usable", usable}, {"overridden", overridden}}},
            {"relays_open", open}};
}

Json listeners(Controller& controller) {
    Json list = Json::array();
    const SnapshotView* snapshot = controller.publisher().snapshot();
    if (snapshot == nullptr) return {{"listeners", list}};
    for (const ListenerRecord& listener : snapshot->listeners()) {
        Json routes = Json::array();
        for (const HttpRouteRecord& route : snapshot->http_routes().subspan(listener.first_route, listener.route_count))
            routes.push_back({{"host", snapshot->text(route.host)},
                              {"path", snapshot->text(route.path_prefix)},
                              {"backend", snapshot->text(snapshot->backends()[route.backend].name)}});
        list.push_back({{"name", snapshot->text(listener.name)},
                        {"address", address_or_any(listener.address)},
                        {"port", listener.port},
                        {"mode", word(listener.mode)},
                        {"slot", listener.slot},
                        {"routes", routes},
                        {"stats", controller.link().statistics().values(StatScope::listener, listener.slot)}});
    }
    return {{"listeners", list}};
}

Json backends(Controller& controller) {
    Json list = Json::array();
    const SnapshotView* snapshot = controller.publisher().snapshot();
    if (snapshot == nullptr) return {{"backends", list}};
    const Statistics& statistics = controller.link().statistics();
    const auto all = servers_of(*snapshot);
    for (const BackendRecord& backend : snapshot->backends()) {
        unsigned usable = 0;
        uint64_t open = 0;
        Json health = nullptr;
        for (const ServerView& server : std::span(all).subspan(backend.first_server, backend.server_count)) {
            const ServerControl::Value control = controller.publisher().server(server.slot);
            usable += control.admin == AdminState::enabled && control.probe != ProbeState::down &&
                      !ejected(statistics, server.slot);
            open += statistics.sum(StatScope::server, server.slot, "open").value_or(0);
            if (!controller.config()) continue;
            if (const auto check = health_check_of(*controller.config(), server)) health = word(check->type);
        }
        list.push_back({{"name", snapshot->text(backend.name)},
                        {"slot", backend.slot},
                        {"algorithm", word(backend.algorithm)},
                        {"when_all_down", word(backend.when_all_down)},
                        {"health", health},
                        {"servers", backend.server_count},
                        {"usable", usable},
                        {"open", open},
                        {"stats", statistics.values(StatScope::backend, backend.slot)}});
    }
    return {{"backends", list}};
}

Json servers(Controller& controller) {
    Json list = Json::array();
    if (const SnapshotView* snapshot = controller.publisher().snapshot())
        for (const ServerView& server : servers_of(*snapshot)) list.push_back(server_json(controller, server));
    return {{"servers", list}};
}

Json workers(Controller& controller) {
    Json list = Json::array();
    const Statistics& statistics = controller.link().statistics();
    const SnapshotView* snapshot = controller.publisher().snapshot();
    for (uint32_t worker = 0; worker < statistics.worker_count(); ++worker) {
        Json json{{"worker", worker}, {"core", nullptr}, {"busy_share", nullptr}};
        if (snapshot != nullptr && worker < snapshot->dataplane().core_count)
            json["core"] = snapshot->dataplane().cores[worker];
        if (worker < controller.loads().size()) json["busy_share"] = controller.loads()[worker].busy_share;
        json["stats"] = statistics.worker_values(worker);
        list.push_back(std::move(json));
    }
    return {{"workers", list}};
}

Json routes(Controller& controller) {
    Json list = Json::array();
    const SnapshotView* snapshot = controller.publisher().snapshot();
    if (snapshot == nullptr) return {{"routes", list}};
    const auto interface = [&](uint16_t index) { return snapshot->text(snapshot->interfaces()[index].name); };
    const auto network = [](const IpAddress& address, uint8_t length) {
        return to_string(address) + '/' + std::to_string(length);
    };
    for (const LocalAddressRecord& local : snapshot->local_addresses())
        list.push_back({{"network", network(local.address, local.prefix_length)},
                        {"gateway", nullptr},
                        {"interface", interface(local.interface)},
                        {"kind", "local"}});
    for (const RouteRecord& route : snapshot->routes())
        list.push_back({{"network", network(route.network, route.prefix_length)},
                        {"gateway", to_string(route.gateway)},
                        {"interface", interface(route.interface)},
                        {"kind", "static"}});
    return {{"routes", list}};
}

Json stats(Controller& controller) {
    Json json{{"descriptors", controller.link().statistics().descriptors()}};
    json.update(workers(controller));
    json.update(listeners(controller));
    json.update(backends(controller));
    json.update(servers(controller));
    return json;
}

Json diagnostics(const std::vector<Diagnostic>& list) {
    Json json = Json::array();
    for (const Diagnostic& entry : list)
        json.push_back({{"severity", entry.severity == Severity::error ? "error" : "warning"},
                        {"file", entry.file},
                        {"line", entry.position.line},
                        {"column", entry.position.column},
                        {"message", entry.message}});
    return json;
}

}  // namespace millrace::control::api
