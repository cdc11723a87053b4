// Runs our programs as processes and captures what they print.
#pragma once

#include <array>
#include <cstdio>
#include <string>
#include <sys/wait.h>

namespace millrace::control::test {

struct Result {
    int exit_code = -1;
    std::string out;  ///< standard output
    std::string err;  ///< standard error
};

/// Runs a shell command; environment as ours.
inline Result run_command(const std::string& command) {
    char name[] = "/tmp/millrace-stderr-XXXXXX";
    const int descriptor = mkstemp(name);
    Result run;
    FILE* pipe = popen((command + " 2>" + name).c_str(), "r");
    if (descriptor < 0 || pipe == nullptr) return run;
    std::array<char, 4096> buffer;
    for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) run.out.append(buffer.data(), n);
    const int status = pclose(pipe);
    run.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    for (ssize_t n; (n = read(descriptor, buffer.data(), buffer.size())) > 0;)
        run.err.append(buffer.data(), static_cast<size_t>(n));
    close(descriptor);
    unlink(name);
    return run;
}

inline Result ctl(const std::string& arguments) {
    return run_command(MILLRACECTL " --instance test " + arguments);
}

}  // namespace millrace::control::test
