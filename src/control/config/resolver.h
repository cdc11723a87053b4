// Turns the host of a server into addresses, once, when a configuration is loaded. Behind an interface, so that tests
// need no name server.
//
// Not a resolver that follows changes: what a name means is fixed until the next reload. IP literals never come here.
// Runs in the control process, on whichever thread loads; it blocks that thread only.
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
