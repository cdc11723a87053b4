// `capture`: frames of all workers into a file for tcpdump and its like.
#pragma once

#include <cstdint>
#include <string>

#include "cli/client.h"

namespace millrace::cli {

struct CaptureOptions {
    std::string file;
    std::string filter;
    uint32_t seconds = 10;
    uint32_t count = 0;    ///< 0: as many as control allows
    uint32_t snaplen = 0;  ///< 0: whole frames
};

/// Returns when the capture has ended, and says how many frames there are, and how many were lost on the way. The file
/// is made anew, readable by its owner alone. Failure when the capture is refused or the file can't be written.
void capture(const Client& client, const CaptureOptions& options, bool as_json);

}  // namespace millrace::cli
