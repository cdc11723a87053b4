// Address ranges and targets of the command line, and the generator's addresses, interfaces and routes as the
// configuration that net::IpLayer and port/ take. Not for a worker: allocates.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "load/settings.h"

namespace millrace::load {

/// "198.18.4.1-198.18.4.200", one address, or several of these with commas; of one family each. Empty, with a reason,
/// when it is none of these or holds more addresses than a process can have (limits.h).
std::optional<std::vector<IpAddress>> parse_addresses(std::string_view text, std::string& error);

/// "198.18.0.1:80" or "[2001:db8::1]:80".
std::optional<Target> parse_target(std::string_view text);

/// A snapshot with the interfaces, the addresses and the routes: to each target by the clients' gateway, and to
/// everybody else by the servers'.
std::vector<std::byte> make_snapshot(const Settings& settings);

}  // namespace millrace::load
