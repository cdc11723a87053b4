#include "control/api/api.h"

#include <charconv>
#include <chrono>
#include <spdlog/spdlog.h>

#include <millrace/capture_filter.h>

#include "control/api/capture.h"
#include "control/api/connections.h"
#include "control/api/event_feed.h"
#include "control/api/ping.h"
#include "control/api/views.h"
#include "control/api/words.h"
#include "control/servers.h"

namespace millrace::control::api {

namespace {

using httplib::Request;
using httplib::Response;

constexpr const char* json_type = "application/json";

void answer(Response& response, int status, const Json& body) {
    response.status = status;
    // Texts of the dataplane may hold any bytes; they must not make the answer fail.
    response.set_content(body.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n', json_type);
}

void answer_error(Response& response, int status, const std::string& error) {
    answer(response, status, {{"error", error}});
}

void answer_query(Response& response, QueryOutcome outcome, const Json& body, const std::string& error) {
    switch (outcome) {
        case QueryOutcome::ok:
            return answer(response, 200, body);
        case QueryOutcome::bad_request:
            return answer_error(response, 400, error);
        case QueryOutcome::not_found:
            return answer_error(response, 404, error);
        case QueryOutcome::unavailable:
            return answer_error(response, 503, error);
    }
}

/// Text of the peer's for the log, which is what an audit goes by: quoted, on one line, printable ASCII.
std::string for_log(std::string_view text) {
    constexpr size_t bytes_max = 256;
    const Json whole = std::string(text.substr(0, bytes_max));
    return whole.dump(-1, ' ', true, Json::error_handler_t::replace) + (text.size() > bytes_max ? "..." : "");
}

/// The number of a query parameter. False when it is there and is no number within the bounds.
bool read_number(const Request& request, const char* name, uint32_t min, uint32_t max, uint32_t& value,
                 std::string& error) {
    if (!request.has_param(name)) return true;
    const std::string text = request.get_param_value(name);
    uint32_t number = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (code == std::errc() && end == text.data() + text.size() && number >= min && number <= max) {
        value = number;
        return true;
    }
    error = '"' + std::string(name) + "\" must be " + std::to_string(min) + " to " + std::to_string(max);
    return false;
}

void add_view(UnixServer& server, Controller& controller, const char* path, Json (*view)(Controller&)) {
    server.Get(path, [&controller, view](const Request&, Response& response) {
        const auto json = controller.call([view](Controller& self) { return view(self); });
        if (!json) return answer_error(response, 503, "millrace-control is ending");
        answer(response, 200, *json);
    });
}

// ---- connections, neighbours, events --------------------------------------------------------------------------------

void get_connections(Controller& controller, const Request& request, Response& response) {
    ConnectionQuery query;
    query.listener = request.get_param_value("listener");
    query.server = request.get_param_value("server");
    query.cursor = request.get_param_value("cursor");
    std::string error;
    if (!read_number(request, "limit", 1, connection_limit_max, query.limit, error))
        return answer_error(response, 400, error);
    Json result;
    const QueryOutcome outcome = list_connections(controller, query, result, error);
    answer_query(response, outcome, result, error);
}

std::string lines_of(const std::vector<Json>& events) {
    std::string text;
    for (const Json& event : events) text += event.dump() + '\n';
    return text;
}

void get_events(Controller& controller, const Request& request, Response& response) {
    uint32_t follow = 0, replay = 0;
    std::string error;
    if (!read_number(request, "follow", 0, 1, follow, error)) return answer_error(response, 400, error);
    replay = follow != 0 ? 0 : 100;
    if (!read_number(request, "replay", 0, event_replay_max, replay, error)) return answer_error(response, 400, error);
    const auto feed = std::make_shared<EventFeed>(controller, replay);
    if (follow == 0) {
        std::vector<Json> events;
        feed->next(events, replay);
        return answer(response, 200, {{"events", events}});
    }
    response.set_chunked_content_provider("application/x-ndjson", [feed](size_t, httplib::DataSink& sink) {
        std::vector<Json> events;
        feed->next(events, 1000);
        if (events.empty()) {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            return sink.is_writable();
        }
        const std::string text = lines_of(events);
        return sink.write(text.data(), text.size());
    });
}

// ---- captures -------------------------------------------------------------------------------------------------------

void get_capture(Controller& controller, const Request& request, Response& response) {
    CaptureOptions options;
    options.filter_text = request.get_param_value("filter");
    options.uid = request.remote_addr;
    std::string error;
    if (!parse_capture_filter(options.filter_text, options.filter, error))
        return answer_error(response, 400, "filter: " + error);
    // What passes as a filter has no bytes but its words' and blanks; the log and the terminal get it on one line.
    for (char& c : options.filter_text)
        if (c < ' ') c = ' ';
    if (!read_number(request, "seconds", 1, CaptureSession::seconds_max, options.seconds, error) ||
        !read_number(request, "count", 1, CaptureSession::frames_limit, options.frames_max, error) ||
        !read_number(request, "snaplen", 1, capture_snaplen_max, options.snaplen, error))
        return answer_error(response, 400, error);
    int status = 503;
    const auto stream = start_capture(controller, options, status, error);
    if (!stream) return answer_error(response, status, error);
    response.set_chunked_content_provider("application/vnd.tcpdump.pcap",
                                          [stream](size_t, httplib::DataSink& sink) { return stream->next(sink); });
}

// ---- configuration --------------------------------------------------------------------------------------------------

void check_config(Controller& controller, const Request& request, Response& response) {
    const LoadResult loaded =
        load_config_text(request.body, "config", controller.resolver(), {.core_count = 0, .check_only = true});
    answer(response, 200, {{"ok", loaded.ok()}, {"diagnostics", diagnostics(loaded.diagnostics)}});
}

const char* word(Acknowledgement value) {
    switch (value) {
        case Acknowledgement::in_force:
            return "in_force";
        case Acknowledgement::refused:
            return "refused";
        case Acknowledgement::dataplane_away:
            return "not_running";
        case Acknowledgement::late:
            break;
    }
    return "late";
}

void reload_config(Controller& controller, Response& response) {
    const ReloadResult result = controller.reload();
    Json json{{"result", result.outcome == ReloadOutcome::unchanged ? "unchanged" : "published"},
              {"generation", result.generation},
              {"dataplane", word(result.acknowledgement)},
              {"diagnostics", diagnostics(result.diagnostics)}};
    if (result.outcome == ReloadOutcome::bad_file) {
        json["result"] = "refused";
        json["error"] = "the file has errors; the old configuration stays in force";
    } else if (result.outcome == ReloadOutcome::not_published) {
        json["result"] = "refused";
        json["error"] = result.error + "; the old configuration stays in force";
    } else if (result.acknowledgement == Acknowledgement::refused) {
        json["error"] = "the dataplane refused it and goes on with the old one: " + result.dataplane_error;
    }
    answer(response, json.contains("error") ? 409 : 200, json);
}

// ---- server commands ------------------------------------------------------------------------------------------------

/// Applies `change` to every slot of BACKEND/SERVER and answers with the servers as they are then.
void change_server(Controller& controller, const std::string& backend, const std::string& name, Response& response,
                   const std::function<void(ServerControl::Value&)>& change) {
    const auto json = controller.call([&](Controller& self) {
        Json list = Json::array();
        const SnapshotView* snapshot = self.publisher().snapshot();
        if (snapshot == nullptr) return list;
        for (const ServerView& server : servers_of(*snapshot)) {
            if (server.backend != backend || server.name != name) continue;
            ServerControl::Value value = self.publisher().server(server.slot);
            change(value);
            self.publisher().set_server(server.slot, value);
        }
        const Json all = servers(self);
        for (const Json& entry : all["servers"])
            if (entry["backend"] == backend && entry["name"] == name) list.push_back(entry);
        return list;
    });
    if (!json) return answer_error(response, 503, "millrace-control is ending");
    if (json->empty()) return answer_error(response, 404, "no server named " + backend + '/' + name);
    answer(response, 200, {{"servers", *json}});
}

void server_command(Controller& controller, const Request& request, Response& response) {
    const std::string command = request.matches[3];
    change_server(controller, request.matches[1], request.matches[2], response, [&](ServerControl::Value& value) {
        if (command == "drain") value.admin = AdminState::drain;
        if (command == "disable") value.admin = AdminState::disabled;
        if (command == "enable") value.admin = AdminState::enabled;
        if (command == "reset") {
            value.admin = AdminState::enabled;
            value.weight = ServerControl::weight_of_snapshot;
            ++value.reset_count;
        }
    });
}

void server_weight(Controller& controller, const Request& request, Response& response) {
    const auto body = Json::parse(request.body, nullptr, false);
    const bool valid = body.is_object() && body.contains("weight") && body["weight"].is_number_unsigned() &&
                       body["weight"].get<uint64_t>() <= server_weight_max;
    if (!valid)
        return answer_error(response, 400,
                            "the body must be {\"weight\": N} with N from 0 to " + std::to_string(server_weight_max));
    change_server(controller, request.matches[1], request.matches[2], response,
                  [&](ServerControl::Value& value) { value.weight = body["weight"].get<uint16_t>(); });
}

// ---- one socket -----------------------------------------------------------------------------------------------------

Role needed_role(const Request& request) {
    if (request.path == "/v1/capture/frames") return Role::admin;
    if (request.method == "GET" || request.method == "HEAD") return Role::viewer;
    return request.path == "/v1/config/reload" ? Role::admin : Role::operator_;
}

void set_policy(UnixServer& server, Role role) {
    server.set_payload_max_length(config_text_bytes_max);
    server.set_pre_routing_handler([role](const Request& request, Response& response) {
        if (role >= needed_role(request)) return UnixServer::HandlerResponse::Unhandled;
        answer_error(response, 403,
                     std::string("this socket has the role ") + api::word(role) + "; the role " +
                         api::word(needed_role(request)) + " is needed");
        return UnixServer::HandlerResponse::Handled;
    });
    server.set_exception_handler([](const Request& request, Response& response, std::exception_ptr) {
        spdlog::error("api: {} failed by an exception", for_log(request.method + ' ' + request.path));
        answer_error(response, 500, "internal error");
    });
    server.set_error_handler([](const Request&, Response& response) {
        if (!response.body.empty()) return;
        const int status = response.status;
        const char* reason = status == 404   ? "no such path"
                             : status == 413 ? "the body is too long"
                             : status == 400 ? "malformed request"
                                             : "failed";
        answer_error(response, status, reason);
    });
    server.set_logger([role](const Request& request, const Response& response) {
        if (request.method == "GET" || request.method == "HEAD") return;
        spdlog::info("api: {} by uid {} as {}: {}{}", for_log(request.method + ' ' + request.path), request.remote_addr,
                     api::word(role), response.status,
                     request.body.empty() || request.body.size() >= 64 ? "" : ' ' + for_log(request.body));
    });
}

void add_routes(UnixServer& server, Controller& controller) {
    add_view(server, controller, "/v1/status", status);
    add_view(server, controller, "/v1/listeners", listeners);
    add_view(server, controller, "/v1/backends", backends);
    add_view(server, controller, "/v1/servers", servers);
    add_view(server, controller, "/v1/workers", workers);
    add_view(server, controller, "/v1/routes", routes);
    add_view(server, controller, "/v1/certificates", certificates);
    add_view(server, controller, "/v1/stats", stats);
    add_view(server, controller, "/v1/config", effective_config);
    add_view(server, controller, "/v1/capture", capture_status);
    server.Get("/v1/connections", [&controller](const Request& request, Response& response) {
        get_connections(controller, request, response);
    });
    server.Get(R"(/v1/connections/([0-9a-f]{16})/tcp)", [&controller](const Request& request, Response& response) {
        Json result;
        std::string error;
        const uint64_t id = std::stoull(request.matches[1], nullptr, 16);
        const QueryOutcome outcome = show_tcp(controller, id, result, error);
        answer_query(response, outcome, result, error);
    });
    server.Get("/v1/neighbours", [&controller](const Request&, Response& response) {
        Json result;
        std::string error;
        const QueryOutcome outcome = list_neighbours(controller, result, error);
        answer_query(response, outcome, result, error);
    });
    server.Get("/v1/events", [&controller](const Request& request, Response& response) {
        get_events(controller, request, response);
    });
    server.Post("/v1/ping", [&controller](const Request& request, Response& response) {
        Json result;
        std::string error;
        const QueryOutcome outcome = ping(controller, request.body, result, error);
        answer_query(response, outcome, result, error);
    });
    server.Get("/v1/capture/frames", [&controller](const Request& request, Response& response) {
        get_capture(controller, request, response);
    });
    server.Post("/v1/config/check", [&controller](const Request& request, Response& response) {
        check_config(controller, request, response);
    });
    server.Post("/v1/config/reload",
                [&controller](const Request&, Response& response) { reload_config(controller, response); });
    server.Post(
        R"(/v1/servers/([^/]+)/([^/]+)/(drain|enable|disable|reset))",
        [&controller](const Request& request, Response& response) { server_command(controller, request, response); });
    server.Put(R"(/v1/servers/([^/]+)/([^/]+)/weight)", [&controller](const Request& request, Response& response) {
        server_weight(controller, request, response);
    });
}

}  // namespace

bool Api::bind(const std::string& path, Role role, mode_t mode, uid_t owner, gid_t group, std::string& error) {
    auto server = std::make_unique<UnixServer>();
    if (!server->bind(path, mode, owner, group, error)) return false;
    set_policy(*server, role);
    add_routes(*server, controller_);
    servers_.push_back(std::move(server));
    return true;
}

void Api::start() {
    for (const auto& server : servers_) server->start();
}

void Api::stop() {
    for (const auto& server : servers_) server->stop();
}

}  // namespace millrace::control::api
