// Reads a configuration file: TOML syntax, keys and values, then the rules between them. All errors of a file are
// collected; a file with errors yields no configuration that may be used.
//
// Guarantee: a configuration without errors makes a snapshot that SnapshotView::open accepts (publish.h).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/diagnostic.h"
#include "control/config/model.h"
#include "control/config/resolver.h"

namespace millrace::control {

inline constexpr size_t config_text_bytes_max = 4u << 20;

/// The addresses that a server of this backend had when its name last resolved; empty when that is not known.
using LastAddresses = std::function<std::vector<IpAddress>(const std::string& backend, const Server& server)>;

struct LoadOptions {
    uint32_t core_count = 0;  ///< cores 0…core_count-1 exist; 0: as many as this machine has
    /// --check: what depends on the machine (does a core exist, does a name resolve) is only a warning.
    bool check_only = false;
    /// Where given, a name that does not resolve is only a warning if there are such addresses: name servers may be
    /// away.
    LastAddresses last_addresses = {};
};

struct LoadResult {
    Config config;  ///< complete only when ok()
    std::vector<Diagnostic> diagnostics;

    bool ok() const;  ///< no errors; warnings may stand
};

/// Loads the file at `path`.
LoadResult load_config(const std::string& path, Resolver& resolver, const LoadOptions& options = {});

/// Loads `text`; `file` is the name used in diagnostics.
LoadResult load_config_text(std::string_view text, const std::string& file, Resolver& resolver,
                            const LoadOptions& options = {});

}  // namespace millrace::control
