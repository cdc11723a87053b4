// Turns the host of a server into addresses, once, when a configuration is loaded. Behind an interface, so that tests
// need no name server.
//
// Not a resolver that follows changes: what a name means is fixed until the next reload. IP literals never come here.
// Runs in the control process, on whichever thread loads; it blocks that thread only.
#pragma once

#include <memory>
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

/// getaddrinfo(3). Blocks as long as the system's resolver does, or until give_up(). Any thread.
class SystemResolver final : public Resolver {
  public:
    SystemResolver();

    std::vector<IpAddress> resolve(const std::string& host, std::string& error) override;

    /// For the end of the process: every resolve(), present or future, fails at once. getaddrinfo(3) can't be
    /// interrupted, so a thread may be left behind in it.
    void give_up();

  private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
};

}  // namespace millrace::control
