// The admin API: HTTP/1.1 with JSON under /v1/ on Unix sockets, one UnixServer per configured socket, each with a role.
// docs/operations.md lists the paths. Errors are {"error": "..."} with 400, 403 (the socket's role), 404, 409 (the
// state forbids it) or 503 (the dataplane is away). Every request that changes something is logged with the peer's uid.
//
//   viewer    GET
//   operator  and the server commands, ping, and config/check
//   admin     and config/reload, and capture/frames: payload may be plain text
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "control/api/unix_server.h"
#include "control/config/model.h"
#include "control/controller.h"

namespace millrace::control::api {

class Api {
  public:
    explicit Api(Controller& controller) : controller_(controller) {}

    /// Binds one more socket. Before privileges are dropped, so that owner and group can be set; see UnixServer::bind.
    bool bind(const std::string& path, Role role, mode_t mode, uid_t owner, gid_t group, std::string& error);

    void start();

    /// Ends everything. Controller::release_callers must have been called.
    void stop();

  private:
    Controller& controller_;
    std::vector<std::unique_ptr<UnixServer>> servers_;
};

}  // namespace millrace::control::api
