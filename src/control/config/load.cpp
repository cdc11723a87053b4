// The steps of loading: bytes, TOML syntax, keys and values (schema.h), rules between values (check.h). The only place
// where toml++ throws, and where that is caught; nothing here leaves with an exception but for want of memory.
#include "control/config/load.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <toml++/toml.h>

#include "control/config/check.h"
#include "control/config/schema.h"
#include "control/config/text.h"

namespace millrace::control {

namespace {

LoadResult failed(const std::string& file, SourcePosition position, std::string message) {
    return {{}, {{Severity::error, file, position, std::move(message)}}};
}

/// The parser's own description in one line.
std::string syntax_message(std::string_view description) {
    std::string whole;
    for (char c : description.substr(0, 400)) whole += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    if (whole.empty()) whole = "it can't be read";
    whole[0] = static_cast<char>(whole[0] >= 'A' && whole[0] <= 'Z' ? whole[0] - 'A' + 'a' : whole[0]);
    return "TOML syntax: " + whole + "; correct it (see https://toml.io/en/v1.0.0)";
}

}  // namespace

bool LoadResult::ok() const {
    return std::none_of(diagnostics.begin(), diagnostics.end(),
                        [](const Diagnostic& d) { return d.severity == Severity::error; });
}

LoadResult load_config(const std::string& path, Resolver& resolver, const LoadOptions& options) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    if (!in || !(text << in.rdbuf())) {
        const std::string why = errno != 0 ? std::strerror(errno) : "it is empty";
        return failed(path, {}, "can't be read: " + why + "; name a readable TOML file");
    }
    return load_config_text(text.str(), path, resolver, options);
}

LoadResult load_config_text(std::string_view text, const std::string& file, Resolver& resolver,
                            const LoadOptions& options) {
    if (text.size() > config_text_bytes_max)
        return failed(file, {},
                      "the file has " + std::to_string(text.size()) + " bytes; the most is " +
                          format_size_bytes(config_text_bytes_max));
    toml::table table;
    try {
        table = toml::parse(text, file);
    } catch (const toml::parse_error& error) {
        return failed(file, position_of(error.source()), syntax_message(error.description()));
    }
    Diagnostics diagnostics(file);
    Positions positions;
    Reader reader(diagnostics, positions);
    Document document;
    document_schema().read(reader, table, "", document);
    check_config(document.config, positions, resolver, options, diagnostics);
    return {std::move(document.config), diagnostics.finish()};
}

}  // namespace millrace::control
