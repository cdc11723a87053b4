#include "tls/handshake/context.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "tls/handshake/handshake.h"
#include "tls/handshake/openssl.h"

namespace millrace::tls {
namespace {

constexpr const char* ciphers12_default =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-"
    "SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* suites13_default = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

Owned<BIO> reader(const std::string& text) {
    return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

int protocol_number(Version version) {
    return version == Version::tls12 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

/// A key with a passphrase would have OpenSSL ask a terminal for it, and wait.
int no_passphrase(char*, int, int, void*) {
    return -1;
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
    error = encrypted ? "private key: it is encrypted; store it without a passphrase, readable by root only"
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
        if (kind == NID_aes_128_gcm || kind == NID_aes_256_gcm || kind == NID_chacha20_poly1305) continue;
        error =
            "cipher " + name + " is none of AES-128-GCM, AES-256-GCM and ChaCha20-Poly1305; take it out of the list";
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
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 0);  // so that what follows the handshake stays in the memory BIO
    SSL_CTX_set_max_early_data(context, 0);
    Handshake::prepare(context);
}

}  // namespace

std::string take_openssl_error(const char* otherwise) {
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    return reason == nullptr ? otherwise : reason;
}

std::unique_ptr<Context> Context::make(const ContextSettings& settings, bool is_server, std::string& error) {
    std::vector<uint8_t> protocols;
    if (settings.version_min > settings.version_max) {
        error = "the lowest version is above the highest";
        return nullptr;
    }
    if (!put_protocols(settings.protocols, protocols, error)) return nullptr;
    ERR_clear_error();
    std::unique_ptr<Context> made(new Context(SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method()),
                                              is_server, std::move(protocols)));
    SSL_CTX* context = made->get();
    set_common(context);
    SSL_CTX_set_min_proto_version(context, protocol_number(settings.version_min));
    SSL_CTX_set_max_proto_version(context, protocol_number(settings.version_max));
    SSL_CTX_set_num_tickets(context, settings.tickets);
    if (!use_lists(context, settings, error)) return nullptr;
    for (const Identity& identity : settings.identities)
        if (!use_identity(context, identity, error)) return nullptr;
    return made;
}

std::unique_ptr<Context> Context::server(const ContextSettings& settings, std::string& error) {
    if (settings.identities.empty()) {
        error = "a server needs a certificate and its key";
        return nullptr;
    }
    std::unique_ptr<Context> made = make(settings, true, error);
    if (!made) return nullptr;
    SSL_CTX* context = made->get();
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);  // tickets alone, which need no memory here
    static constexpr unsigned char session_context[] = "millrace";
    SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1);
    if (!made->protocols_.empty()) SSL_CTX_set_alpn_select_cb(context, select_protocol, made.get());
    return made;
}

std::unique_ptr<Context> Context::client(const ContextSettings& settings, std::string& error) {
    std::unique_ptr<Context> made = make(settings, false, error);
    if (!made) return nullptr;
    SSL_CTX_set_verify(made->get(), SSL_VERIFY_PEER, nullptr);
    if (!made->protocols_.empty())
        SSL_CTX_set_alpn_protos(made->get(), made->protocols_.data(), static_cast<unsigned>(made->protocols_.size()));
    return made;
}

bool Context::trust(const std::string& ca_pem, std::string& error) {
    const Owned<BIO> bio = reader(ca_pem);
    int count = 0;
    const bool whole = for_each_certificate(bio.get(), [&](X509& authority) {
        ++count;
        return X509_STORE_add_cert(SSL_CTX_get_cert_store(get()), &authority) == 1 &&
               SSL_CTX_add_client_CA(get(), &authority) == 1;
    });
    if (!whole || count == 0) {
        error = "CA: " + take_openssl_error("no PEM certificate in it");
        return false;
    }
    SSL_CTX_set_verify(get(), SSL_VERIFY_PEER | (is_server_ ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
    return true;
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
