// The command line of millrace-load.
#pragma once

#include <string>

#include "load/settings.h"

namespace millrace::load {

struct Options {
    Settings settings;
    bool json = false;
    std::string histogram;
    std::string log_file = "/dev/null";
};

/// Reads the command line; ends the process with a message when it asks for help or makes no sense.
Options parse_options(int argc, char** argv);

}  // namespace millrace::load
