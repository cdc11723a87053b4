// The rules between the values of a configuration: names, references, addresses, reachability. Values that were wrong
// in themselves are reported already and are passed over here, so that one mistake gives one error.
#pragma once

#include "control/config/diagnostic.h"
#include "control/config/load.h"
#include "control/config/model.h"
#include "control/config/reader.h"
#include "control/config/resolver.h"

namespace millrace::control {

/// Checks `config` and completes it: interface indices of routes, the addresses of servers, the default admin socket.
void check_config(Config& config, const Positions& positions, Resolver& resolver, const LoadOptions& options,
                  Diagnostics& diagnostics);

}  // namespace millrace::control
