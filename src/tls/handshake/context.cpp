#include "tls/handshake/context.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>

#include "tls/handshake/certificate.h"
#include "tls/handshake/handshake.h"
#include "tls/handshake/openssl.h"

namespace millrace::tls {
namespace {

constexpr const char* ciphers12_default =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-"
    "SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* suites13_default = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

int protocol_number(Version version) {
    return version == Version::tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

/// Calls take(X509&) for each certificate until it says false. False then, and when something in the text is damaged.
template <class Take>
bool for_each_certificate(BIO* bio, Take&& take) {
    while (Owned<X509> next{PEM_read_bio_X509(bio, nullptr, no_passphrase, nullptr)})
        if (!take(*next)) return false;
    const bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    if (ended) ERR_clear_error();
    return ended;
}

/// Sets the leaf and adds the rest of the chain.
bool use_chain(SSL_CTX* context, const std::string& pem, std::string& error) {
    const Owned<BIO> bio = reader(pem);
    const Owned<X509> leaf(PEM_read_bio_X509_AUX(bio.get(), nullptr, no_passphrase, nullptr));
    if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) {
        error = "certificate: " + take_openssl_error("no PEM certificate in it");
        return false;
    }
    SSL_CTX_clear_chain_certs(context);
    if (for_each_certificate(bio.get(), [&](X509& next) { return SSL_CTX_add1_chain_cert(context, &next) == 1; }))
        return true;
    error = "certificate chain: " + take_openssl_error("damaged");
    return false;
}

bool use_identity(SSL_CTX* context, const Identity& identity, std::string& error) {
    if (!use_chain(context, identity.chain_pem, error)) return false;
    const Owned<BIO> bio = reader(identity.key_pem);
    const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
    if (key && SSL_CTX_use_PrivateKey(context, key.get()) == 1 && SSL_CTX_check_private_key(context) == 1) return true;
    const bool encrypted = identity.key_pem.find("ENCRYPTED") != std::string::npos;
    error = encrypted ? "private key: it is encrypted; store it without a passphrase, readable by the group of "
                        "millrace-control alone"
                      : "private key: " + take_openssl_error("no PEM key in it");
    return false;
}

/// A cipher list may name what the record layer can't move; that is refused here, not at a handshake.
bool only_aeads(SSL_CTX* context, std::string& error) {
    const STACK_OF(SSL_CIPHER)* ciphers = SSL_CTX_get_ciphers(context);
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); ++i) {
        const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(ciphers, i);
        const int kind = SSL_CIPHER_get_cipher_nid(cipher);
        const std::string name = SSL_CIPHER_get_name(cipher);
        const bool suite = std::string_view(SSL_CIPHER_get_version(cipher)) == "TLSv1.3";
        if (kind == NID_aes_128_gcm || kind == NID_aes_256_gcm || kind == NID_chacha20_poly1305) continue;
        error = (suite ? "suite " : "cipher ") + name +
                " is none of AES-128-GCM, AES-256-GCM and ChaCha20-Poly1305; take it out of the list";
        return false;
    }
    return true;
}

bool use_lists(SSL_CTX* context, const ContextSettings& settings, std::string& error) {
    const std::string& ciphers = settings.ciphers12.empty() ? ciphers12_default : settings.ciphers12;
    const std::string& suites = settings.suites13.empty() ? suites13_default : settings.suites13;
    if (SSL_CTX_set_cipher_list(context, ciphers.c_str()) != 1) {
        error = "ciphers \"" + ciphers + "\": " + take_openssl_error("unknown");
        return false;
    }
    if (SSL_CTX_set_ciphersuites(context, suites.c_str()) != 1) {
        error = "suites \"" + suites + "\": " + take_openssl_error("unknown");
        return false;
    }
    if (!settings.groups.empty() && SSL_CTX_set1_groups_list(context, settings.groups.c_str()) != 1) {
        error = "groups \"" + settings.groups + "\": " + take_openssl_error("unknown");
        return false;
    }
    return only_aeads(context, error);
}

