// One handshake in progress, either role: an SSL object of OpenSSL between two memory BIOs. Bytes of the peer go in,
// bytes to send come out; when it is done, hand_over() gives what the record layer goes on with, and the object can be
// freed. Runs on a crypto thread, one thread at a time; it allocates, and takes up to a millisecond a step.
//
//   under_way ── step() ──► done ── hand_over() ──► Slot + bytes that came behind the handshake
//       └──────────────────► failed (what it has put out is an alert; error() says why)
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tls/handshake/context.h"
#include "tls/handshake/openssl.h"
#include "tls/record/crypto.h"
#include "tls/record/slot.h"
#include "tls/record/tally.h"

namespace millrace::tls {

struct HandshakeSettings {
    /// a client's: what the server's certificate must be for, a host name, which is sent as SNI, or an address, which
    /// is not (RFC 6066 §3); may be empty
    std::string server_name = {};
    SSL_SESSION* session = nullptr;       ///< a client's: of an earlier handshake with this server, to be resumed
    size_t bytes_max = size_t{64} << 10;  ///< that the peer may send until it is done
};

class Handshake {
  public:
    enum class State : uint8_t { under_way, done, failed };

    /// Keeps the context, which may be replaced meanwhile. Counts alerts in `tally`, if there is one.
    Handshake(std::shared_ptr<const Context> context, const HandshakeSettings& settings, Tally* tally = nullptr);
    Handshake(const Handshake&) = delete;
    Handshake& operator=(const Handshake&) = delete;
    ~Handshake();

    /// Goes on as far as the bytes reach, and appends what is to be sent to `out`. A client's first call has none.
    State step(Bytes in, std::vector<uint8_t>& out);

    State state() const { return state_; }
    /// Why it failed, or can't be handed over, for the log; no bytes of the peer in it.
    const std::string& error() const { return error_; }

    /// Once done: fills the slot with keys and numbers, and gives the bytes behind the handshake, which are records
    /// that nobody has opened yet, the last perhaps not whole. False when OpenSSL agreed on what can't be handed over.
    /// The object is of no further use, and a later resumption stays possible.
    bool hand_over(Crypto& crypto, Slot& slot, std::vector<uint8_t>& leftover);

    // A client's, for a later resumption. In TLS 1.3 the ticket comes behind the handshake (RFC 8446 §4.6.1): who wants
    // it has the SSL object stay, and shows it what comes, which the record layer opens all the same.

    /// The session as it is now, null when it can't be resumed. Not behind hand_over() without stay().
    Owned<SSL_SESSION> session() const;
    /// Before hand_over(): the SSL object stays.
    void stay() { stays_ = true; }
    bool stays() const { return stays_; }
    /// After it: reads what came behind the leftover, and forgets all but tickets.
    void read_along(Bytes records);

    // Once done, and until it is handed over:
    Version version() const;
    std::string_view cipher() const;    ///< OpenSSL's name
    std::string_view group() const;     ///< of the key exchange; empty when it was resumed without one
    std::string_view protocol() const;  ///< by ALPN, or empty
    size_t suite_number() const;        ///< suite_index
    bool resumed() const;
    std::string peer_subject() const;  ///< of the peer's certificate (RFC 2253), or empty

    /// Installs the callbacks that handshakes need; Context does so for each SSL_CTX.
    static void prepare(SSL_CTX* context);

  private:
    void expect(const std::string& server_name);
    static void on_key_log(const SSL* ssl, const char* line);
    static void on_info(const SSL* ssl, int where, int value);
    static void on_message(int written, int version, int type, const void* bytes, size_t length, SSL* ssl, void* self);
    void take_secret(std::string_view line);
    void take_output(std::vector<uint8_t>& out);
    void end();
    void note_explicit_nonce(Bytes records);
    bool suite(Suite& suite) const;
    bool hand_over_tls13(Crypto& crypto, Slot& slot) const;
    bool hand_over_tls12(Slot& slot) const;

    std::shared_ptr<const Context> context_;
    Tally* tally_;
    Owned<SSL> ssl_;
    BIO* in_;  // the SSL object's own
    BIO* out_;
    bool is_server_;
    bool stays_ = false;
    State state_ = State::under_way;
    size_t bytes_left_;
    std::string error_;

    // TLS 1.3: both application traffic secrets, and how many records we have sealed under ours.
    struct Secret {
        std::array<uint8_t, hash_bytes_max> bytes;
        size_t length = 0;
    };
    Secret client_secret_, server_secret_;
    uint64_t written_ = 0;
    // TLS 1.2 with AES-GCM: the explicit nonce of our Finished, record 0 under the keys.
    bool cipher_changed_ = false, nonce_seen_ = false;
    std::array<uint8_t, 8> explicit_nonce_{};
};

}  // namespace millrace::tls
