// OpenSSL as a peer's end of TLS, over memory, under a Peer of the simulated network: plaintext above, records below.
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

struct PeerTlsOptions {
    tls::Version version = tls::Version::tls13;
    // A client's:
    bool alpn = false;               ///< offers http/1.1
    SSL_SESSION* session = nullptr;  ///< to resume
    const char* groups = "X25519";
};

/// What the simulated balancer serves with, and what it knows its servers by.
std::shared_ptr<const tls::Context> simulated_server_context();
std::shared_ptr<const tls::Context> simulated_client_context();

enum class Role : uint8_t { client, server };

class PeerTls {
  public:
    explicit PeerTls(const PeerTlsOptions& options, Role role = Role::client);

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
    static SSL_CTX* context(Role role);

    const Role role_;
    tls::Owned<SSL> ssl_;
    BIO *in_, *out_;
    std::string waiting_;
    bool established_ = false, close_wanted_ = false, close_sent_ = false;
    int alert_ = -1;
};

}  // namespace millrace::sim
