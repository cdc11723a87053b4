// Turns the host of a server into addresses, once, when a configuration is loaded. Behind an interface, so that tests
// and --check need no name server.
#pragma once

#include <string>
#include <vector>

#include <millrace/address.h>

namespace millrace::control {

class Resolver {
  public:
    virtual ~Resolver() = default;

    /// All IPv4 and IPv6 addresses of `host`, in any order. On failure returns none and says why in `error`.
    virtual std::vector<IpAddress> resolve(const std::string& host, std::string& error) = 0;
};

/// getaddrinfo(3). Blocks as long as the system's resolver does.
class SystemResolver final : public Resolver {
  public:
    std::vector<IpAddress> resolve(const std::string& host, std::string& error) override;
};

}  // namespace millrace::control
