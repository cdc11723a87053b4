#include "tests/sim/peer_tls.h"

#include <cstdlib>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "tests/unit/tls/handshake/pki.h"

namespace millrace::sim {

std::shared_ptr<const tls::Context> simulated_server_context() {
    static const std::shared_ptr<const tls::Context> shared = [] {
        std::string error;
        tls::ContextSettings settings;
        settings.identities = {tls::identity(tls::KeyKind::rsa)};
        settings.protocols = {"http/1.1"};
        std::unique_ptr<tls::Context> made = tls::Context::server(settings, error);
        if (!made) std::abort();
        return std::shared_ptr<const tls::Context>(std::move(made));
    }();
    return shared;
}

std::shared_ptr<const tls::Context> simulated_client_context() {
    static const std::shared_ptr<const tls::Context> shared = [] {
        std::string error;
        std::unique_ptr<tls::Context> made = tls::Context::client({}, error);
        if (!made) std::abort();
        made->trust_anybody();
        return std::shared_ptr<const tls::Context>(std::move(made));
    }();
    return shared;
}

/// All clients share one, and all servers: to make one takes as long as a handshake.
SSL_CTX* PeerTls::context(Role role) {
    static const tls::Owned<SSL_CTX> client = [] {
        tls::Owned<SSL_CTX> made(SSL_CTX_new(TLS_client_method()));
        SSL_CTX_set_info_callback(made.get(), on_info);
        return made;
    }();
    static const tls::Owned<SSL_CTX> server = [] {
        tls::Owned<SSL_CTX> made(SSL_CTX_new(TLS_server_method()));
        SSL_CTX_set_info_callback(made.get(), on_info);
        const tls::Identity& own = tls::identity(tls::KeyKind::rsa);
        const tls::Owned<X509> certificate(
            PEM_read_bio_X509(tls::reader(own.chain_pem).get(), nullptr, nullptr, nullptr));
        const tls::Owned<EVP_PKEY> key(
            PEM_read_bio_PrivateKey(tls::reader(own.key_pem).get(), nullptr, nullptr, nullptr));
        SSL_CTX_use_certificate(made.get(), certificate.get());
        SSL_CTX_use_PrivateKey(made.get(), key.get());
        return made;
    }();
    return (role == Role::client ? client : server).get();
}

PeerTls::PeerTls(const PeerTlsOptions& options, Role role)
    : role_(role), ssl_(SSL_new(context(role))), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())) {
    const int version = options.version == tls::Version::tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
    SSL_set_min_proto_version(ssl_.get(), version);
    SSL_set_max_proto_version(ssl_.get(), version);
    SSL_set_app_data(ssl_.get(), this);
    SSL_set1_groups_list(ssl_.get(), options.groups);
    static constexpr unsigned char protocols[] = "\x08http/1.1";
    if (options.alpn) SSL_set_alpn_protos(ssl_.get(), protocols, sizeof protocols - 1);
    if (options.session != nullptr) SSL_set_session(ssl_.get(), options.session);
    BIO_set_mem_eof_return(in_, -1);
    SSL_set_bio(ssl_.get(), in_, out_);
    if (role == Role::client)
        SSL_set_connect_state(ssl_.get());
    else
        SSL_set_accept_state(ssl_.get());
}

void PeerTls::on_info(const SSL* ssl, int where, int value) {
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
        static_cast<PeerTls*>(SSL_get_app_data(ssl))->alert_ = value & 0xff;
}

std::string PeerTls::output() {
    const std::span<const uint8_t> bytes = tls::pending(out_);
    std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    BIO_reset(out_);
    return text;
}

std::string PeerTls::start() {
    if (role_ == Role::server) return {};
    SSL_do_handshake(ssl_.get());
    return output();
}

std::string PeerTls::take(std::span<const uint8_t> bytes, std::string& plaintext) {
    ERR_clear_error();
    BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
    if (!established_ && SSL_do_handshake(ssl_.get()) == 1) {
        established_ = true;
        say_what_waits();
    }
    char buffer[16384];
    while (established_) {
        const int length = SSL_read(ssl_.get(), buffer, sizeof buffer);
        if (length <= 0) break;
        plaintext.append(buffer, static_cast<size_t>(length));
    }
    return output();
}

void PeerTls::say_what_waits() {
    if (!waiting_.empty()) SSL_write(ssl_.get(), waiting_.data(), static_cast<int>(waiting_.size()));
    waiting_.clear();
    if (!close_wanted_ || close_sent_) return;
    SSL_shutdown(ssl_.get());
    close_sent_ = true;
}

std::string PeerTls::seal(std::string_view plaintext) {
    waiting_.append(plaintext);
    if (established_) say_what_waits();
    return output();
}

std::string PeerTls::close() {
    close_wanted_ = true;
    if (established_) say_what_waits();
    return output();
}

std::string PeerTls::key_update(bool ask) {
    if (!established_ || close_sent_ || SSL_version(ssl_.get()) != TLS1_3_VERSION) return {};
    SSL_key_update(ssl_.get(), ask ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    SSL_do_handshake(ssl_.get());
    return output();
}

}  // namespace millrace::sim
