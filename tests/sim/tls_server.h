// A WebSocket server with TLS on a simulated host, for clients of the load generator that come to it without a
// balancer: OpenSSL's records, an answer to the upgrade and one to each request. What else it does is up to the test.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "load/message_reader.h"
#include "tests/sim/host.h"
#include "tests/unit/tls/handshake/peer.h"

namespace millrace::sim {

/// One connection.
class TlsSession {
  public:
    TlsSession(Host& host, SocketId socket, tls::Version version);

    void take(std::span<const uint8_t> bytes);
    void write(std::string_view text);
    /// Sends what OpenSSL has put out, with `change` done to it.
    void flush(const std::function<void(tls::Buffer&)>& change = {});
    /// Tickets are sealed and opened with it; one server has the same for all.
    void use_ticket_key(unsigned char key);
    /// In TLS 1.3: says it at once behind the handshake's first flight, before the client's Finished.
    void write_early(std::string_view text) { early_ = text; }
    SSL* ssl() { return peer_.ssl(); }

    bool upgraded = false, fin = false;
    int key_updates = 0;  ///< of the client
    int alert = -1;       ///< the client's latest

  private:
    void say_early();
    void read_request();
    static void on_message(int written, int version, int type, const void* bytes, size_t length, SSL* ssl, void* self);
    static void on_info(const SSL* ssl, int where, int value);

    Host& host_;
    SocketId socket_;
    tls::Peer peer_{true};
    std::string head_, early_;
    load::ReaderState reader_{};
};

class TlsServer : public Application {
  public:
    TlsServer(Network& network, tls::Version version);

    static constexpr IpAddress address = IpAddress::v4(198, 18, 0, 9);
    static constexpr uint16_t port = 443;

    /// Called when the upgrade has been answered.
    std::function<void(TlsSession&)> on_upgraded;
    /// Called for each connection before its first byte.
    std::function<void(TlsSession&)> on_connected;
    /// Each that there was.
    std::map<SocketId, std::unique_ptr<TlsSession>> sessions;

  private:
    void on_open(Host& host, SocketId id) override;
    void on_data(Host& host, SocketId id, std::span<const uint8_t> bytes) override;
    void on_peer_fin(Host& host, SocketId id) override;

    tls::Version version_;
    std::unique_ptr<Host> host_;
};

}  // namespace millrace::sim
