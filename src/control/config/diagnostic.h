// What is wrong with a configuration file, and where. Every text reads "what is wrong; what would be right", fits on
// one line and holds no control characters, so that it can go to a terminal, a log or a JSON answer as it is.
//
// An error keeps a configuration from being used; a warning tells of what is allowed but hardly meant. The list of a
// file is bounded: a file of another kind, given by mistake, must not fill the log.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::control {

enum class Severity : uint8_t { error, warning };

/// A place in a file; both count from 1, columns in characters.
struct SourcePosition {
    uint32_t line = 1;
    uint32_t column = 1;
};

struct Diagnostic {
    Severity severity = Severity::error;
    std::string file;
    SourcePosition position;
    std::string message;
};

/// "FILE:LINE:COLUMN: message", or "FILE:LINE:COLUMN: warning: message".
std::string to_string(const Diagnostic& diagnostic);

/// Collects the diagnostics of one file; from diagnostics_max on it only counts.
class Diagnostics {
  public:
    static constexpr size_t diagnostics_max = 100;

    explicit Diagnostics(std::string file) : file_(std::move(file)) {}

    void error(SourcePosition position, std::string message);
    void warning(SourcePosition position, std::string message);
    bool has_errors() const { return errors_ != 0; }

    /// Sorted by position. The last one tells how many more there were.
    std::vector<Diagnostic> finish();

  private:
    void add(Severity severity, SourcePosition position, std::string message);

    std::string file_;
    std::vector<Diagnostic> list_;
    size_t errors_ = 0;
    size_t left_out_ = 0;
};

}  // namespace millrace::control
