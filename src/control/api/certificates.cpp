// The certificates of the listeners, as the configuration in force has them.
#include <chrono>

#include "control/api/views.h"
#include "tls/handshake/certificate.h"

namespace millrace::control::api {
namespace {

int64_t days_until(int64_t unix_s) {
    using namespace std::chrono;
    return (unix_s - duration_cast<seconds>(system_clock::now().time_since_epoch()).count()) / 86'400;
}

Json certificate_json(const Listener& listener, const Certificate& certificate) {
    std::string error;
    const auto info = tls::read_certificate(certificate.identity.chain_pem, error);
    if (!info) return {{"listener", listener.name}, {"file", certificate.chain}, {"error", error}};
    return {{"listener", listener.name},
            {"names", info->names},
            {"key", info->key},
            {"days_left", days_until(info->not_after)},
            {"not_before_unix_s", info->not_before},
            {"not_after_unix_s", info->not_after},
            {"subject", info->subject},
            {"issuer", info->issuer},
            {"sha256", info->sha256},
            {"ocsp", !certificate.ocsp.empty()},
            {"file", certificate.chain}};
}

}  // namespace

Json certificates(Controller& controller) {
    Json list = Json::array();
    if (controller.config())
        for (const Listener& listener : controller.config()->listeners)
            if (listener.tls)
                for (const Certificate& certificate : listener.tls->certificates)
                    list.push_back(certificate_json(listener, certificate));
    return {{"certificates", list}};
}

}  // namespace millrace::control::api
