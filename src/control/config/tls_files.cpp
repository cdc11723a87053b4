#include "control/config/tls_files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/config/text.h"
#include "tls/handshake/certificate.h"

namespace millrace::control {
namespace {

constexpr off_t file_bytes_max = 1 << 20;

/// What is wrong with the file that `key` names, or nothing.
std::optional<TlsProblem> read_file(const std::string& key, const std::string& path, std::string& text) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a named pipe would wait for ever
    if (file < 0) {
        const char* remedy =
            errno == EACCES ? "make it readable for the user of millrace-control, by its group" : "correct the path";
        return TlsProblem{key, in_quotes(path) + " can't be read: " + std::strerror(errno) + "; " + remedy, true};
    }
    struct stat status {};
    std::string problem;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
        problem = " is no file";
    else if (status.st_size > file_bytes_max)
        problem = " has more than " + format_size_bytes(file_bytes_max);
    text.resize(problem.empty() ? static_cast<size_t>(status.st_size) : 0);
    if (problem.empty() && read(file, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        problem = " changed while it was read; load it again";
    close(file);
    return problem.empty() ? std::nullopt : std::optional(TlsProblem{key, in_quotes(path) + problem});
}

std::optional<TlsProblem> read_certificate_files(Certificate& certificate, const std::string& path) {
    tls::Identity& identity = certificate.identity;
    if (auto problem = read_file(path + ".chain", certificate.chain, identity.chain_pem)) return problem;
    if (auto problem = read_file(path + ".key", certificate.key, identity.key_pem)) return problem;
    if (certificate.ocsp.empty()) return std::nullopt;
    if (auto problem = read_file(path + ".ocsp", certificate.ocsp, identity.ocsp_der)) return problem;
    if (identity.ocsp_der.empty()) return TlsProblem{path + ".ocsp", in_quotes(certificate.ocsp) + " is empty"};
    return std::nullopt;
}

tls::ContextSettings settings_of(const Listener& listener) {
    const ListenerTls& from = *listener.tls;
    tls::ContextSettings to{.version_min = from.min_version,
                            .version_max = from.max_version,
                            .ciphers12 = from.ciphers,
                            .suites13 = from.suites,
                            .groups = from.groups,
                            .protocols = protocols_of(listener),
                            .tickets = from.tickets,
                            .client_certificates = from.client_certificates,
                            .client_ca_pem = from.client_ca_pem,
                            .session_scope = listener.name};
    for (const Certificate& certificate : from.certificates) to.identities.push_back(certificate.identity);
    return to;
}

/// The keys in the table whose files OpenSSL may have something against.
struct Places {
    std::string chain, key, ca;
};

/// The one that the words of tls::Context are about; empty: none of them alone.
std::string place_of(const std::string& error, const Places& places) {
    if (error.starts_with("certificate")) return places.chain;
    if (error.starts_with("private key")) return places.key;
    if (error.starts_with("CA")) return places.ca;
    for (const char* key : {"ciphers", "suites", "groups"})
        if (error.starts_with(key)) return '.' + std::string(key);
    return error.starts_with("cipher") ? ".ciphers" : error.starts_with("suite") ? ".suites" : "";
}

/// Each certificate alone, so that what is wrong has its place, then all of them together.
std::optional<TlsProblem> try_out(const Listener& listener) {
    tls::ContextSettings all = settings_of(listener);
    std::string error;
    const std::vector<tls::Identity> identities = all.identities;
    for (size_t i = 0; i < identities.size(); ++i) {
        all.identities = {identities[i]};
        const std::string path = ".certificate[" + std::to_string(i) + "]";
        if (tls::Context::server(all, error)) continue;
        if (error.starts_with("OCSP")) return TlsProblem{path + ".ocsp", error};
        if (error.starts_with("protocol")) return TlsProblem{".alpn", error};
        return TlsProblem{place_of(error, {path + ".chain", path + ".key", ".client_ca"}), error};
    }
    all.identities = identities;
    return tls::Context::server(all, error) ? std::nullopt : std::optional(TlsProblem{"", error});
}

/// The servers of a backend with TLS, with the names that their addresses were found by.
std::vector<tls::ServerName> names_of_servers(const Backend& backend, const BackendRecord& record,
                                              const SnapshotView& snapshot) {
    std::vector<tls::ServerName> names;
    for (const ServerRecord& server : snapshot.servers().subspan(record.first_server, record.server_count))
        for (const Server& from : backend.servers)
            if (from.name == snapshot.text(server.name))
                names.push_back({server.slot, from.name, parse_ip_address(from.host) ? std::string() : from.host});
    return names;
}

}  // namespace

std::vector<std::string> protocols_of(const Listener& listener) {
    const std::string& list = listener.tls->alpn;
    if (list.empty())
        return listener.mode == ListenerMode::http ? std::vector<std::string>{"http/1.1"} : std::vector<std::string>{};
    std::vector<std::string> protocols;
    for (size_t at = 0; at <= list.size();) {
        const size_t comma = std::min(list.find(',', at), list.size());
        protocols.push_back(list.substr(at, comma - at));
        at = comma + 1;
    }
    return protocols;
}

std::optional<TlsProblem> load_tls(Listener& listener) {
    ListenerTls& tls = *listener.tls;
    for (size_t i = 0; i < tls.certificates.size(); ++i)
        if (auto problem = read_certificate_files(tls.certificates[i], ".certificate[" + std::to_string(i) + "]"))
            return problem;
    if (tls.client_certificates != tls::ClientCertificates::off)
        if (auto problem = read_file(".client_ca", tls.client_ca, tls.client_ca_pem)) return problem;
    if (!tls.ticket_keys.empty()) {
        if (auto problem = read_file(".ticket_keys", tls.ticket_keys, tls.ticket_key_bytes)) return problem;
        if (!tls::TicketKeys::valid_size(tls.ticket_key_bytes.size()))
            return TlsProblem{".ticket_keys", in_quotes(tls.ticket_keys) + " has " +
                                                  std::to_string(tls.ticket_key_bytes.size()) +
                                                  " bytes; 1 to 16 keys of 80 bytes are possible: openssl rand 80"};
    }
    return try_out(listener);
}

std::optional<TlsProblem> load_tls(Backend& backend) {
    BackendTls& tls = *backend.tls;
    if (!tls.certificate.empty()) {
        if (auto problem = read_file(".certificate", tls.certificate, tls.identity.chain_pem)) return problem;
        if (auto problem = read_file(".key", tls.key, tls.identity.key_pem)) return problem;
    }
    if (tls.verify)
        if (auto problem = read_file(".ca", tls.ca, tls.ca_pem)) return problem;
    std::string error;
    if (tls::make_servers(keys_of(backend, 0), error)) return std::nullopt;
    return TlsProblem{place_of(error, {".certificate", ".key", ".ca"}), error};
}

tls::BackendKeys keys_of(const Backend& backend, uint16_t slot) {
    const BackendTls& from = *backend.tls;
    tls::BackendKeys to{.backend = backend.name,
                        .slot = slot,
                        .context = {.version_min = from.min_version,
                                    .version_max = from.max_version,
                                    .ciphers12 = from.ciphers,
                                    .suites13 = from.suites,
                                    .groups = from.groups},
                        .verify = from.verify,
                        .ca_pem = from.ca_pem,
                        .server_name = from.server_name,
                        .resume = from.resume};
    if (!from.certificate.empty()) to.context.identities = {from.identity};
    return to;
}

tls::ListenerKeys keys_of(const Listener& listener, uint16_t slot) {
    return {.listener = listener.name,
            .slot = slot,
            .context = settings_of(listener),
            .ticket_keys = listener.tls->ticket_key_bytes};
}

tls::KeyBundle keys_of(const Config& config, const SnapshotView& snapshot, uint64_t generation) {
    tls::KeyBundle bundle{.generation = generation};
    for (const ListenerRecord& record : snapshot.listeners())
        for (const Listener& listener : config.listeners)
            if (listener.tls && listener.name == snapshot.text(record.name))
                bundle.listeners.push_back(keys_of(listener, record.slot));
    for (const BackendRecord& record : snapshot.backends()) {
        for (const Backend& backend : config.backends) {
            if (!backend.tls || backend.name != snapshot.text(record.name)) continue;
            bundle.backends.push_back(keys_of(backend, record.slot));
            bundle.backends.back().servers = names_of_servers(backend, record, snapshot);
        }
    }
    return bundle;
}

}  // namespace millrace::control
