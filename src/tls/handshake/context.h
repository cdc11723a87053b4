// What all handshakes of one listener, or toward one backend, share: certificates and keys, versions, suites, groups,
// protocols, ticket keys. Made once for a configuration, used by the crypto threads; an SSL_CTX of OpenSSL inside,
// which locks for itself. It can only agree on what the record layer moves (record/suite.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tls/handshake/openssl.h"
#include "tls/record/suite.h"

namespace millrace::tls {

/// A certificate with its chain, leaf first, and its private key: PEM, the texts themselves.
struct Identity {
    std::string chain_pem;
    std::string key_pem;
};

struct ContextSettings {
    std::vector<Identity> identities = {};  ///< at most one for each kind of key (RSA, ECDSA); a server needs one
    Version version_min = Version::tls12;
    Version version_max = Version::tls13;
    std::string ciphers12 = {};  ///< OpenSSL's cipher list for TLS 1.2; empty: ECDHE with the AEADs
    std::string suites13 = {};   ///< OpenSSL's names for TLS 1.3, with colons; empty: all three
    std::string groups = {};     ///< OpenSSL's group list; empty: OpenSSL's default
    /// ALPN, by preference (RFC 7301); a server refuses a peer that offers none of them
    std::vector<std::string> protocols = {};
    uint32_t tickets = 1;  ///< session tickets a TLS 1.3 server sends after a full handshake
};

class Context {
  public:
    /// Null, with a reason that names what is wrong, when OpenSSL takes something not, or when a cipher list allows
    /// more than AEADs or nothing at all.
    static std::unique_ptr<Context> server(const ContextSettings& settings, std::string& error);
    /// Trusts nobody until trust() is told whom.
    static std::unique_ptr<Context> client(const ContextSettings& settings, std::string& error);

    /// Peers must have a certificate that a CA of this PEM text has signed. A server asks its clients for one.
    bool trust(const std::string& ca_pem, std::string& error);
    /// A client that takes any certificate.
    void trust_anybody();

    bool is_server() const { return is_server_; }
    SSL_CTX* get() const { return context_.get(); }

  private:
    Context(SSL_CTX* context, bool is_server, std::vector<uint8_t> protocols)
        : context_(context), is_server_(is_server), protocols_(std::move(protocols)) {}
    static std::unique_ptr<Context> make(const ContextSettings& settings, bool is_server, std::string& error);
    static int select_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_length, const unsigned char* in,
                               unsigned in_length, void* self);

    Owned<SSL_CTX> context_;
    bool is_server_;
    std::vector<uint8_t> protocols_;  ///< in the wire's form: each with its length before it
};

}  // namespace millrace::tls
