// The table of keys: one entry per key says how it is called, what it may hold, what it means, and into which member of
// the model it goes. Reading, the search for the nearest key, and the reference all run from it. Internal to the
// configuration.
//
// The default of a key is the initializer of its member; it is written down nowhere else.
#pragma once

#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "control/config/model.h"
#include "control/config/reader.h"
#include "control/config/text.h"

namespace millrace::control {

template <typename Owner>
struct Key {
    KeyInfo info;
    std::function<void(Reader&, const Input&, Owner&)> read;

    /// Makes the key a required one; `example` is what the reference shows.
    Key required(std::string example) && {
        info.default_value.clear();
        info.example = std::move(example);
        return std::move(*this);
    }
    /// What a bare number counts.
    Key unit(std::string text) && {
        info.unit = std::move(text);
        return std::move(*this);
    }
    Key example(std::string text) && {
        info.example = std::move(text);
        return std::move(*this);
    }
};

template <typename Owner>
class TableSchema {
  public:
    TableSchema(TableInfo info, std::vector<Key<Owner>> keys) : info_(std::move(info)), keys_(std::move(keys)) {
        for (const Key<Owner>& key : keys_) info_.keys.push_back(key.info);
    }

    const TableInfo& info() const { return info_; }

    /// Reads every key of `table` into `owner`; `path` is the table's own.
    void read(Reader& reader, const toml::table& table, const std::string& path, Owner& owner) const {
        for (const auto& [name, node] : table) {
            const Key<Owner>* key = find(name.str());
            if (key == nullptr) {
                reader.unknown_key(name, info_);
                continue;
            }
            key->read(reader, {node, key->info, path.empty() ? key->info.name : path + "." + key->info.name}, owner);
        }
        for (const Key<Owner>& key : keys_) {
            const bool optional = key.info.nested || !key.info.default_value.empty();
            if (!optional && !table.contains(key.info.name)) reader.missing_key(key.info, path, info_);
        }
    }

  private:
    const Key<Owner>* find(std::string_view name) const {
        for (const Key<Owner>& key : keys_)
            if (key.info.name == name) return &key;
        return nullptr;
    }

