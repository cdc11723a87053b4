// The other end in the tests: OpenSSL as anybody uses it, over memory, and the two ends of a connection joined.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pki.h"
#include "tls/handshake/handshake.h"
#include "tls/record/post_handshake.h"

namespace millrace::tls {

using Buffer = std::vector<uint8_t>;

Buffer bytes_of(std::string_view text);

/// An SSL object with its BIOs. The context may be changed before the first step.
class Peer {
  public:
    /// A server has a certificate of either kind, a client none.
    explicit Peer(bool is_server);
    /// Shows this certificate.
    void use(const Identity& own);

    SSL_CTX* context() const { return context_.get(); }
    SSL* ssl();  ///< made at its first use
    void take(Bytes bytes);
    Buffer output();
    /// True when its side of the handshake is done.
    bool step();
    /// What it reads now; at the end of the stream, or of the connection, nothing.
    std::string read();
    void write(std::string_view text);

  private:
    Owned<SSL_CTX> context_;
    bool is_server_;
    Owned<SSL> ssl_;
    BIO *in_ = nullptr, *out_ = nullptr;
};

/// A context of ours that must be possible.
std::shared_ptr<Context> server_context(ContextSettings settings = {});
std::shared_ptr<Context> client_context(ContextSettings settings = {});

/// Our handshake with a peer, and afterwards our records with it.
struct Joined {
    Joined(const std::shared_ptr<const Context>& context, const HandshakeSettings& settings = {});

    /// Both sides until neither has more to say, with the peer's bytes in pieces of at most `piece`.
    Handshake::State shake(size_t piece = SIZE_MAX);
    /// Asserts that it went well, and takes the slot.
    void hand_over();
    /// Everything that the peer has put out, opened: the application data of it. `verdict` is the last one.
    std::string receive();
    void send(std::string_view text);

    Crypto crypto;
    Peer peer;
    Handshake ours;
    Slot slot{};
    Buffer waiting;  ///< records, the last perhaps not whole
    Verdict verdict;
};

}  // namespace millrace::tls
