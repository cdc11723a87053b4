// What the option lines of a script, and the same options on the command line, decide. Names and defaults are
// packetdrill's; --stack=NAME=VALUE (a field of tcp::Options) and --local_isn=N are this tool's own.
#pragma once

#include <optional>
#include <string>

#include "tests/tools/segment_script/host.h"
#include "tests/tools/segment_script/script.h"

namespace millrace::script {

struct Settings {
    HostSettings host;
    int64_t tolerance_us = 4000;
    double tolerance_percent = 0;
    int64_t ts_tick_us = 0;        ///< 0: the TSval of outbound segments is not compared
    bool strict_segments = false;  ///< false: several segments may make up one that the script expects
    uint16_t bind_port = 8080;
    uint16_t connect_port = 8080;
    uint16_t peer_port = 50'000;  ///< from which the peer connects when the script names no port
    std::optional<uint32_t> local_isn;
    std::vector<Problem> ignored;  ///< settings that are known and have no meaning here

    Settings();
    /// False when the setting is not known or its value makes no sense; `reason` says why.
    bool apply(const Setting& setting, std::string& reason);
};

}  // namespace millrace::script