bool put_protocols(const std::vector<std::string>& protocols, std::vector<uint8_t>& wire, std::string& error) {
    for (const std::string& protocol : protocols) {
        if (protocol.empty() || protocol.size() > 255) {
            error = "protocol \"" + protocol + "\": 1 to 255 bytes are possible";
            return false;
        }
        wire.push_back(static_cast<uint8_t>(protocol.size()));
        wire.insert(wire.end(), protocol.begin(), protocol.end());
    }
    return true;
}

void set_common(SSL_CTX* context) {
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(context, 0);  // so that what follows the handshake stays in the memory BIO
    SSL_CTX_set_max_early_data(context, 0);
    Handshake::prepare(context);
}

bool use_authorities(SSL_CTX* context, const std::string& pem, std::string& error) {
    const Owned<BIO> bio = reader(pem);
    int count = 0;
    const bool whole = for_each_certificate(bio.get(), [&](X509& authority) {
        ++count;
        return X509_STORE_add_cert(SSL_CTX_get_cert_store(context), &authority) == 1 &&
               SSL_CTX_add_client_CA(context, &authority) == 1;
    });
    if (!whole || count == 0) error = "CA: " + take_openssl_error("no PEM certificate in it");
    return whole && count > 0;
}

bool ask_clients(SSL_CTX* context, const ContextSettings& settings, std::string& error) {
    if (settings.client_certificates == ClientCertificates::off) return true;
    const bool required = settings.client_certificates == ClientCertificates::required;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
    return use_authorities(context, settings.client_ca_pem, error);
}

bool is_ocsp_response(const std::string& der) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
    OCSP_RESPONSE* response = d2i_OCSP_RESPONSE(nullptr, &bytes, static_cast<long>(der.size()));
    ERR_clear_error();
    OCSP_RESPONSE_free(response);
    return response != nullptr;
}

/// Sessions are bound to it, so that none is resumed where other certificates are asked for.
void set_session_scope(SSL_CTX* context, const std::string& scope) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned length = 0;
    EVP_Digest(scope.data(), scope.size(), digest.data(), &length, EVP_sha256(), nullptr);
    SSL_CTX_set_session_id_context(context, digest.data(), length);
}

}  // namespace

std::string take_openssl_error(const char* otherwise) {
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    return reason == nullptr ? otherwise : reason;
}

bool Context::configure(SSL_CTX* context, const ContextSettings& settings, std::string& error) {
    set_common(context);
    SSL_CTX_set_min_proto_version(context, protocol_number(settings.version_min));
    SSL_CTX_set_max_proto_version(context, protocol_number(settings.version_max));
    SSL_CTX_set_num_tickets(context, settings.tickets);
    return use_lists(context, settings, error);
}

std::unique_ptr<Context> Context::make(const ContextSettings& settings, bool is_server, std::string& error) {
    std::vector<uint8_t> protocols;
    if (settings.version_min > settings.version_max) {
        error = "the lowest version is above the highest";
        return nullptr;
    }
    if (!put_protocols(settings.protocols, protocols, error)) return nullptr;
    ERR_clear_error();
    return std::unique_ptr<Context>(new Context(is_server, std::move(protocols)));
}

std::unique_ptr<Context> Context::client(const ContextSettings& settings, std::string& error) {
    std::unique_ptr<Context> made = make(settings, false, error);
    if (!made) return nullptr;
    made->sets_.push_back({.context = Owned<SSL_CTX>(SSL_CTX_new(TLS_client_method()))});
    SSL_CTX* context = made->get();
    if (!configure(context, settings, error)) return nullptr;
    for (const Identity& identity : settings.identities)
        if (!use_identity(context, identity, error)) return nullptr;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (!made->protocols_.empty())
        SSL_CTX_set_alpn_protos(context, made->protocols_.data(), static_cast<unsigned>(made->protocols_.size()));
    return made;
}

SSL_CTX* Context::add_set(const ContextSettings& settings, std::string& error) {
    sets_.push_back({.context = Owned<SSL_CTX>(SSL_CTX_new(TLS_server_method()))});
    SSL_CTX* context = sets_.back().context.get();
    if (!configure(context, settings, error) || !ask_clients(context, settings, error)) return nullptr;
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets alone, which need no memory here
    if (settings.tickets == 0) SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    set_session_scope(context, settings.session_scope);
    if (ticket_keys_) ticket_keys_->use_for(context);
    if (!protocols_.empty()) SSL_CTX_set_alpn_select_cb(context, select_protocol, this);
    SSL_CTX_set_tlsext_servername_callback(context, select_set);
    SSL_CTX_set_tlsext_servername_arg(context, this);
    SSL_CTX_set_tlsext_status_cb(context, staple);
    SSL_CTX_set_tlsext_status_arg(context, this);
    return context;
}

