// Writes out the table of keys: as a TOML file that loads, and as Markdown.
#include "control/config/reference.h"

#include <algorithm>

#include "control/config/text.h"

namespace millrace::control {

namespace {

constexpr const char* preamble =
    "# Reference of Millrace's configuration: every key, with type, unit, range and default. It is a complete file "
    "that\n"
    "# loads, not a recommendation: most keys can be left out. Made from the table that the program reads by; a test\n"
    "# compares the two.\n"
    "#\n"
    "# duration: a string of whole numbers with us, ms, s, m, h or d, as \"250ms\" or \"2m30s\"\n"
    "# size:     a string of a whole number with B, KiB, MiB, GiB or TiB, as \"64KiB\"\n"
    "# Unknown keys are errors.\n";

/// Appends the words of `text` as comment lines of at most 118 characters.
void append_comment(std::string& out, const std::string& indent, const std::string& text) {
    constexpr size_t width = 118;
    const std::string prefix = "# " + indent;
    std::string line = prefix;
    for (size_t start = 0; start < text.size();) {
        const size_t end = std::min(text.find(' ', start), text.size());
        if (line != prefix && line.size() + 1 + end - start > width) {
            out += line + "\n";
            line = prefix;
        }
        if (line != prefix) line += ' ';
        line += text.substr(start, end - start);
        start = end + 1;
    }
    out += line + "\n";
}

std::string type_and_unit(const KeyInfo& key) {
    return key.unit.empty() ? key.type : key.type + ", " + key.unit;
}

std::string facts(const KeyInfo& key) {
    std::string text = type_and_unit(key);
    if (!key.range.empty()) text += ": " + key.range;
    text += key.default_value.empty() ? "; required" : "; default ";
    return text += key.default_value;
}

std::string shown_value(const KeyInfo& key) {
    return key.example.empty() ? key.default_value : key.example;
}

void append_key(std::string& out, const KeyInfo& key) {
    append_comment(out, "", key.description);
    append_comment(out, "", facts(key));
    out += key.name + " = " + shown_value(key) + "\n\n";
}

/// A table that stands within its parent: its keys as comments, then the one line.
void append_inline(std::string& out, const TableInfo& table) {
    append_comment(out, "", table.description);
    std::string value;
    for (const KeyInfo& key : table.keys) {
        append_comment(out, "  ", key.name + ": " + key.description + " (" + facts(key) + ")");
        value += (value.empty() ? "" : ", ") + key.name + " = " + shown_value(key);
    }
    append_comment(out, "", "array of tables; default []");
    out += table.path.substr(table.path.rfind('.') + 1);
    out += " = [{ ";
    out += value + " }]\n\n";
}

}  // namespace

std::string TableInfo::title() const {
    if (path.empty()) return "the file";
    const size_t dot = path.rfind('.');
    if (inline_table) return in_quotes(path.substr(dot + 1)) + " of [[" + path.substr(0, dot) + "]]";
    return std::string(array ? "[[" : "[") + path + (array ? "]]" : "]");
}

std::string TableInfo::form() const {
    return inline_table ? path.substr(path.rfind('.') + 1) + " = [{ ... }]" : title();
}

std::string reference_toml() {
    std::string out = preamble;
    out += "\n";
    const std::vector<TableInfo>& tables = configuration_tables();
    for (const TableInfo& table : tables) {
        if (table.inline_table) continue;
        if (!table.path.empty()) {
            append_comment(out, "", std::string("---- ").append(table.title()).append(" ----"));
            append_comment(out, "", table.description);
            out += table.title() + "\n\n";
        }
        for (const KeyInfo& key : table.keys)
            if (!key.nested) append_key(out, key);
        for (const TableInfo& inner : tables)
            if (inner.inline_table && inner.path.substr(0, inner.path.rfind('.')) == table.path)
                append_inline(out, inner);
    }
    out.pop_back();
    return out;
}

std::string reference_markdown() {
    const auto cell = [](const std::string& text) {
        std::string escaped;
        for (char c : text) escaped += c == '|' ? std::string("\\|") : std::string(1, c);
        return escaped;
    };
    std::string out;
    for (const TableInfo& table : configuration_tables()) {
        const char* quote = table.path.empty() || table.inline_table ? "" : "`";
        out.append("### ")
            .append(quote)
            .append(table.path.empty() ? "Top of the file" : table.title())
            .append(quote)
            .append("\n\n");
        if (!table.description.empty()) out += table.description + "\n\n";
        out += "| key | type | range | default | meaning |\n|---|---|---|---|---|\n";
        for (const KeyInfo& key : table.keys) {
            if (key.nested) continue;
            const std::string value = key.default_value.empty() ? "required" : cell(key.default_value);
            const char* code = key.default_value.empty() ? "" : "`";
            out += "| `" + key.name + "` | " + type_and_unit(key) + " | " + cell(key.range) + " | ";
            out += code + value;
            out += code;
            out += " | " + cell(key.description) + " |\n";
        }
        out += "\n";
    }
    out.pop_back();
    return out;
}

}  // namespace millrace::control
