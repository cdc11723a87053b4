// The two long documents: every statistic by name, and the configuration as TOML.
#include <map>

#include "cli/render.h"
#include "cli/table.h"

namespace millrace::cli {

namespace {

using Units = std::map<std::string, std::string>;

Units units_of(const Json& document, const std::string& scope) {
    Units units;
    for (const Json& d : document.value("descriptors", Json::array()))
        if (d.value("scope", "") == scope) units[d.value("name", "")] = d.value("unit", "");
    return units;
}

bool is_zero(const Json& value) {
    return value.is_object() ? value.value("count", uint64_t{0}) == 0 : value.is_number() && value == 0;
}

std::string stat_text(const Json& value, const std::string& unit) {
    if (value.is_number_unsigned()) return value_text(value.get<uint64_t>(), unit);
    if (!value.is_object()) return value.dump();
    const auto of = [&](const char* name) { return value_text(value.value(name, uint64_t{0}), unit); };
    return count_text(value.value("count", uint64_t{0})) + ": p50 " + of("p50") + ", p90 " + of("p90") + ", p99 " +
           of("p99");
}

/// One table per worker scope: a row for each name, a column for each worker. Rows of nothing but zeros are left out.
std::string workers_text(const Json& document) {
    const Units units = units_of(document, "worker");
    const Json workers = document.value("workers", Json::array());
    std::vector<std::string> headings{"WORKER"};
    for (const Json& worker : workers) headings.push_back(std::to_string(worker.value("worker", 0u)));
    headings.push_back("UNIT");
    Table table(headings);
    for (const auto& [name, unit] : units) {
        std::vector<std::string> row{name};
        bool zero = true;
        for (const Json& worker : workers) {
            const Json value = worker.value("stats", Json::object()).value(name, Json(0u));
            zero = zero && is_zero(value);
            row.push_back(stat_text(value, unit));
        }
        row.push_back(unit);
        if (!zero) table.add(row);
    }
    return table.empty() ? "" : table.text() + '\n';
}

std::string scope_text(const Json& document, const char* scope, const char* list) {
    const Units units = units_of(document, scope);
    std::string out;
    for (const Json& entry : document.value(list, Json::array())) {
        std::string title = entry.value("name", "");
        if (entry.contains("backend")) title = entry.value("backend", "") + '/' + title;
        Table table({std::string(scope) + ' ' + title, "VALUE"});
        const Json stats = entry.value("stats", Json::object());
        for (const auto& [name, value] : stats.items()) {
            const auto unit = units.find(name);
            if (!is_zero(value)) table.add({name, stat_text(value, unit == units.end() ? "" : unit->second)});
        }
        if (!table.empty()) out += table.text() + '\n';
    }
    return out;
}

bool is_table_array(const Json& value) {
    return value.is_array() && !value.empty() && value.front().is_object();
}

/// `table` under `path`, its plain values before its tables as TOML wants it. Members that only inform are comments.
void write_toml(const Json& table, const std::string& path, std::string& out) {
    for (const auto& [key, value] : table.items()) {
        if (value.is_object() || is_table_array(value) || value == Json::array()) continue;
        out += (key == "resolved" ? "# " : "") + key + " = " + value.dump() + '\n';
    }
    for (const auto& [key, value] : table.items()) {
        const std::string inner = path.empty() ? key : path + '.' + key;
        if (value.is_object()) {
            out += "\n[" + inner + "]\n";
            write_toml(value, inner, out);
        }
        if (!is_table_array(value)) continue;
        for (const Json& entry : value) {
            out += "\n[[" + inner + "]]\n";
            write_toml(entry, inner, out);
        }
    }
}

}  // namespace

std::string render_stats(const Json& d) {
    const std::string out = workers_text(d) + scope_text(d, "listener", "listeners") +
                            scope_text(d, "backend", "backends") + scope_text(d, "server", "servers");
    return out.empty() ? "no statistics: the dataplane has not run yet\n" : out + "values of zero are left out\n";
}

std::string render_config(const Json& d) {
    std::string out = "# generation " + d.value("generation", Json(0u)).dump() + ", defaults filled in\n";
    write_toml(d.value("config", Json::object()), "", out);
    return out;
}

}  // namespace millrace::cli
