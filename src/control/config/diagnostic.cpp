// Collecting diagnostics in the order in which they are found, handing them out in the order of the file.
#include "control/config/diagnostic.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace millrace::control {

std::string to_string(const Diagnostic& d) {
    return d.file + ":" + std::to_string(d.position.line) + ":" + std::to_string(d.position.column) + ": " +
           (d.severity == Severity::warning ? "warning: " : "") + d.message;
}

void Diagnostics::add(Severity severity, SourcePosition position, std::string message) {
    if (list_.size() >= diagnostics_max) {
        ++left_out_;
        return;
    }
    list_.push_back({severity, file_, position, std::move(message)});
}

void Diagnostics::error(SourcePosition position, std::string message) {
    ++errors_;
    add(Severity::error, position, std::move(message));
}

void Diagnostics::warning(SourcePosition position, std::string message) {
    add(Severity::warning, position, std::move(message));
}

std::vector<Diagnostic> Diagnostics::finish() {
    std::stable_sort(list_.begin(), list_.end(), [](const Diagnostic& a, const Diagnostic& b) {
        return std::tie(a.position.line, a.position.column) < std::tie(b.position.line, b.position.column);
    });
    if (left_out_ != 0) {
        const SourcePosition last = list_.back().position;
        list_.push_back({errors_ != 0 ? Severity::error : Severity::warning, file_, last,
                         std::to_string(left_out_) + " more are not shown; correct the first " +
                             std::to_string(diagnostics_max) + " and check again"});
    }
    return std::exchange(list_, {});
}

}  // namespace millrace::control
