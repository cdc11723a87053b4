// The rules between values: one class that walks the configuration once, section by section, in the order in which
// later sections refer to earlier ones: dataplane, control, interfaces, routes, backends, listeners, totals. Internal
// to the configuration: check.cpp begins, check_listeners.cpp has the listeners, check_tls.cpp what both sides' TLS
// asks.
//
// It reports against paths ("listener[2].port"), which Positions turns into lines and columns; a path that has no place
// of its own falls back to the table around it. One mistake gives one error: what depends on a value that was wrong in
// itself (the addresses of interfaces above all) is not judged.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "control/config/check.h"
#include "control/config/text.h"
#include "control/config/tls_files.h"

namespace millrace::control {

/// "listener[2]" and "listener[2].port".
inline std::string item(const std::string& table, size_t index) {
    return table + "[" + std::to_string(index) + "]";
}
inline std::string item(const std::string& table, size_t index, const char* key) {
    return item(table, index) + "." + key;
}

class Checker {
  public:
    Checker(Config& config, const Positions& positions, Resolver& resolver, const LoadOptions& options,
            Diagnostics& diagnostics)
        : config_(config), positions_(positions), resolver_(resolver), options_(options), diagnostics_(diagnostics) {}

    void check() {
        check_dataplane();
        check_control();
        check_interfaces();
        check_routes();
        check_backends();
        check_listeners();
        check_totals();
    }

  private:
    void error(const std::string& path, std::string message) {
        diagnostics_.error(positions_.at(path), std::move(message));
    }
    void warning(const std::string& path, std::string message) {
        diagnostics_.warning(positions_.at(path), std::move(message));
    }
    /// An error, but a warning with --check, which may run on another machine.
    void machine_error(const std::string& path, std::string message) {
        options_.check_only ? warning(path, std::move(message)) : error(path, std::move(message));
    }
    bool has(const std::string& path) const { return positions_.has(path); }
    std::string line(const std::string& path) const { return "line " + std::to_string(positions_.at(path).line); }

    /// Reports every second use of a name within `table`.
    template <typename Named>
    void check_names(const std::string& table, const char* what, const std::vector<Named>& list) {
        std::map<std::string, size_t> first;
        for (size_t i = 0; i < list.size(); ++i) {
            if (list[i].name.empty()) continue;
            const auto [known, is_new] = first.try_emplace(list[i].name, i);
            if (!is_new)
                error(item(table, i, "name"), std::string(what) + " " + in_quotes(list[i].name) +
                                                  " exists already, on " + line(item(table, known->second, "name")) +
                                                  "; give it a name of its own");
        }
    }

    template <typename Named>
    static std::vector<std::string> names_of(const std::vector<Named>& list) {
        std::vector<std::string> names;
        for (const Named& named : list)
            if (!named.name.empty()) names.push_back(named.name);
        return names;
    }

    /// Reports a reference to a name that is not in `names`.
    bool check_reference(const std::string& path, const char* what, const std::string& name,
                         const std::vector<std::string>& names) {
        if (std::find(names.begin(), names.end(), name) != names.end()) return true;
        const std::string remedy =
            names.empty() ? std::string("add it") : "the nearest name is " + in_quotes(nearest(name, names));
        error(path, std::string("there is no ") + what + " " + in_quotes(name) + "; " + remedy);
        return false;
    }

    void check_dataplane();
    void check_chunk_memory();
    void check_control();
    void check_interfaces();
    void check_addresses();
    void check_routes();
    void check_gateway(size_t index);
    void check_backends();
    void check_backend(size_t index);
    void check_health(const Backend& backend, const std::string& path);
    void check_tls(Backend& backend, const std::string& path);
    void check_sources(const Backend& backend, const std::string& path);
    void check_servers(Backend& backend, const std::string& path);
    void resolve(const std::string& backend, Server& server, const std::string& path);
    bool usable(const Backend& backend, const IpAddress& address, std::string& problem) const;
    void check_listeners();
    void check_listener(size_t index);
    void check_http_routes(const Listener& listener, const std::string& path);
    void check_tcp_listener(const Listener& listener, const std::string& path);
    void check_tls(Listener& listener, const std::string& path);
    void check_crypto_threads(const std::string& path);
    void tell(const TlsProblem& problem, const std::string& path);
    void warn_of_time(const tls::Identity& identity, const std::string& path);
    void check_overlaps();
    void check_totals();

    bool is_local(const IpAddress& address) const {
        for (const Interface& interface : config_.interfaces)
            for (const InterfaceAddress& local : interface.addresses)
                if (local.address == address) return true;
        return false;
    }
    std::string local_addresses() const;
    bool has_family(const Interface& interface, bool v4) const {
        return std::any_of(interface.addresses.begin(), interface.addresses.end(), [&](const InterfaceAddress& local) {
            return !local.address.is_unspecified() && local.address.is_v4() == v4;
        });
    }
    static bool on_link(const Interface& interface, const IpAddress& address) {
        return std::any_of(interface.addresses.begin(), interface.addresses.end(), [&](const InterfaceAddress& local) {
            return !local.address.is_unspecified() && address.in_prefix(local.address, local.prefix_length);
        });
    }

    Config& config_;
    const Positions& positions_;
    Resolver& resolver_;
    const LoadOptions& options_;
    Diagnostics& diagnostics_;
    bool addresses_known_ = true;  ///< no interface's address had an error, so that those of others can be judged
    std::vector<std::string> backend_names_;
    std::set<std::string> backends_used_;
};

}  // namespace millrace::control
