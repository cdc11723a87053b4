// The reference of every key, made from the same table that reads them (schema.cpp): config/reference.toml and the
// tables of docs/configuration.md. A test compares the files of the tree with these texts.
#pragma once

#include <string>
#include <vector>

namespace millrace::control {

struct KeyInfo {
    std::string name;
    std::string type;           ///< "integer", "duration", "string", ...
    std::string range;          ///< in words; may be empty
    std::string default_value;  ///< as TOML; empty: the key is required
    std::string example;        ///< as TOML: what the reference shows; empty: the default
    std::string description;
    std::string unit = {};  ///< of a bare number: "bytes", "packets"; durations and sizes carry theirs
    bool nested = false;    ///< a table of its own, described elsewhere
};

struct TableInfo {
    std::string path;           ///< "backend.server"; empty for the top of the file
    bool array = false;         ///< written [[path]]
    bool inline_table = false;  ///< written within its parent: path = [{ … }]
    std::string description;
    std::vector<KeyInfo> keys;

    /// "[[backend.server]]", "[control]", "\"sources\" of [[backend]]", "the file".
    std::string title() const;

    /// How it is written: as the title, or "sources = [{ ... }]".
    std::string form() const;
};

/// In the order of the reference.
const std::vector<TableInfo>& configuration_tables();

/// A complete configuration file with every key, commented, that loads without errors.
std::string reference_toml();

/// One Markdown table per section.
std::string reference_markdown();

}  // namespace millrace::control
