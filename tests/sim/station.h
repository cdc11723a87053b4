// A host of the simulated network whose connections a test drives: each is a Peer that collects what it receives, keeps
// what does not fit into the send queue yet, and tells the test of every change. Single-threaded, virtual time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/sim/balancer.h"
#include "tests/sim/host.h"
#include "tests/sim/peer_tls.h"

namespace millrace::sim {

class Station;

/// One connection of a station, from the beginning to after its end.
class Peer {
  public:
    Peer(Station& station, SocketId socket, uint16_t port) : station_(station), socket_(socket), port_(port) {}

    void send(std::string_view bytes);
    /// Under TLS: of a client, bytes that are no record or none of its own.
    void send_raw(std::string_view bytes);
    void key_update(bool ask);
    void truncate();  ///< a FIN without a close_notify
    void shutdown();  ///< FIN behind everything that was sent
    void abort();     ///< RST now
    void pause();     ///< stops reading
    void resume();
    uint16_t port() const { return port_; }  ///< ours, when we opened it
    bool established() const { return open_ && !end_; }
    /// True the first time only: for a handler that must act once.
    bool once() { return !std::exchange(acted_, true); }

    std::string received;
    bool fin = false;  ///< the other side's
    std::optional<End> end_;
    bool open_ = false;
    bool aborted = false;
    std::unique_ptr<PeerTls> tls;  ///< with TLS: `received` is what it has opened
    /// Called after every change, also after this end's own doing.
    std::function<void(Peer&)> on_change;

  private:
    friend class Station;
    void push();

    Station& station_;
    SocketId socket_;
    uint16_t port_;
    std::string outgoing_;
    size_t queued_ = 0;  // bytes of it that the host has taken
    bool finish_ = false, finished_ = false, acted_ = false, truncated_ = false;
};

struct StationOptions {
    uint8_t number = 1;   ///< last byte of MAC and address
    bool server = false;  ///< address 198.18.2.number instead of 198.18.1.number
    bool v6 = false;      ///< 2001:db8::2:number and 2001:db8::1:number
    uint64_t seed = 1;
    LinkOptions link;
    tcp::Options tcp;
    uint32_t receive_buffer_bytes = 65535;
    uint32_t send_queue_bytes = 65535;
};

class Station : public Application {
  public:
    Station(Network& network, const StationOptions& options);

    using Handler = std::function<void(Peer&)>;
    /// From now on connections to the port are accepted; `handler` is called for each at every change.
    void listen(uint16_t port, Handler handler);
    /// The same with TLS.
    void listen_tls(uint16_t port, const PeerTlsOptions& options, Handler handler);
    /// Starts a connection to the balancer.
    Peer& connect(uint16_t port, Handler on_change = {}, const IpAddress& to = balancer_v4);
    /// The same with TLS.
    Peer& connect_tls(uint16_t port, const PeerTlsOptions& options = {}, Handler on_change = {},
                      const IpAddress& to = balancer_v4);

    const IpAddress& address() const { return address_; }
    MacAddress mac() const { return mac_; }
    Host& host() { return *host_; }
    /// Every connection that there was, in order.
    const std::vector<std::unique_ptr<Peer>>& peers() const { return peers_; }

    static IpAddress address_of(bool server, uint8_t number, bool v6 = false);

  private:
    friend class Peer;
    Peer* peer(SocketId id);
    void changed(Peer& peer);
    void on_open(Host&, SocketId id) override;
    void on_data(Host&, SocketId id, std::span<const uint8_t> bytes) override;
    void on_writable(Host&, SocketId id) override;
    void on_peer_fin(Host&, SocketId id) override;
    void on_end(Host&, SocketId id, End how) override;

    MacAddress mac_;
    IpAddress address_;
    std::unique_ptr<Host> host_;
    Handler handler_;
    std::optional<PeerTlsOptions> accepts_tls_;
    uint16_t next_port_ = 20000;
    std::map<SocketId, Peer*> by_socket_;
    std::vector<std::unique_ptr<Peer>> peers_;
};

}  // namespace millrace::sim
