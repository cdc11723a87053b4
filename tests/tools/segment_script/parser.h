// From the text of a segment script to script.h. Never fails: what can't be read becomes `Script::problem`, and the
// events before it stay.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "tests/tools/segment_script/script.h"

namespace millrace::script {

/// Symbols given by --define NAME=VALUE: words that stand for an integer, another word or a "string".
using Defines = std::map<std::string, std::string>;

/// `defines` are those of the command line; they win over the script's own.
Script parse(std::string_view text, const Defines& defines = {});

}  // namespace millrace::script
