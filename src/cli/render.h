// The API's documents as text for people. Tolerant: a field that is missing (an older or newer control) shows as "-".
#pragma once

#include <string>

#include "cli/client.h"

namespace millrace::cli {

std::string render_status(const Json& document);
std::string render_listeners(const Json& document);
std::string render_backends(const Json& document);
std::string render_servers(const Json& document);
std::string render_workers(const Json& document);
std::string render_connections(const Json& document);
std::string render_capture(const Json& document);
std::string render_tcp(const Json& document);
std::string render_neighbours(const Json& document);
std::string render_routes(const Json& document);
std::string render_certificates(const Json& document);
std::string render_stats(const Json& document);
/// The configuration as TOML.
std::string render_config(const Json& document);
/// One event, without newline.
std::string render_event(const Json& event);
/// "FILE:LINE:COLUMN: message" lines; `file` replaces the name the API used, unless empty.
std::string render_diagnostics(const Json& list, const std::string& file);

}  // namespace millrace::cli
