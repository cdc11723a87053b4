// Runs a parsed script against the stack in virtual time and judges it.
//
// Time stands still while an event is carried out. Deadlines of the stack that fall on the time of an event come before
// it. What the stack sends waits in order for the script's outbound segments, each of which must be the next one, sent
// within the tolerance of its time. What is still waiting at the end fails the script, too; only the effects of a
// close() that ends it are left unsaid, since many scripts end so.
#pragma once

#include <string>
#include <vector>

#include "tests/tools/segment_script/parser.h"
#include "tests/tools/segment_script/script.h"

namespace millrace::script {

enum class Verdict : uint8_t {
    passed,
    failed,
    skipped,  ///< no failure, but something was not run: commands, or the rest after what is not supported
};

struct Report {
    Verdict verdict = Verdict::passed;
    std::vector<std::string> lines;  ///< FILE:LINE: what failed or was skipped, with its explanation below
};

/// `settings` are those of the command line; the script's own win. `file` is for messages.
Report run(const Script& script, const std::string& file, const std::vector<Setting>& settings = {});

}  // namespace millrace::script
