#include "cli/render.h"

#include <chrono>
#include <ctime>

#include "cli/table.h"

namespace millrace::cli {

namespace {

/// The member `name` of an object, or null.
const Json& at(const Json& object, const char* name) {
    static const Json null = nullptr;
    if (!object.is_object()) return null;
    const auto member = object.find(name);
    return member == object.end() ? null : *member;
}

std::string text(const Json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_null()) return "-";
    return value.dump();
}

std::string text(const Json& object, const char* name) {
    return text(at(object, name));
}

uint64_t number(const Json& value) {
    return value.is_number_unsigned() ? value.get<uint64_t>() : 0;
}

std::string count(const Json& value) {
    return value.is_number_unsigned() ? count_text(number(value)) : text(value);
}

/// A value of the entry's statistics.
std::string stat(const Json& entry, const char* name) {
    return count(at(at(entry, "stats"), name));
}

std::string stat_bytes(const Json& entry, const char* name) {
    const Json& value = at(at(entry, "stats"), name);
    return value.is_number_unsigned() ? bytes_text(number(value)) : "-";
}

std::string median_us(const Json& entry, const char* name) {
    const Json& histogram = at(at(entry, "stats"), name);
    return number(at(histogram, "count")) == 0 ? "-" : duration_text(number(at(histogram, "p50")));
}

std::string ms(const Json& value) {
    return value.is_number_unsigned() ? duration_text(number(value) * 1000) : "-";
}

std::string age_of(const Json& unix_ms) {
    using namespace std::chrono;
    const auto now = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
    const auto then = static_cast<int64_t>(number(unix_ms));
    return then == 0 || then > now ? "-" : duration_text(static_cast<uint64_t>(now - then) * 1000);
}

std::string local_time(uint64_t unix_us) {
    const auto seconds = static_cast<time_t>(unix_us / 1'000'000);
    tm parts{};
    localtime_r(&seconds, &parts);
    char date[32], out[48];
    std::strftime(date, sizeof date, "%F %T", &parts);
    std::snprintf(out, sizeof out, "%s.%03u", date, static_cast<unsigned>(unix_us / 1000 % 1000));
    return out;
}

std::string share(const Json& value) {
    return value.is_number() ? percent_text(value.get<double>()) : "-";
}

}  // namespace

std::string render_status(const Json& d) {
    const Json &control = at(d, "control"), &dataplane = at(d, "dataplane"), &servers = at(d, "servers");
    std::string out = "instance    " + text(d, "instance") + " (Millrace " + text(d, "version") + ")\n";
    out += "control     pid " + text(control, "pid") + ", user " + text(control, "user") + ", up " +
           age_of(at(control, "started_unix_ms")) + '\n';
    out += "config      " + text(control, "config_file") + ", generation " + text(control, "generation") + ", loaded " +
           age_of(at(control, "config_loaded_unix_ms")) + " ago\n";
    if (at(control, "config_error").is_string())
        out += "            the newest file was refused: " + text(control, "config_error") + '\n';
    if (at(dataplane, "running") == true) {
        out += "dataplane   pid " + text(dataplane, "pid") + ", " + text(dataplane, "polling_workers") + " of " +
               text(dataplane, "workers") + " workers poll, up " + age_of(at(dataplane, "started_unix_ms")) +
               ", generation " + text(dataplane, "generation") + '\n';
        if (at(dataplane, "config_error").is_string())
            out += "            refused the newest configuration: " + text(dataplane, "config_error") + '\n';
    } else {
        out += "dataplane   not running; start it: millrace-dataplane --instance " + text(d, "instance") + '\n';
        if (at(dataplane, "error").is_string()) out += "            " + text(dataplane, "error") + '\n';
    }
    out += "listeners   " + text(d, "listeners") + "\nbackends    " + text(d, "backends") + '\n';
    out += "servers     " + text(servers, "usable") + " of " + text(servers, "total") + " usable, " +
           text(servers, "overridden") + " overridden\n";
    return out + "relays      " + count(at(d, "relays_open")) + " open\n";
}

