// The server half of ws-load: accepts WebSocket connections on kernel sockets and sends every frame back unmasked, as
// it streams in. A slow reader stops the fast writer (flow control), so its memory stays bounded. Plain GETs get a 200.
#pragma once

#include <csignal>
#include <string>
#include <vector>

namespace ws_load {

struct ServerOptions {
    std::vector<std::string> listen;  ///< addresses with ports
    std::string name;                 ///< X-Served-By of every answer
};

/// Serves until `stop` is set. Returns the exit code.
int serve(const ServerOptions& options, const volatile std::sig_atomic_t& stop);

}  // namespace ws_load
