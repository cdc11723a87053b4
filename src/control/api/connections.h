// Live relays and neighbours, asked of the workers page by page. These run on the API's threads, since they wait for
// answers; what a worker answers is checked before use.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/controller.h"

namespace millrace::control::api {

using Json = nlohmann::ordered_json;

struct ConnectionQuery {
    std::string listener;  ///< name; empty: any
    std::string server;    ///< BACKEND/SERVER; empty: any
    uint32_t limit = 100;  ///< 1…connection_limit_max
    std::string cursor;    ///< of the page before; empty: the first
};

inline constexpr uint32_t connection_limit_max = 1000;

enum class QueryOutcome : uint8_t { ok, bad_request, not_found, unavailable };

/// {"connections": [...], "next_cursor": text | null}. On failure a reason in `error`.
QueryOutcome list_connections(Controller& controller, const ConnectionQuery& query, Json& result, std::string& error);

/// The relay `id` as list_connections() has it, and {"tcp": {"client": {...} | null, "server": {...} | null}}.
QueryOutcome show_tcp(Controller& controller, uint64_t id, Json& result, std::string& error);

/// {"neighbours": [...], "omitted": N}: those of all workers, each once, as the worker that heard of it last knows it.
QueryOutcome list_neighbours(Controller& controller, Json& result, std::string& error);

}  // namespace millrace::control::api