std::string render_listeners(const Json& d) {
    Table table({"LISTENER", "ADDRESS", "PORT", "MODE", "OPEN", "ACCEPTED", "UPGRADES", "REQUESTS", "ROUTES"});
    for (const Json& l : at(d, "listeners")) {
        std::string routes;
        for (const Json& route : at(l, "routes"))
            routes += (routes.empty() ? "" : ", ") + text(route, "host") + text(route, "path") +
                      (text(route, "host").empty() && text(route, "path").empty() ? "*" : "") + " → " +
                      text(route, "backend");
        table.add({text(l, "name"), text(l, "address"), text(l, "port"), text(l, "mode"), stat(l, "open"),
                   stat(l, "accepted_total"), stat(l, "upgrades_total"), stat(l, "requests_total"), routes});
    }
    return table.text();
}

std::string render_backends(const Json& d) {
    Table table(
        {"BACKEND", "ALGORITHM", "SERVERS", "USABLE", "HEALTH", "OPEN", "RETRIES", "NO SERVER", "NO SOURCE PORT"});
    for (const Json& b : at(d, "backends"))
        table.add({text(b, "name"), text(b, "algorithm"), text(b, "servers"), text(b, "usable"), text(b, "health"),
                   count(at(b, "open")), stat(b, "retries_total"), stat(b, "no_server_total"),
                   stat(b, "source_ports_exhausted_total")});
    return table.text();
}

std::string render_servers(const Json& d) {
    Table table({"SERVER", "ADDRESS", "STATE", "WEIGHT", "OPEN", "OPENED", "FAILED", "BYTES TO", "BYTES FROM",
                 "CONNECT", "OVERRIDES", "LAST PROBE"});
    for (const Json& s : at(d, "servers")) {
        const std::string address = text(s, "address");
        const bool v6 = address.find(':') != std::string::npos;
        std::string weight = text(s, "weight");
        if (weight != text(s, "configured_weight")) weight += " (of " + text(s, "configured_weight") + ")";
        std::string overrides;
        for (const Json& entry : at(s, "overrides")) overrides += (overrides.empty() ? "" : ",") + text(entry);
        const Json& failed = at(at(s, "stats"), "connect_failures_total");
        const uint64_t failures = number(failed) + number(at(at(s, "stats"), "upgrade_failures_total"));
        const std::string probe = text(at(s, "health"), "last_result");
        table.add({text(s, "backend") + '/' + text(s, "name"),
                   (v6 ? '[' + address + ']' : address) + ':' + text(s, "port"), text(s, "state"), weight,
                   stat(s, "open"), stat(s, "opened_total"), failed.is_null() ? "-" : count_text(failures),
                   stat_bytes(s, "bytes_to_server_total"), stat_bytes(s, "bytes_from_server_total"),
                   median_us(s, "connect_time"), overrides.empty() ? "-" : overrides, probe.empty() ? "-" : probe});
    }
    return table.text();
}

std::string render_workers(const Json& d) {
    Table table(
        {"WORKER", "CORE", "BUSY", "RELAYS", "RX PACKETS", "TX PACKETS", "RX", "TX", "RETRANSMITTED", "CHUNKS"});
    for (const Json& w : at(d, "workers"))
        table.add({text(w, "worker"), text(w, "core"), share(at(w, "busy_share")), stat(w, "relays_open"),
                   stat(w, "rx_packets_total"), stat(w, "tx_packets_total"), stat_bytes(w, "rx_bytes_total"),
                   stat_bytes(w, "tx_bytes_total"), stat(w, "retransmissions_total"), stat_bytes(w, "chunk_bytes")});
    return table.text() + "busy: the share of useful work in the last second; polling shows 100 % in top by design\n";
}

