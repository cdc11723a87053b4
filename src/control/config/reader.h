// Reads values out of a parsed TOML document, checks type and range, and reports what is wrong where. Internal to the
// configuration: the only headers that see toml++ are this one and schema.h.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <toml++/toml.h>

#include "control/config/diagnostic.h"
#include "control/config/reference.h"

namespace millrace::control {

SourcePosition position_of(const toml::source_region& region);

/// Where each valid value stands, by its path: "listener[2].port". A missing path means that the value was not given,
/// or was wrong and has been reported. Tables and arrays are entered in any case.
class Positions {
  public:
    void set(const std::string& path, SourcePosition position) { map_[path] = position; }
    bool has(std::string_view path) const { return map_.find(path) != map_.end(); }
    /// Of the value, or else of the nearest table around it.
    SourcePosition at(std::string_view path) const;

  private:
    std::map<std::string, SourcePosition, std::less<>> map_;
};

/// One value to read: the node, its key, and its path in the document.
struct Input {
    const toml::node& node;
    const KeyInfo& key;
    std::string path;
};

class Reader {
  public:
    Reader(Diagnostics& diagnostics, Positions& positions) : diagnostics_(diagnostics), positions_(positions) {}

    /// Each returns the value when it has the right type and lies in range, and otherwise reports it.
    std::optional<bool> boolean(const Input& in);
    std::optional<uint64_t> integer(const Input& in, uint64_t min, uint64_t max);
    /// `check` says what is wrong with the text, or nothing.
    std::optional<std::string> text(const Input& in, const std::function<std::string(std::string_view)>& check);
    std::optional<uint64_t> duration(const Input& in, uint64_t min_us, uint64_t max_us, uint64_t step_us);
    std::optional<uint64_t> size(const Input& in, uint64_t min, uint64_t max);
    std::optional<size_t> choice(const Input& in, std::span<const std::string> names);

    /// Null, after a report, when the node is not what the name says.
    const toml::table* table(const Input& in);
    const toml::array* array(const Input& in, const char* of_what);

    void wrong(const Input& in, const std::string& message) { wrong_at(in.node, message); }
    void wrong_at(const toml::node& node, const std::string& message);
    void wrong_type(const toml::node& node, std::string_view key, const std::string& wanted);
    void unknown_key(const toml::key& key, const TableInfo& table);
    void missing_key(const KeyInfo& key, const std::string& table_path, const TableInfo& table);

    Diagnostics& diagnostics() { return diagnostics_; }
    Positions& positions() { return positions_; }

  private:
    void found(const Input& in) { positions_.set(in.path, position_of(in.node.source())); }

    Diagnostics& diagnostics_;
    Positions& positions_;
};

/// "integer 1 to 65535", the way ranges read in messages and in the reference.
std::string range_text(uint64_t min, uint64_t max);
std::string choices_text(std::span<const std::string> names);

}  // namespace millrace::control
