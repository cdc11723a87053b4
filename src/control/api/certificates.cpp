// Our own certificates, as the configuration in force has them: those of listeners, and those that backends' servers
// are shown.
#include <chrono>

#include "control/api/views.h"
#include "tls/handshake/certificate.h"

namespace millrace::control::api {
namespace {

int64_t days_until(int64_t unix_s) {
    using namespace std::chrono;
    return floor<days>(sys_seconds(seconds(unix_s)) - system_clock::now()).count();
}

/// `of`: "listener" or "backend".
Json certificate_json(const char* of, const std::string& name, const std::string& file, const tls::Identity& identity) {
    std::string error;
    const auto info = tls::read_certificate(identity.chain_pem, error);
    if (!info) return {{of, name}, {"file", file}, {"error", error}};
    return {{of, name},
            {"names", info->names},
            {"key", info->key},
            {"days_left", days_until(info->not_after)},
            {"not_before_unix_s", info->not_before},
            {"not_after_unix_s", info->not_after},
            {"subject", info->subject},
            {"issuer", info->issuer},
            {"sha256", info->sha256},
            {"ocsp", !identity.ocsp_der.empty()},
            {"file", file}};
}

}  // namespace

Json certificates(Controller& controller) {
    Json list = Json::array();
    if (!controller.config()) return {{"certificates", list}};
    for (const Listener& listener : controller.config()->listeners)
        if (listener.tls)
            for (const Certificate& certificate : listener.tls->certificates)
                list.push_back(certificate_json("listener", listener.name, certificate.chain, certificate.identity));
    for (const Backend& backend : controller.config()->backends)
        if (backend.tls && !backend.tls->certificate.empty())
            list.push_back(certificate_json("backend", backend.name, backend.tls->certificate, backend.tls->identity));
    return {{"certificates", list}};
}

}  // namespace millrace::control::api