/// Into the set of its names, or a new one.
bool Context::add_identity(const Identity& identity, const ContextSettings& settings, std::string& error) {
    const Owned<X509> leaf(PEM_read_bio_X509_AUX(reader(identity.chain_pem).get(), nullptr, no_passphrase, nullptr));
    ERR_clear_error();
    std::vector<std::string> names = leaf ? names_of(leaf.get()) : std::vector<std::string>{};
    std::ranges::sort(names);
    const int kind = leaf ? EVP_PKEY_get_base_id(X509_get0_pubkey(leaf.get())) : 0;
    auto set = std::ranges::find_if(
        sets_, [&](const Set& one) { return one.names == names && !std::ranges::count(one.kinds, kind); });
    if (set == sets_.end()) {
        if (add_set(settings, error) == nullptr) return false;
        set = std::prev(sets_.end());
    }
    SSL_CTX* context = set->context.get();
    if (!use_identity(context, identity, error)) return false;
    for (const std::string& name : names) by_name_.try_emplace(name, context);
    set->names = std::move(names);
    set->kinds.push_back(kind);
    if (!identity.ocsp_der.empty() && !is_ocsp_response(identity.ocsp_der)) {
        error = "OCSP response: no such thing in DER";
        return false;
    }
    if (!identity.ocsp_der.empty()) ocsp_ders_[SSL_CTX_get0_certificate(context)] = identity.ocsp_der;
    return true;
}

std::unique_ptr<Context> Context::server(const ContextSettings& settings, std::string& error) {
    if (settings.identities.empty()) {
        error = "a server needs a certificate and its key";
        return nullptr;
    }
    std::unique_ptr<Context> made = make(settings, true, error);
    if (!made) return nullptr;
    made->ticket_keys_ = settings.ticket_keys;
    for (const Identity& identity : settings.identities)
        if (!made->add_identity(identity, settings, error)) return nullptr;
    return made;
}

/// That of the name, or of the wildcard in the place of its first label (RFC 6125 §6.4.3), or the first.
SSL_CTX* Context::set_for(std::string host) const {
    std::ranges::transform(host, host.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (const auto exact = by_name_.find(host); exact != by_name_.end()) return exact->second;
    const size_t dot = host.find('.');
    if (dot == std::string::npos) return get();
    const auto wildcard = by_name_.find('*' + host.substr(dot));
    return wildcard != by_name_.end() ? wildcard->second : get();
}

int Context::select_set(SSL* ssl, int*, void* self) {
    const char* host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (host == nullptr) return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(ssl, static_cast<const Context*>(self)->set_for(host));
    return SSL_TLSEXT_ERR_OK;
}

int Context::staple(SSL* ssl, void* self) {
    const auto& ders = static_cast<const Context*>(self)->ocsp_ders_;
    const auto found = ders.find(SSL_get_certificate(ssl));
    if (found == ders.end()) return SSL_TLSEXT_ERR_NOACK;
    const std::string& der = found->second;
    void* copy = OPENSSL_memdup(der.data(), der.size());  // OpenSSL frees it
    if (copy == nullptr) return SSL_TLSEXT_ERR_ALERT_FATAL;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(der.size()));
    return SSL_TLSEXT_ERR_OK;
}

bool Context::trust(const std::string& ca_pem, std::string& error) {
    return use_authorities(get(), ca_pem, error);
}

void Context::trust_anybody() {
    SSL_CTX_set_verify(get(), SSL_VERIFY_NONE, nullptr);
}

int Context::select_protocol(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in,
                             unsigned in_length, void* self) {
    const std::vector<uint8_t>& ours = static_cast<const Context*>(self)->protocols_;
    unsigned char* chosen = nullptr;
    const int outcome =
        SSL_select_next_proto(&chosen, out_length, ours.data(), static_cast<unsigned>(ours.size()), in, in_length);
    *out = chosen;
    return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace millrace::tls
