// See route.h.
#include "dataplane/http/route.h"

#include "dataplane/base/fault.h"
#include "dataplane/http/text.h"

namespace millrace::http {
namespace {

/// One or more labels, none of them empty.
bool are_labels(std::string_view text) {
    if (fault(Fault::http_wildcard_empty_label)) return true;
    return !text.empty() && text.front() != '.' && text.back() != '.' && text.find("..") == std::string_view::npos;
}

}  // namespace

bool host_matches(std::string_view host, std::string_view pattern) {
    if (pattern.empty()) return true;
    if (!pattern.starts_with("*.")) return equals_ignore_case(host, pattern);
    const std::string_view suffix = pattern.substr(1);
    if (host.size() < suffix.size()) return false;
    const size_t labels_length = host.size() - suffix.size();
    return equals_ignore_case(host.substr(labels_length), suffix) && are_labels(host.substr(0, labels_length));
}

bool path_matches(std::string_view path, std::string_view prefix) {
    if (!path.starts_with(prefix)) return false;
    if (prefix.empty() || prefix.ends_with('/') || path.size() == prefix.size()) return true;
    const char next = path[prefix.size()];
    return next == '/' || next == '?';
}

}  // namespace millrace::http
