// What handshakes with the servers of one backend share: the context, the names that servers are verified by, and of
// each server a session that later handshakes resume. Made anew with each context, so that no session outlives what it
// was verified by. Used by all crypto threads; it locks for itself.
//
// A session is taken when there is none, when the server did not accept it, and when it is ten minutes old; by one
// handshake at a time for each server. In TLS 1.2 it is there when the handshake is done; in TLS 1.3 the ticket comes
// behind it, and that handshake stays until it has come.
//
//   harvest() says true ──► store(), or give_up()
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <millrace/address.h>

#include "tls/handshake/context.h"
#include "tls/handshake/openssl.h"

namespace millrace::tls {

/// Whom a handshake of our own is with.
struct ServerPeer {
    uint16_t server_slot;
    IpAddress address;
};

class Servers {
  public:
    struct Settings {
        std::string backend = {};      ///< for the log
        std::string server_name = {};  ///< of all certificates; empty: each server's host, or else its address
        bool resume = true;
    };
    struct Server {
        std::string name = {};  ///< for the log
        std::string host = {};  ///< empty: it has an address alone
    };

    /// `context` is a client's.
    explicit Servers(std::shared_ptr<const Context> context) : Servers(std::move(context), Settings{}) {}
    Servers(std::shared_ptr<const Context> context, Settings settings);

    /// Tells of a server, unless its slot is known already.
    void know(uint16_t slot, const Server& server);

    const std::shared_ptr<const Context>& context() const { return context_; }
    /// What its certificate must be for (HandshakeSettings).
    std::string name_of(const ServerPeer& peer) const;
    /// To be resumed: a copy, since OpenSSL does not lock it. Null without one.
    Owned<SSL_SESSION> session(const ServerPeer& peer) const;

    /// A handshake is done: is its session wanted? `refused_ns`: when the session was offered that the server did not
    /// accept. Times are of the monotonic clock.
    bool harvest(const ServerPeer& peer, std::optional<uint64_t> refused_ns, uint64_t now_ns);
    void store(const ServerPeer& peer, Owned<SSL_SESSION> session, uint64_t now_ns);
    /// There was none. Before `again_ns` no other one looks for it.
    void give_up(const ServerPeer& peer, uint64_t again_ns);

    /// A handshake has failed. Returns a line for the log; nothing when there was one within the second.
    std::optional<std::string> failed(const ServerPeer& peer, const std::string& error, uint64_t now_ns);

  private:
    struct Known {
        Server server = {};
        IpAddress address = {};  // what follows is of the server that has it
        Owned<SSL_SESSION> session = nullptr;
        uint64_t stored_ns = 0;
        uint64_t due_ns = 0;   // before that no other session is wanted
        bool awaited = false;  // a handshake has promised one
    };
    const Known* find(const ServerPeer& peer) const;
    Known* find(const ServerPeer& peer);

    const std::shared_ptr<const Context> context_;
    const Settings settings_;
    mutable std::mutex mutex_;
    std::map<uint16_t, Known> known_;  // by slot
    uint64_t untold_ = 0;              // failures since the last line
    uint64_t tell_at_ns_ = 0;
};

}  // namespace millrace::tls
