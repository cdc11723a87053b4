// The owner of the stack in a segment script: one host with Millrace's own TCP, driven as the dataplane drives it
// (receive or deadline, then one flush at the same instant), in virtual time. Frames in, packets out, connections as
// objects. It checks every payload byte both ways; what is wrong is collected as violations. The calls of the sockets
// interface are sockets.h's.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "dataplane/store/chunk_store.h"
#include "dataplane/tcp/context.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/half_open.h"
#include "dataplane/tcp/time_wait.h"
#include "dataplane/wire/frame.h"
#include "tests/tools/segment_script/packet.h"

namespace millrace::script {

struct HostSettings {
    tcp::Options tcp;
    IpAddress local{};
    IpAddress remote{};
    TimeUs start = 5'000'000'000;  ///< the clock when the script begins
};

/// What the peer's stream holds at a sequence number, as it stands on the wire.
inline uint8_t stream_byte(uint32_t seq) {
    return static_cast<uint8_t>(seq * 31 + seq / 256);
}

struct Connection {
    tcp::EndpointHot hot{};
    tcp::EndpointWarm warm{};
    bool live = true;  ///< the stack knows it
    bool established = false;
    bool peer_fin = false;
    bool orphan = false;  ///< closed by its owner: nobody reads
    uint16_t accepted_on = 0;
    std::string error;  ///< errno's name of what ended it, until a call has reported it
    uint32_t receive_buffer_bytes = 0;
    std::vector<uint8_t> received;  ///< not read yet
    std::string written;            ///< everything ever queued
    tcp::Seq iss;
    KeepaliveRecord keepalive{};  ///< idle_s 0: none

    tcp::Endpoint endpoint() { return {hot, warm}; }
};
using ConnectionPtr = std::shared_ptr<Connection>;

struct SentPacket {
    TimeUs at;
    Packet packet;
};

class Host {
  public:
    explicit Host(const HostSettings& settings);

    TimeUs now() const { return now_; }
    /// Does what is due next, if that is at or before `until`; else moves the clock there and returns false.
    bool run_next(TimeUs until);

    void receive(std::span<const uint8_t> frame);
    /// The stack holds state of the tuple, TIME_WAIT not counted: a SYN would not begin a connection.
    bool knows(uint16_t local_port, uint16_t remote_port);

    void listen(uint16_t port) { listening_.insert(port); }
    void stop_listening(uint16_t port) { listening_.erase(port); }
    bool listening(uint16_t port) const { return listening_.contains(port); }
    /// The oldest established connection of a listener that nobody has taken; null when there is none.
    ConnectionPtr accept(uint16_t port);
    /// Null when the tuple is in use.
    ConnectionPtr connect(uint16_t local_port, uint16_t remote_port);
    size_t send(Connection& connection, std::string_view bytes);
    void shutdown_send(Connection& connection);
    /// Takes up to `bytes` from the front of what was received.
    size_t read(Connection& connection, size_t bytes, bool peek);
    /// No more calls will come. Unread data resets the connection (RFC 9293 §3.6.1, the note of RFC 1122).
    void close(Connection& connection);
    void abort(Connection& connection);

    std::deque<SentPacket>& sent() { return sent_; }
    const std::vector<std::string>& violations() const { return violations_; }
    const HostSettings& settings() const { return settings_; }

  private:
    tcp::Context context() { return {chunks_, settings_.tcp, counters_, secrets_, budgets_, now_}; }
    tcp::Tuple tuple(uint16_t local_port, uint16_t remote_port) const;
    ConnectionPtr find(uint16_t local_port, uint16_t remote_port);
    ConnectionPtr add_connection();
    void establish(const tcp::HalfOpen& agreed, const wire::TcpSegment& segment);
    void on_segment(const wire::TcpSegment& segment);
    void on_icmp_error(const wire::IcmpError& error);
    void keep_alive(Connection& connection);
    void on_segment_without_connection(const wire::TcpSegment& segment);
    void on_connection_segment(Connection& connection, const wire::TcpSegment& segment);
    void on_events(Connection& connection, const tcp::Events& events, tcp::State before);
    void end(Connection& connection, const char* error);
    void flush(Connection& connection);
    void transmit(const wire::OutboundSegment& segment);
    void check_payload(const Connection& connection, const wire::OutboundSegment& segment);
    uint32_t receive_space(const Connection& connection) const;

    HostSettings settings_;
    std::unique_ptr<std::byte, void (*)(void*)> arena_;
    store::ChunkStore chunks_;
    tcp::Counters counters_;
    tcp::Secrets secrets_;
    tcp::Budgets budgets_;
    std::vector<tcp::HalfOpen> half_open_memory_;
    std::vector<tcp::TimeWait> time_wait_memory_;
    tcp::HalfOpenTable half_open_;
    tcp::TimeWaitTable time_wait_;
    std::set<uint16_t> listening_;
    std::vector<ConnectionPtr> connections_;
    std::deque<ConnectionPtr> to_accept_;
    std::deque<SentPacket> sent_;
    std::vector<std::string> violations_;
    TimeUs now_;
    TimeUs half_open_poll_at_ = 0;
    TimeUs keepalive_poll_at_ = 0;
    uint32_t idle_rounds_ = 0;  ///< deadlines in a row that moved neither the clock nor a segment
};

/// The clock at which the stack gives a connection of the tuple the initial sequence number `iss`.
TimeUs clock_for_iss(const tcp::Tuple& tuple, uint32_t iss);

}  // namespace millrace::script