    TableInfo info_;
    std::vector<Key<Owner>> keys_;
};

// ---- one kind of key each -------------------------------------------------------------------------------------------

template <typename Owner>
Key<Owner> boolean_key(const char* name, bool Owner::*member, const char* description) {
    return {{name, "boolean", "true or false", Owner{}.*member ? "true" : "false", "", description},
            [member](Reader& reader, const Input& in, Owner& owner) {
                if (const auto value = reader.boolean(in)) owner.*member = *value;
            }};
}

template <typename Owner, typename Number>
Key<Owner> integer_key(const char* name, Number Owner::*member, std::type_identity_t<Number> min,
                       std::type_identity_t<Number> max, const char* description) {
    return {{name, "integer", range_text(min, max), std::to_string(Owner{}.*member), "", description},
            [=](Reader& reader, const Input& in, Owner& owner) {
                if (const auto value = reader.integer(in, min, max)) owner.*member = static_cast<Number>(*value);
            }};
}

/// `member`, `min` and `max` count in steps of `step_us`.
template <typename Owner>
Key<Owner> duration_key(const char* name, uint32_t Owner::*member, uint64_t step_us, uint64_t min, uint64_t max,
                        const char* description) {
    return {{name, "duration", format_duration_us(min * step_us) + " to " + format_duration_us(max * step_us),
             '"' + format_duration_us(Owner{}.*member * step_us) + '"', "", description},
            [=](Reader& reader, const Input& in, Owner& owner) {
                if (const auto value = reader.duration(in, min * step_us, max * step_us, step_us))
                    owner.*member = static_cast<uint32_t>(*value / step_us);
            }};
}

template <typename Owner, typename Number>
Key<Owner> size_key(const char* name, Number Owner::*member, uint64_t min, uint64_t max, const char* description) {
    return {{name, "size", format_size_bytes(min) + " to " + format_size_bytes(max),
             '"' + format_size_bytes(Owner{}.*member) + '"', "", description},
            [=](Reader& reader, const Input& in, Owner& owner) {
                if (const auto value = reader.size(in, min, max)) owner.*member = static_cast<Number>(*value);
            }};
}

template <typename Owner, typename Choice>
Key<Owner> choice_key(const char* name, Choice Owner::*member,
                      std::type_identity_t<std::vector<std::pair<std::string, Choice>>> choices,
                      const char* description) {
    std::vector<std::string> names;
    std::string default_value;
    for (const auto& [choice_name, value] : choices) {
        names.push_back(choice_name);
        if (value == Owner{}.*member) default_value = '"' + choice_name + '"';
    }
    return {{name, "string", choices_text(names), default_value, "", description},
            [=](Reader& reader, const Input& in, Owner& owner) {
                if (const auto index = reader.choice(in, names)) owner.*member = choices[*index].second;
            }};
}

/// A string that `parse` puts into the owner; it returns what is wrong with it, or nothing.
template <typename Owner>
Key<Owner> parsed_key(const char* name, const char* type, const char* range, const char* default_value,
                      std::function<std::string(std::string_view, Owner&)> parse, const char* description) {
    return {{name, type, range, default_value, "", description}, [=](Reader& reader, const Input& in, Owner& owner) {
                reader.text(in, [&](std::string_view text) { return parse(text, owner); });
            }};
}

/// A string kept as it is, if `rule` holds or if it is empty like the default.
template <typename Owner>
Key<Owner> text_key(const char* name, std::string Owner::*member, bool (*rule)(std::string_view), const char* range,
                    const char* description) {
    return {{name, "string", range, '"' + Owner{}.*member + '"', "", description},
            [=](Reader& reader, const Input& in, Owner& owner) {
                const auto value = reader.text(in, [&](std::string_view text) {
                    if ((text.empty() && in.key.default_value == "\"\"") || rule(text)) return std::string();
                    return in_quotes(in.key.name) + " is " + in_quotes(text) + "; it must be " + range;
                });
                if (value) owner.*member = *value;
            }};
}

template <typename Owner, typename Element>
Key<Owner> tables_key(const char* name, std::vector<Element> Owner::*member, const TableSchema<Element>& schema,
                      size_t count_max) {
    KeyInfo info{name, "array of tables", "", "", "", ""};
    info.nested = true;
    return {info, [=, &schema](Reader& reader, const Input& in, Owner& owner) {
                const std::string wanted = "an array of tables: " + schema.info().form();
                const toml::array* array = reader.array(in, wanted.c_str());
                if (array == nullptr) return;
                if (array->size() > count_max) {
                    reader.wrong(in, "there are " + std::to_string(array->size()) + " " + schema.info().title() +
                                         "; the most is " + std::to_string(count_max));
                    return;
                }
                for (size_t i = 0; i < array->size(); ++i) {
                    const toml::node& node = *array->get(i);
                    const std::string path = in.path + "[" + std::to_string(i) + "]";
                    reader.positions().set(path, position_of(node.source()));
                    Element& element = (owner.*member).emplace_back();
                    if (const toml::table* table = node.as_table())
                        schema.read(reader, *table, path, element);
                    else
                        reader.wrong_type(node, in.key.name, wanted);
                }
            }};
}

/// Also reads into an optional: the table's presence is the value's.
template <typename Owner, typename Member, typename Element>
Key<Owner> table_key(const char* name, Member Owner::*member, const TableSchema<Element>& schema) {
    KeyInfo info{name, "table", "", "", "", ""};
    info.nested = true;
    return {info, [=, &schema](Reader& reader, const Input& in, Owner& owner) {
                const toml::table* table = reader.table(in);
                if (table == nullptr) return;
                if constexpr (std::is_same_v<Member, Element>)
                    schema.read(reader, *table, in.path, owner.*member);
                else
                    schema.read(reader, *table, in.path, (owner.*member).emplace());
            }};
}

// ---- the tables -----------------------------------------------------------------------------------------------------

/// The whole file.
struct Document {
    uint32_t schema = 1;
    Config config;
};

const TableSchema<Certificate>& certificate_schema();
const TableSchema<ListenerTls>& listener_tls_schema();
const TableSchema<BackendTls>& backend_tls_schema();
const TableSchema<Document>& document_schema();

}  // namespace millrace::control
