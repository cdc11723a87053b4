// Reading single values. Whatever has the wrong type or lies out of range is reported at the value's own place and
// leaves the default standing, so that reading goes on.
#include "control/config/reader.h"

#include <algorithm>

#include "control/config/text.h"

namespace millrace::control {

namespace {

std::string_view type_name(const toml::node& node) {
    switch (node.type()) {
        case toml::node_type::table:
            return "a table";
        case toml::node_type::array:
            return node.is_array_of_tables() ? "an array of tables" : "an array";
        case toml::node_type::string:
            return "a string";
        case toml::node_type::integer:
            return "an integer";
        case toml::node_type::floating_point:
            return "a float";
        case toml::node_type::boolean:
            return "a boolean";
        default:
            return "a date or time";
    }
}

}  // namespace

SourcePosition position_of(const toml::source_region& region) {
    return {std::max(region.begin.line, 1u), std::max(region.begin.column, 1u)};
}

SourcePosition Positions::at(std::string_view path) const {
    for (;;) {
        if (const auto found = map_.find(path); found != map_.end()) return found->second;
        const size_t cut = path.find_last_of(".[");
        if (cut == path.npos) return {};
        path = path.substr(0, cut);
    }
}

void Reader::wrong_at(const toml::node& node, const std::string& message) {
    diagnostics_.error(position_of(node.source()), message);
}

void Reader::wrong_type(const toml::node& node, std::string_view key, const std::string& wanted) {
    wrong_at(node, in_quotes(key) + " is " + std::string(type_name(node)) + "; it must be " + wanted);
}

void Reader::unknown_key(const toml::key& key, const TableInfo& table) {
    std::vector<std::string> known;
    for (const KeyInfo& info : table.keys) known.push_back(info.name);
    diagnostics_.error(position_of(key.source()), "unknown key " + in_quotes(key.str()) + " in " + table.title() +
                                                      "; the nearest known key is " +
                                                      in_quotes(nearest(key.str(), known)));
}

void Reader::missing_key(const KeyInfo& key, const std::string& table_path, const TableInfo& table) {
    diagnostics_.error(positions_.at(table_path), in_quotes(key.name) + " is missing in " + table.title() +
                                                      "; add it, as " + key.name + " = " + key.example);
}

std::optional<bool> Reader::boolean(const Input& in) {
    const auto value = in.node.value_exact<bool>();
    if (!value) {
        wrong_type(in.node, in.key.name, "true or false");
        return std::nullopt;
    }
    found(in);
    return value;
}

std::optional<uint64_t> Reader::integer(const Input& in, uint64_t min, uint64_t max) {
    const auto value = in.node.value_exact<int64_t>();
    if (!value) {
        wrong_type(in.node, in.key.name, "an integer, " + range_text(min, max));
        return std::nullopt;
    }
    if (*value < 0 || static_cast<uint64_t>(*value) < min || static_cast<uint64_t>(*value) > max) {
        wrong(in, in_quotes(in.key.name) + " is " + std::to_string(*value) + "; it must be " + range_text(min, max));
        return std::nullopt;
    }
    found(in);
    return static_cast<uint64_t>(*value);
}

std::optional<std::string> Reader::text(const Input& in, const std::function<std::string(std::string_view)>& check) {
    auto value = in.node.value_exact<std::string>();
    if (!value) {
        wrong_type(in.node, in.key.name,
                   "a string, as " + (in.key.example.empty() ? in.key.default_value : in.key.example));
        return std::nullopt;
    }
    if (const std::string problem = check(*value); !problem.empty()) {
        wrong(in, problem);
        return std::nullopt;
    }
    found(in);
    return value;
}

std::optional<uint64_t> Reader::duration(const Input& in, uint64_t min_us, uint64_t max_us, uint64_t step_us) {
    const auto text = in.node.value_exact<std::string>();
    if (!text) {
        wrong_type(in.node, in.key.name, "a string with a unit, as \"5s\"");
        return std::nullopt;
    }
    const auto value = parse_duration_us(*text);
    if (!value) {
        wrong(in, in_quotes(*text) +
                      " is no duration; write whole numbers with us, ms, s, m, h or d, as \"5s\" or \"2m30s\"");
        return std::nullopt;
    }
    if (*value < min_us || *value > max_us) {
        wrong(in, in_quotes(in.key.name) + " is " + in_quotes(*text) + "; it must be " + format_duration_us(min_us) +
                      " to " + format_duration_us(max_us));
        return std::nullopt;
    }
    if (*value % step_us != 0) {
        wrong(in, in_quotes(*text) + " is too fine; it must be a multiple of " + format_duration_us(step_us));
        return std::nullopt;
    }
    found(in);
    return value;
}

std::optional<uint64_t> Reader::size(const Input& in, uint64_t min, uint64_t max) {
    const auto text = in.node.value_exact<std::string>();
    if (!text) {
        wrong_type(in.node, in.key.name, "a string with a unit, as \"64KiB\"");
        return std::nullopt;
    }
    const auto value = parse_size_bytes(*text);
    if (!value) {
        wrong(in, in_quotes(*text) + " is no size; write a whole number with B, KiB, MiB, GiB or TiB, as \"64KiB\"");
        return std::nullopt;
    }
    if (*value < min || *value > max) {
        wrong(in, in_quotes(in.key.name) + " is " + in_quotes(*text) + "; it must be " + format_size_bytes(min) +
                      " to " + format_size_bytes(max));
        return std::nullopt;
    }
    found(in);
    return value;
}

std::optional<size_t> Reader::choice(const Input& in, std::span<const std::string> names) {
    const auto value = in.node.value_exact<std::string>();
    if (!value) {
        wrong_type(in.node, in.key.name, choices_text(names));
        return std::nullopt;
    }
    const auto hit = std::find(names.begin(), names.end(), *value);
    if (hit == names.end()) {
        wrong(in, in_quotes(in.key.name) + " is " + in_quotes(*value) + "; it must be " + choices_text(names));
        return std::nullopt;
    }
    found(in);
    return static_cast<size_t>(hit - names.begin());
}

const toml::table* Reader::table(const Input& in) {
    found(in);
    const toml::table* table = in.node.as_table();
    if (table == nullptr) wrong_type(in.node, in.key.name, "a table");
    return table;
}

const toml::array* Reader::array(const Input& in, const char* of_what) {
    found(in);
    const toml::array* array = in.node.as_array();
    if (array == nullptr) wrong_type(in.node, in.key.name, of_what);
    return array;
}

std::string range_text(uint64_t min, uint64_t max) {
    return min == max ? std::to_string(min) : std::to_string(min) + " to " + std::to_string(max);
}

std::string choices_text(std::span<const std::string> names) {
    std::string text;
    for (size_t i = 0; i < names.size(); ++i)
        text += (i == 0 ? "\"" : i + 1 == names.size() ? " or \"" : ", \"") + names[i] + "\"";
    return text;
}

}  // namespace millrace::control