std::string render_connections(const Json& d) {
    Table table({"CONNECTION", "STATE", "LISTENER", "CLIENT", "SERVER", "SERVER ADDRESS", "AGE", "IDLE", "UP", "DOWN"});
    for (const Json& c : at(d, "connections")) {
        const bool chosen = at(c, "server").is_string();
        table.add({text(c, "connection_id"), text(c, "state"), text(c, "listener"), text(c, "client"),
                   chosen ? text(c, "backend") + '/' + text(c, "server") : "-", text(c, "server_address"),
                   ms(at(c, "age_ms")), ms(at(c, "idle_ms")), bytes_text(number(at(c, "bytes_up"))),
                   bytes_text(number(at(c, "bytes_down")))});
    }
    std::string out = table.text();
    if (at(d, "next_cursor").is_string()) out += "there are more; see --limit and --all\n";
    return out;
}

std::string render_capture(const Json& d) {
    if (!at(d, "frames").is_number()) return "none since the start of millrace-control\n";
    const bool running = at(d, "running") == true;
    return std::string(running ? "runs" : "has ended: " + text(d, "end")) + ", " + count(at(d, "frames")) +
           " frames, " + bytes_text(number(at(d, "bytes"))) + ", " +
           (running ? "" : count(at(d, "dropped")) + " dropped, ") + "by uid " + text(d, "uid") + ", filter \"" +
           text(d, "filter") + "\"\n";
}

std::string render_neighbours(const Json& d) {
    Table table({"ADDRESS", "MAC", "INTERFACE", "STATE", "AGE"});
    for (const Json& n : at(d, "neighbours"))
        table.add({text(n, "address"), text(n, "mac"), text(n, "interface"), text(n, "state"), ms(at(n, "age_ms"))});
    std::string out = table.text();
    if (number(at(d, "omitted")) != 0) out += count(at(d, "omitted")) + " more are not shown\n";
    return out;
}

std::string render_routes(const Json& d) {
    Table table({"NETWORK", "GATEWAY", "INTERFACE", "KIND"});
    for (const Json& r : at(d, "routes"))
        table.add({text(r, "network"), text(r, "gateway"), text(r, "interface"), text(r, "kind")});
    return table.text();
}

std::string render_certificates(const Json& d) {
    Table table({"OF", "NAMES", "KEY", "DAYS LEFT", "ISSUER"});
    for (const Json& c : at(d, "certificates")) {
        std::string names;
        for (const Json& name : at(c, "names"))
            if (name.is_string()) names += (names.empty() ? "" : " ") + name.get<std::string>();
        const std::string of = at(c, "backend").is_string() ? "backend " + text(c, "backend") : text(c, "listener");
        table.add({of, names, text(c, "key"), text(c, "days_left"), text(c, "issuer")});
    }
    return table.text();
}

std::string render_event(const Json& e) {
    if (text(e, "kind") == "missed")
        return "(" + count(at(e, "count")) + " events of worker " + text(e, "worker") + " were overwritten unread)";
    std::string out = local_time(number(at(e, "unix_time_us"))) + "  " + text(e, "kind") + "  " +
                      text(e, "connection_id") + "  " + text(e, "listener") + "  " + text(e, "client") + " → " +
                      (at(e, "server").is_string() ? text(e, "backend") + '/' + text(e, "server") + ' ' : "") +
                      text(e, "server_address");
    if (number(at(e, "http_status")) != 0) out += "  status " + text(e, "http_status");
    if (text(e, "kind") != "closed") return out;
    return out + "  after " + duration_text(number(at(e, "duration_us"))) + "  up " +
           bytes_text(number(at(e, "bytes_up"))) + "  down " + bytes_text(number(at(e, "bytes_down"))) + "  by " +
           text(e, "closed_by") + ": " + text(e, "reason");
}

std::string render_diagnostics(const Json& list, const std::string& file) {
    std::string out;
    for (const Json& d : list)
        out += (file.empty() ? text(d, "file") : file) + ':' + text(d, "line") + ':' + text(d, "column") + ": " +
               (text(d, "severity") == "warning" ? "warning: " : "") + text(d, "message") + '\n';
    return out;
}

}  // namespace millrace::cli
