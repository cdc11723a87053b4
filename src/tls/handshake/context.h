// What all handshakes of one listener, or toward one backend, share: certificates and keys, versions, suites, groups,
// protocols, ticket keys. Made once for a configuration, used by the crypto threads; OpenSSL's SSL_CTX inside, one for
// each set of names that certificates are for, which lock for themselves. It can only agree on what the record layer
// moves (record/suite.h).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tls/handshake/openssl.h"
#include "tls/handshake/ticket_keys.h"
#include "tls/record/suite.h"

namespace millrace::tls {

/// A certificate with its chain, leaf first, and its private key: PEM, the texts themselves.
struct Identity {
    std::string chain_pem;
    std::string key_pem;
    std::string ocsp_der = {};  ///< stapled (RFC 6066 §8) for clients that ask; empty: none
};

enum class ClientCertificates : uint8_t { off, optional, required };

struct ContextSettings {
    /// Of each set of names at most one for each kind of key (RSA, ECDSA). A server needs one; the first ones' set is
    /// for clients that name no host (RFC 6066 §3), or one that no certificate is for.
    std::vector<Identity> identities = {};
    Version version_min = Version::tls12;
    Version version_max = Version::tls13;
    std::string ciphers12 = {};  ///< OpenSSL's cipher list for TLS 1.2; empty: ECDHE with the AEADs
    std::string suites13 = {};   ///< OpenSSL's names for TLS 1.3, with colons; empty: all three
    std::string groups = {};     ///< OpenSSL's group list; empty: OpenSSL's default
    /// ALPN, by preference (RFC 7301); a server refuses a peer that offers none of them
    std::vector<std::string> protocols = {};
    uint32_t tickets = 1;  ///< session tickets a TLS 1.3 server sends after a full handshake; 0: none, in TLS 1.2 too
    // A server's:
    ClientCertificates client_certificates = ClientCertificates::off;
    std::string client_ca_pem = {};                     ///< who signs them
    std::string session_scope = {};                     ///< sessions are resumed only where it is the same
    std::shared_ptr<TicketKeys> ticket_keys = nullptr;  ///< null: keys of its own
};

class Context {
  public:
    /// Null, with a reason that names what is wrong, when OpenSSL takes something not, or when a cipher list allows
    /// more than AEADs or nothing at all.
    static std::unique_ptr<Context> server(const ContextSettings& settings, std::string& error);
    /// Trusts nobody until trust() is told whom.
    static std::unique_ptr<Context> client(const ContextSettings& settings, std::string& error);

    /// A server must have a certificate that a CA of this PEM text has signed.
    bool trust(const std::string& ca_pem, std::string& error);
    /// A client that takes any certificate.
    void trust_anybody();

    bool is_server() const { return is_server_; }
    /// What a handshake begins with.
    SSL_CTX* get() const { return sets_.front().context.get(); }

  private:
    Context(bool is_server, std::vector<uint8_t> protocols) : is_server_(is_server), protocols_(std::move(protocols)) {}
    static std::unique_ptr<Context> make(const ContextSettings& settings, bool is_server, std::string& error);
    static bool configure(SSL_CTX* context, const ContextSettings& settings, std::string& error);
    bool add_identity(const Identity& identity, const ContextSettings& settings, std::string& error);
    SSL_CTX* add_set(const ContextSettings& settings, std::string& error);
    SSL_CTX* set_for(std::string host) const;
    static int select_set(SSL* ssl, int* alert, void* self);
    static int staple(SSL* ssl, void* self);
    static int select_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_length, const unsigned char* in,
                               unsigned in_length, void* self);

    // Certificates for the same names.
    struct Set {
        Owned<SSL_CTX> context;
        std::vector<std::string> names = {};
        std::vector<int> kinds = {};  // of their keys
    };

    bool is_server_;
    std::vector<uint8_t> protocols_;  // in the wire's form: each with its length before it
    std::shared_ptr<TicketKeys> ticket_keys_;
    std::vector<Set> sets_;                         // a client's: one
    std::map<std::string, SSL_CTX*> by_name_;       // the first set that has it; "*.example.com" too
    std::map<const X509*, std::string> ocsp_ders_;  // by leaf
};

}  // namespace millrace::tls
