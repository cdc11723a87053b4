// The rules of listeners: addresses and routes.
#include "control/config/checker.h"

namespace millrace::control {

// ---- [[listener]] ---------------------------------------------------------------------------------------------------

std::string Checker::local_addresses() const {
    constexpr size_t shown_max = 8;
    std::string text;
    size_t count = 0;
    for (const Interface& interface : config_.interfaces)
        for (const InterfaceAddress& local : interface.addresses)
            if (!local.address.is_unspecified() && ++count <= shown_max)
                text += (text.empty() ? "" : ", ") + to_string(local.address);
    if (text.empty()) return "add it to the addresses of an [[interface]]";
    return "write one of " + text + (count > shown_max ? ", ..." : "");
}

void Checker::check_listeners() {
    if (config_.listeners.empty() && !has("listener"))
        warning("", "there is no [[listener]], so nothing is served; add one with name, address and port");
    check_names("listener", "listener", config_.listeners);
    for (size_t i = 0; i < config_.listeners.size(); ++i) check_listener(i);
    check_overlaps();
    for (size_t i = 0; i < config_.backends.size(); ++i)
        if (!diagnostics_.has_errors() && !backends_used_.contains(config_.backends[i].name))
            warning(item("backend", i, "name"), "no listener uses backend " + in_quotes(config_.backends[i].name) +
                                                    "; add it to a [[listener.route]], or remove it");
}

void Checker::check_listener(size_t index) {
    Listener& listener = config_.listeners[index];
    const std::string path = item("listener", index);
    if (addresses_known_ && has(path + ".address") && !listener.address.is_unspecified() && !is_local(listener.address))
        error(path + ".address", to_string(listener.address) + " is no address of an interface; " + local_addresses());
    if (!listener.backend.empty() && check_reference(path + ".backend", "backend", listener.backend, backend_names_))
        backends_used_.insert(listener.backend);
    check_http_routes(listener, path);
    if (listener.tls) check_tls(listener, path);
    if (listener.mode == ListenerMode::tcp)
        check_tcp_listener(listener, path);
    else if (listener.routes.empty() && listener.backend.empty() && !has(path + ".route"))
        error(path,
              "listener " + in_quotes(listener.name) + " leads nowhere; add a [[listener.route]] or a \"backend\"");
}

void Checker::check_tcp_listener(const Listener& listener, const std::string& path) {
    if (!listener.routes.empty())
        error(item(path + ".route", 0),
              "a listener of mode \"tcp\" has no routes; remove them and write backend = \"NAME\"");
    if (listener.backend.empty() && listener.routes.empty())
        error(path, "listener " + in_quotes(listener.name) + " of mode \"tcp\" has no \"backend\"; add it");
    for (const char* key : {"head_timeout", "head_bytes_max", "headers_max", "forwarded_for", "forwarded_proto",
                            "forwarded_host", "request_id", "retry_after"})
        if (has(path + "." + key))
            warning(path + "." + key, in_quotes(key) + " has no meaning in mode \"tcp\"; remove it");
    for (const Backend& backend : config_.backends)
        if (backend.name == listener.backend && !backend.name.empty() && !backend.hash_header.empty())
            error(path + ".backend", "backend " + in_quotes(backend.name) +
                                         " hashes a header, which a connection of mode \"tcp\" does not have; use a "
                                         "backend with hash = \"source\"");
}

void Checker::check_http_routes(const Listener& listener, const std::string& path) {
    const auto covers = [](const HttpRoute& early, const HttpRoute& late) {
        const bool host = early.host.empty() || early.host == late.host ||
                          (early.host.starts_with("*.") && late.host.size() > early.host.size() - 1 &&
                           late.host.ends_with(early.host.substr(1)));
        return host && late.path.starts_with(early.path);
    };
    for (size_t i = 0; i < listener.routes.size(); ++i) {
        const HttpRoute& route = listener.routes[i];
        const std::string here = item(path + ".route", i);
        if (has(here + ".backend") && check_reference(here + ".backend", "backend", route.backend, backend_names_))
            backends_used_.insert(route.backend);
        for (size_t j = 0; j < i; ++j) {
            if (!covers(listener.routes[j], route)) continue;
            warning(here, "this route never matches: the one on " + line(item(path + ".route", j)) +
                              " takes all its requests; put the narrower route first");
            break;
        }
    }
}

void Checker::check_overlaps() {
    for (size_t i = 0; i < config_.listeners.size(); ++i) {
        const std::string path = item("listener", i);
        if (!has(path + ".address") || !has(path + ".port")) continue;
        for (size_t j = 0; j < i; ++j) {
            const Listener &a = config_.listeners[i], &b = config_.listeners[j];
            const std::string other = item("listener", j);
            if (a.port != b.port || !has(other + ".address")) continue;
            if (a.address != b.address && !a.address.is_unspecified() && !b.address.is_unspecified()) continue;
            error(path + ".port", "port " + std::to_string(a.port) + " of this address belongs to the listener on " +
                                      line(other) + " already; choose another port or address");
            break;
        }
    }
}

}  // namespace millrace::control
