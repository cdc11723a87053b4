// `ping`: one request of the admin API for each packet, and what they say together.
#pragma once

#include <cstdint>
#include <string>

#include "cli/client.h"

namespace millrace::cli {

struct PingOptions {
    std::string address;
    uint32_t count = 4;
    double interval_s = 1;
    uint32_t size = 56;
    double timeout_s = 1;
};

/// Prints a line for each packet and a summary, or one JSON object at the end. Failure when nothing was answered.
void ping(const Client& client, const PingOptions& options, bool as_json);

}  // namespace millrace::cli
