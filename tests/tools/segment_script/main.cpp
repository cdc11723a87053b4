// segment-script: runs timed segment scripts against Millrace's TCP stack. See script.h for what a script is and
// tests/scripts/README.md for the conventions of ours.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

#include "tests/tools/segment_script/interpreter.h"

namespace {

using namespace millrace::script;

constexpr int exit_failed = 1, exit_usage = 2, exit_skipped = 3;

const char usage[] = R"(usage: segment-script [--define NAME=VALUE] [--OPTION=VALUE] [--quiet] FILE…

Runs each FILE, a script in packetdrill's notation, against Millrace's TCP stack in virtual time.
Options of the notation (--tolerance_usecs=N, --ip_version=…) hold where a file does not say otherwise;
--stack=NAME=VALUE sets a field of tcp::Options, --local_isn=N the first initial sequence number.
Prints one line for each file (with --quiet only for those that did not pass), and why below it.

Exit code: 0 all passed; 1 some failed; 2 wrong usage, or a file can't be read;
           3 none failed, but some were skipped, in full or in part.
)";

bool parse_arguments(int count, char** arguments, Defines& defines, std::vector<Setting>& settings, bool& quiet,
                     std::vector<std::string>& files) {
    for (int i = 1; i < count; ++i) {
        const std::string argument = arguments[i];
        const size_t equals = argument.find('=');
        if (argument == "--quiet") {
            quiet = true;
        } else if (argument == "--define" || argument == "-D" || argument.starts_with("--define=")) {
            if (!argument.starts_with("--define=") && ++i == count) return false;
            const std::string define = argument.starts_with("--define=") ? argument.substr(9) : arguments[i];
            const size_t middle = define.find('=');
            if (middle == std::string::npos) return false;
            defines[define.substr(0, middle)] = define.substr(middle + 1);
        } else if (argument.starts_with("--")) {
            const std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
            settings.push_back({0, argument.substr(2, equals == std::string::npos ? equals : equals - 2), value});
        } else {
            files.push_back(argument);
        }
    }
    return !files.empty();
}

}  // namespace

int main(int count, char** arguments) {
    Defines defines;
    std::vector<Setting> settings;
    std::vector<std::string> files;
    bool quiet = false;
    if (!parse_arguments(count, arguments, defines, settings, quiet, files)) {
        std::fputs(usage, stderr);
        return exit_usage;
    }
    size_t passed = 0, failed = 0, skipped = 0;
    for (const std::string& file : files) {
        std::ifstream in(file, std::ios::binary);
        std::ostringstream text;
        text << in.rdbuf();
        if (!in) {
            std::cerr << file << ": can't be read\n";
            return exit_usage;
        }
        const Report report = run(parse(text.str(), defines), file, settings);
        size_t& tally = report.verdict == Verdict::passed   ? passed
                        : report.verdict == Verdict::failed ? failed
                                                            : skipped;
        ++tally;
        const char* word = &tally == &passed ? "ok      " : &tally == &failed ? "FAILED  " : "skipped ";
        if (!quiet || report.verdict != Verdict::passed) std::cout << word << file << "\n";
        for (const std::string& line : report.lines) std::cout << "  " << line << "\n";
    }
    if (files.size() > 1) std::cout << passed << " passed, " << failed << " failed, " << skipped << " skipped\n";
    return failed > 0 ? exit_failed : skipped > 0 ? exit_skipped : 0;
}
