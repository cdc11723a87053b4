// A simulated host: the project's own TCP under a small sockets-like interface, as one Node of the simulated network.
// It plays clients and servers; Endpoints lie in a plain array. After every event it checks the invariants of each
// connection and collects what is violated. Single-threaded, virtual time.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "dataplane/store/chunk_store.h"
#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/half_open.h"
#include "dataplane/tcp/time_wait.h"
#include "dataplane/wire/frame.h"
#include "tests/sim/network.h"

namespace millrace::sim {

class Host;
using SocketId = size_t;

enum class End : uint8_t { closed, reset, refused, timed_out };

/// What runs on a host. All calls happen inside receive() or poll() of the host.
class Application {
  public:
    virtual ~Application() = default;
    virtual void on_open(Host&, SocketId) {}
    virtual void on_data(Host&, SocketId, std::span<const uint8_t>) {}
    virtual void on_writable(Host&, SocketId) {}  ///< bytes left the send queue
    virtual void on_peer_fin(Host&, SocketId) {}  ///< after the last on_data
    virtual void on_end(Host&, SocketId, End) {}  ///< the socket is gone
};

struct HostOptions {
    MacAddress mac;
    IpAddress address;
    MacAddress gateway;  ///< where every frame is sent
    tcp::Options tcp;
    size_t arena_bytes = 4 << 20;
    uint32_t receive_buffer_bytes = 65535;  ///< per socket, filled while the application does not read
    uint32_t send_queue_bytes = 65535;      ///< per socket
    uint32_t credit_max = 64;               ///< segments per poll and socket: random up to credit_max (>= 1)
    bool erratic_space = false;             ///< each flush is told of any part of the free receive buffer
    std::optional<tcp::Seq> iss_near;       ///< initial sequence numbers begin within 2^18 before this
    uint64_t seed = 1;
};

class Host : public Node {
  public:
    Host(const HostOptions& options, Application& application);

    /// Chooses secrets for options.iss_near, for a connection of this tuple at about `now`.
    void prepare(const tcp::Tuple& tuple, TimeUs now);
    void listen(uint16_t port) { listening_.insert(port); }
    void stop_listening(uint16_t port) { listening_.erase(port); }
    SocketId connect(const IpAddress& peer, uint16_t peer_port, uint16_t local_port);
    /// Queues bytes; fewer than given when the queue is full.
    size_t send(SocketId id, std::span<const uint8_t> bytes);
    void shutdown(SocketId id);
    void abort(SocketId id);
    /// While false, incoming bytes stay in the receive buffer and the window closes.
    void set_reading(SocketId id, bool reading);
    /// The process dies and a new one takes over what lies in memory: records, chunks, TIME_WAIT entries, secrets.
    /// Lists of the store are rebuilt from the records, half-open connections are lost.
    void restart();
    /// Stops and resumes handing bytes to sockets: models memory that runs out although the window was promised.
    void set_refusing(bool refusing) { refusing_ = refusing; }

    void receive(std::span<const uint8_t> frame, TimeUs now) override;
    std::optional<TimeUs> next_deadline(TimeUs now) override;
    void poll(TimeUs now, const FrameSink& send) override;

    /// Checks every invariant; violations are collected, each with the time.
    void check(TimeUs now);

    const std::vector<std::string>& violations() const { return violations_; }
    const tcp::Counters& counters() const { return counters_; }
    uint64_t chunk_bytes() const { return chunks_.bytes_in_use(); }
    size_t open_sockets() const;
    size_t half_open() const { return half_open_.size(); }
    const tcp::EndpointHot& hot(SocketId id) const { return sockets_[id].hot; }
    const tcp::EndpointWarm& warm(SocketId id) const { return sockets_[id].warm; }

  private:
    struct Socket {
        tcp::EndpointHot hot{};
        tcp::EndpointWarm warm{};
        bool in_use = false;
        bool dirty = false;
        bool reading = true;
        bool fin_pending = false;  ///< the peer's FIN waits behind buffered bytes
        std::deque<uint8_t> buffered;
        // What was seen before, for the invariants that compare.
        tcp::Seq last_una, last_rcv_nxt, last_rcv_adv, peer_edge, edge_shown;
        bool edges_known = false;
    };

    tcp::Context context() { return {chunks_, options_.tcp, counters_, secrets_, budgets_, now_}; }
    tcp::Endpoint endpoint(Socket& socket) { return {socket.hot, socket.warm}; }
    SocketId new_socket();
    SocketId find(const wire::TcpSegment& segment) const;

    void on_segment(const wire::TcpSegment& segment);
    void on_segment_without_socket(const wire::TcpSegment& segment);
    void on_socket_segment(SocketId id, const wire::TcpSegment& segment);
    void on_events(SocketId id, const tcp::Events& events);
    void end(SocketId id, End how);
    void hand_over(SocketId id);
    void flush(SocketId id, uint32_t credit_min = 0);
    uint32_t receive_space(const Socket& socket) const;
    void transmit(const wire::OutboundSegment& segment);
    void check_outgoing(Socket& socket, const wire::OutboundSegment& segment);
    void check_socket(SocketId id, Socket& socket, uint64_t& chunk_bytes);
    void check_send_queue(SocketId id, Socket& socket, uint64_t& chunk_bytes);
    void expect(bool holds, SocketId id, const char* what);

    HostOptions options_;
    Application& application_;
    Random random_;
    std::unique_ptr<std::byte, void (*)(std::byte*)> arena_;
    store::ChunkStore chunks_;
    tcp::Counters counters_;
    tcp::Secrets secrets_;
    tcp::Budgets budgets_;
    std::vector<tcp::HalfOpen> half_open_memory_;
    std::vector<tcp::TimeWait> time_wait_memory_;
    tcp::HalfOpenTable half_open_;
    tcp::TimeWaitTable time_wait_;
    std::set<uint16_t> listening_;
    std::vector<Socket> sockets_;
    std::vector<std::vector<uint8_t>> outgoing_;  ///< frames for the next poll
    std::vector<std::string> violations_;
    TimeUs now_ = 0;
    TimeUs retry_at_ = 0;  ///< when sockets that had no credit are flushed again; 0: none
    TimeUs half_open_poll_at_ = 0;
    bool refusing_ = false;
};

}  // namespace millrace::sim
