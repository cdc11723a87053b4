// The rules of TLS toward clients and servers, and what is wrong with its files.
#include <chrono>
#include <strings.h>

#include "control/config/checker.h"
#include "tls/handshake/certificate.h"

namespace millrace::control {

void Checker::check_crypto_threads(const std::string& path) {
    if (config_.dataplane.crypto_threads == 0)
        error(path, "TLS needs crypto threads; set \"crypto_threads\" of [dataplane] to 1 or more");
}

/// `path` is that of the table.
void Checker::tell(const TlsProblem& problem, const std::string& path) {
    const std::string place = path + problem.path;
    problem.of_machine ? machine_error(place, problem.message) : error(place, problem.message);
}

/// Peers refuse such a certificate, but to refuse the whole configuration would be worse.
void Checker::warn_of_time(const tls::Identity& identity, const std::string& path) {
    std::string problem;
    const auto certificate = tls::read_certificate(identity.chain_pem, problem);
    if (!certificate) return;
    const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    if (certificate->not_after < now) warning(path, "the certificate has expired; renew it");
    if (certificate->not_before > now) warning(path, "the certificate is not valid yet");
}

void Checker::check_tls(Listener& listener, const std::string& path) {
    check_crypto_threads(path + ".tls");
    ListenerTls& tls = *listener.tls;
    if (tls.certificates.empty() && !has(path + ".tls.certificate"))
        error(path + ".tls", "there is no certificate; add a [[listener.tls.certificate]] with \"chain\" and \"key\"");
    if (tls.client_certificates != tls::ClientCertificates::off && tls.client_ca.empty())
        error(path + ".tls.client_certificates", "client certificates need a \"client_ca\" that has signed them");
    for (const char* name : {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer",
                             "keep-alive", "proxy-connection", "expect", "x-forwarded-for", "x-forwarded-proto",
                             "x-forwarded-host", "x-request-id", "sec-websocket-key", "sec-websocket-version"})
        if (strcasecmp(tls.client_subject_header.c_str(), name) == 0)
            error(
                path + ".tls.client_subject_header",
                in_quotes(tls.client_subject_header) + " has a meaning of its own; take a name as \"X-SSL-Client-DN\"");
    if (tls.client_certificates == tls::ClientCertificates::off)
        for (const auto& [name, value] :
             {std::pair("client_ca", tls.client_ca), std::pair("client_subject_header", tls.client_subject_header)})
            if (!value.empty())
                warning(path + ".tls." + name, in_quotes(name) +
                                                   " has no meaning while \"client_certificates\" is "
                                                   "\"off\"; write \"optional\" there, or remove this");
    for (const std::string& protocol : protocols_of(listener)) {
        const bool http = listener.mode == ListenerMode::http;
        if (http && protocol != "http/1.1" && protocol != "http/1.0")
            error(path + ".tls.alpn", in_quotes(protocol) + " can't be spoken in mode \"http\"; write \"http/1.1\"");
        else if (protocol.find(' ') != protocol.npos)
            error(path + ".tls.alpn",
                  in_quotes(protocol) + " holds a blank; write names with commas alone between them");
    }
    if (diagnostics_.has_errors()) return;
    if (const auto problem = load_tls(listener)) return tell(*problem, path + ".tls");
    for (size_t i = 0; i < tls.certificates.size(); ++i)
        warn_of_time(tls.certificates[i].identity, path + ".tls.certificate[" + std::to_string(i) + "].chain");
}

void Checker::check_tls(Backend& backend, const std::string& path) {
    const std::string here = path + ".tls";
    check_crypto_threads(here);
    const BackendTls& tls = *backend.tls;
    if (tls.certificate.empty() != tls.key.empty())
        error(here + (tls.key.empty() ? ".certificate" : ".key"),
              std::string("\"certificate\" and \"key\" belong together; add the ") +
                  (tls.key.empty() ? "key of this certificate" : "certificate of this key"));
    if (!tls.verify && has(here + ".ca"))
        warning(here + ".ca", "\"ca\" has no meaning while \"verify\" is false; remove one of them");
    if (diagnostics_.has_errors()) return;
    if (const auto problem = load_tls(backend)) return tell(*problem, here);
    if (!tls.certificate.empty()) warn_of_time(tls.identity, here + ".certificate");
}

}  // namespace millrace::control
