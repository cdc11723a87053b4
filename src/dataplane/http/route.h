// Does a route apply to a request? Routes are an ordered array and the first match wins; the array is the caller's.
// Pure functions over text.
#pragma once

#include <string_view>

namespace millrace::http {

/// `pattern`: empty (any host, also none), a host name, or `*.` and a name, which stands for one or more labels before
/// that name but not for the name itself. No regard to case. `host` comes without port (RequestHead::host).
bool host_matches(std::string_view host, std::string_view pattern);

/// True when `prefix` is the whole path or ends at a segment boundary of it: `/a` matches `/a`, `/a/b` and `/a?x`, not
/// `/ab`; `/a/` does not match `/a`. Bytes are compared as sent: no percent-decoding, no dot segments. An empty prefix
/// and `/` match every path.
bool path_matches(std::string_view path, std::string_view prefix);

/// Both at once.
inline bool route_matches(std::string_view host, std::string_view path, std::string_view host_pattern,
                          std::string_view path_prefix) {
    return host_matches(host, host_pattern) && path_matches(path, path_prefix);
}

}  // namespace millrace::http
