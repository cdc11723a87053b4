// A host of the simulated network with thousands of connections: the project's own TCP as in host.h, but with a table
// of flows and a queue of timers, so that an event costs what it touches. It reads whatever comes at once. The
// invariants of single connections are host.h's to check. Single-threaded, virtual time.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/store/chunk_store.h"
#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/half_open.h"
#include "dataplane/tcp/time_wait.h"
#include "tests/sim/host.h"

namespace millrace::sim {

class Crowd : public Node {
  public:
    /// What the connections do. All calls happen inside receive() or poll().
    class Conduct {
      public:
        virtual ~Conduct() = default;
        virtual void on_open(SocketId) = 0;
        virtual void on_data(SocketId, std::span<const uint8_t> bytes) = 0;
        virtual void on_fin(SocketId) = 0;       ///< after the last on_data
        virtual void on_end(SocketId, End) = 0;  ///< the connection is gone, but not by our own abort()
    };

    Crowd(const MacAddress& mac, const IpAddress& address, const MacAddress& gateway, uint64_t seed, Conduct& conduct);

    void listen(uint16_t port) { listening_ = port; }
    /// Each from a port of its own, counted from 10000. Numbers of sockets are not used again.
    SocketId connect(const IpAddress& peer, uint16_t port);
    /// All of it, as long as there is memory.
    void send(SocketId id, std::string_view bytes);
    void shutdown(SocketId id);
    void abort(SocketId id);
    bool is_open(SocketId id) const { return sockets_[id].in_use; }
    /// Calls `act` at that time, or in the next poll if it is past.
    void at(TimeUs time, std::function<void()> act);

    void receive(std::span<const uint8_t> frame, TimeUs now) override;
    std::optional<TimeUs> next_deadline(TimeUs now) override;
    void poll(TimeUs now, const FrameSink& send) override;

    TimeUs now() const { return now_; }
    /// Why what was seen can't be believed; empty, when all is well.
    const std::string& trouble() const { return trouble_; }

  private:
    struct Socket {
        tcp::EndpointHot hot{};
        tcp::EndpointWarm warm{};
        bool in_use = true, dirty = false;
        TimeUs deadline = 0;  // the one of its entries in timers_ that counts
    };
    struct Act {
        TimeUs at;
        uint64_t order;
        std::function<void()> act;
        bool operator>(const Act& other) const { return at != other.at ? at > other.at : order > other.order; }
    };
    using Timer = std::pair<TimeUs, SocketId>;
    template <typename T>
    using Queue = std::priority_queue<T, std::vector<T>, std::greater<>>;

    tcp::Context context() { return {chunks_, options_, counters_, secrets_, budgets_, now_}; }
    tcp::Endpoint endpoint(Socket& socket) { return {socket.hot, socket.warm}; }
    static uint64_t flow(const IpAddress& peer, uint16_t peer_port, uint16_t local_port);
    SocketId new_socket();
    void enter(SocketId id);
    void leave(SocketId id);
    void touch(SocketId id);
    void on_segment(const wire::TcpSegment& segment);
    void on_unknown(const wire::TcpSegment& segment);
    void establish(const tcp::HalfOpen& entry, const wire::TcpSegment& segment);
    void on_socket_segment(SocketId id, const wire::TcpSegment& segment);
    void on_events(SocketId id, const tcp::Events& events);
    void end(SocketId id, End how);
    void flush(SocketId id, uint32_t credit);
    void transmit(const wire::OutboundSegment& segment);

    MacAddress mac_, gateway_;
    IpAddress address_;
    Conduct& conduct_;
    std::unique_ptr<std::byte, void (*)(std::byte*)> arena_;
    store::ChunkStore chunks_;
    tcp::Options options_;
    tcp::Counters counters_;
    tcp::Secrets secrets_;
    tcp::Budgets budgets_;
    std::vector<tcp::HalfOpen> half_open_memory_;
    std::vector<tcp::TimeWait> time_wait_memory_;
    tcp::HalfOpenTable half_open_;
    tcp::TimeWaitTable time_wait_;
    std::optional<uint16_t> listening_;
    uint16_t next_port_ = 10000;
    std::deque<Socket> sockets_;
    std::unordered_map<uint64_t, SocketId> flows_;
    std::vector<SocketId> dirty_;
    Queue<Timer> timers_;
    Queue<Act> acts_;
    uint64_t order_ = 0;
    std::vector<uint8_t> got_;
    std::vector<std::vector<uint8_t>> outgoing_;
    std::string trouble_;
    TimeUs now_ = 0;
    TimeUs half_open_poll_at_ = 0;
};

}  // namespace millrace::sim
