// OpenSSL as a client's end of TLS, over memory, under a Peer of the simulated network: plaintext above, records below.
// What is said before the handshake is done waits until it is. RSA certificates and fixed lists keep every message at
// the same length, so that a seed repeats itself.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tls/handshake/context.h"
#include "tls/handshake/openssl.h"

namespace millrace::sim {

struct ClientTlsOptions {
    tls::Version version = tls::Version::tls13;
    bool alpn = false;               ///< offers http/1.1
    SSL_SESSION* session = nullptr;  ///< to resume
    const char* groups = "X25519";
};

/// What the simulated balancer serves with.
std::shared_ptr<const tls::Context> simulated_server_context();

class ClientTls {
  public:
    explicit ClientTls(const ClientTlsOptions& options);

    /// Each returns what is to be sent now.
    std::string start();
    std::string take(std::span<const uint8_t> bytes, std::string& plaintext);
    std::string seal(std::string_view plaintext);
    std::string close();  ///< a close_notify behind everything
    std::string key_update(bool ask);

    bool established() const { return established_; }
    bool close_sent() const { return close_sent_; }
    bool notified() const { return SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN; }
    /// The number of the latest alert that came, or -1.
    int alert() const { return alert_; }
    SSL* ssl() { return ssl_.get(); }

  private:
    std::string output();
    void say_what_waits();
    static void on_info(const SSL* ssl, int where, int value);

    tls::Owned<SSL_CTX> context_;
    tls::Owned<SSL> ssl_;
    BIO *in_, *out_;
    std::string waiting_;
    bool established_ = false, close_wanted_ = false, close_sent_ = false;
    int alert_ = -1;
};

}  // namespace millrace::sim
