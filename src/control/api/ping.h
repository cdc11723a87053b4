// Echo requests over the data path. Runs on an API thread, since it waits for the answer.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/api/connections.h"
#include "control/controller.h"

namespace millrace::control::api {

/// One echo request. `body`: {"address": text, "size": bytes of payload (56), "timeout_ms": 1…5000 (1000)}. The result
/// is {"result": word, "rtt_us": number | null, "interface", "source", "next_hop": text | null, ...}; that nobody
/// answered is no error.
QueryOutcome ping(Controller& controller, const std::string& body, Json& result, std::string& error);

}  // namespace millrace::control::api
