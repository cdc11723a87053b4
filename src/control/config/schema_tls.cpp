// The keys of TLS.
#include <millrace/config_rules.h>

#include "control/config/addresses.h"
#include "control/config/schema.h"

namespace millrace::control {
namespace {

bool is_absolute(std::string_view text) {
    return text.starts_with('/') && text.find('\0') == text.npos;
}

bool is_list(std::string_view text) {
    return !text.empty() && text.size() <= 1024 && text.find('\0') == text.npos;
}

constexpr const char* path_rule = "an absolute path";
constexpr const char* list_rule = "names with colons between them";

/// What both sides can agree on; the same keys toward clients and servers.
template <class Tls>
std::vector<Key<Tls>> agreement_keys() {
    const std::vector<std::pair<std::string, tls::Version>> versions = {{"1.2", tls::Version::tls12},
                                                                        {"1.3", tls::Version::tls13}};
    return {choice_key("min_version", &Tls::min_version, versions, "Lowest version that is agreed upon."),
            choice_key("max_version", &Tls::max_version, versions, "Highest version that is agreed upon."),
            text_key("ciphers", &Tls::ciphers, is_list, list_rule,
                     "Cipher list for TLS 1.2, as OpenSSL names it; AES-GCM and ChaCha20-Poly1305 alone are possible. "
                     "Empty: those with ECDHE."),
            text_key("suites", &Tls::suites, is_list, list_rule,
                     "Cipher suites for TLS 1.3, as OpenSSL names them; empty: AES-128-GCM, AES-256-GCM, ChaCha20."),
            text_key("groups", &Tls::groups, is_list, list_rule,
                     "Groups of the key exchange, as OpenSSL names them, as \"X25519:P-256\"; empty: OpenSSL's "
                     "default.")};
}

template <class Tls>
std::vector<Key<Tls>> joined(std::vector<Key<Tls>> first, std::vector<Key<Tls>> then) {
    first.insert(first.end(), then.begin(), then.end());
    return first;
}

}  // namespace

const TableSchema<Certificate>& certificate_schema() {
    using C = Certificate;
    static const TableSchema<C> schema(
        {"listener.tls.certificate",
         true,
         false,
         "A certificate of the listener. Which one a client is shown follows from the name that it asks for (SNI) and "
         "the names in the certificates, with wildcards; the first one is for all others. Beside an RSA one there may "
         "be an ECDSA one for the same names. Files are read when the configuration is loaded; a reload swaps them.",
         {}},
        {text_key("chain", &C::chain, is_absolute, path_rule,
                  "File of the certificate and those of the authorities between it and the root, in PEM.")
             .required("\"/etc/millrace/ticker.pem\""),
         text_key("key", &C::key, is_absolute, path_rule,
                  "File of its private key, in PEM without a passphrase; readable for the user of millrace-control.")
             .required("\"/etc/millrace/ticker.key\""),
         text_key("ocsp", &C::ocsp, is_absolute, path_rule,
                  "File of an OCSP response in DER, stapled for clients that ask; empty: none.")});
    return schema;
}

const TableSchema<ListenerTls>& listener_tls_schema() {
    using L = ListenerTls;
    using Certificates = tls::ClientCertificates;
    static const TableSchema<L> schema(
        {"listener.tls",
         false,
         false,
         "TLS toward clients; without this table there is none. Needs crypto_threads and a certificate.",
         {}},
        joined<L>(
            agreement_keys<L>(),
            {text_key(
                 "alpn", &L::alpn, is_list, "names with commas between them",
                 "Protocols that clients may choose from (ALPN), the best first; a client that offers only others is "
                 "refused. Empty: \"http/1.1\" in mode http, none in mode tcp."),
             integer_key("tickets", &L::tickets, 0, tickets_max,
                         "Session tickets that a client gets after a full handshake; 0: no resumption.")
                 .unit("tickets"),
             text_key(
                 "ticket_keys", &L::ticket_keys, is_absolute, path_rule,
                 "File of keys for the tickets, 80 bytes each (openssl rand 80), so that several machines resume each "
                 "other's sessions: the first seals, the others still open. Empty: random ones, changed every two "
                 "hours."),
             choice_key("client_certificates", &L::client_certificates,
                        {{"off", Certificates::off},
                         {"optional", Certificates::optional},
                         {"required", Certificates::required}},
                        "Whether clients are asked for a certificate, and refused without one. A bad one is refused."),
             text_key("client_ca", &L::client_ca, is_absolute, path_rule,
                      "File of the authorities that sign clients' certificates, in PEM."),
             text_key("client_subject_header", &L::client_subject_header, valid_header_name, "a header's name",
                      "Header in which the subject of the client's certificate (RFC 2253) goes to the server, as "
                      "\"X-SSL-Client-DN\"; what a client sends under that name does not. Empty: none."),
             duration_key("handshake_timeout", &L::handshake_timeout_ms, 1000, 100, timeout_ms_max,
                          "Time for the whole handshake, the wait for a crypto thread included."),
             tables_key("certificate", &L::certificates, certificate_schema(), certificates_max)}));
    return schema;
}

const TableSchema<BackendTls>& backend_tls_schema() {
    using B = BackendTls;
    static const TableSchema<B> schema(
        {"backend.tls",
         false,
         false,
         "TLS toward the servers; without this table there is none. Needs crypto_threads. Files are read when the "
         "configuration is loaded; a reload swaps them.",
         {}},
        joined<B>(
            {text_key("ca", &B::ca, is_absolute, path_rule,
                      "File of the authorities that sign the servers' certificates, in PEM."),
             boolean_key("verify", &B::verify,
                         "Whether a server must show a certificate for its name that these authorities have signed. "
                         "false takes any certificate, also that of someone in between."),
             text_key(
                 "server_name", &B::server_name, valid_server_host, "a host name or an IP address",
                 "What the certificates must be for; a host name is also what servers are asked for (SNI). Empty: the "
                 "host of each server's address as it is written; an IP address must stand in the certificate as one."),
             text_key("certificate", &B::certificate, is_absolute, path_rule,
                      "File of our own certificate for servers that ask for one, its chain behind it, in PEM; empty: "
                      "none."),
             text_key("key", &B::key, is_absolute, path_rule,
                      "File of its private key, in PEM without a passphrase; readable for the user of "
                      "millrace-control.")},
            joined<B>(agreement_keys<B>(),
                      {boolean_key("resume", &B::resume, "Whether sessions with a server are resumed."),
                       duration_key("handshake_timeout", &B::handshake_timeout_ms, 1000, 100, timeout_ms_max,
                                    "Time for the whole handshake with a server, the wait for a crypto thread "
                                    "included.")})));
    return schema;
}

}  // namespace millrace::control
