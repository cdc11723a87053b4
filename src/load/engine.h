// The load generator's engine: both ends of its connections, on Millrace's TCP stack. The client's end opens
// connections from a pool of addresses and ports, sends the upgrade and checks the 101; the server's end listens,
// checks the request and answers; then both exchange messages (message.h), of which every one is accounted for
// (ledger.h). When something is to be sent is not decided here: that is the Observer's part (a workload).
//
//   engine.cpp          segments in: which connection they belong to, and what they bring
//   engine_open.cpp     new connections, handshakes, TIME_WAIT
//   engine_upgrade.cpp  requests and answers
//   engine_tls.cpp      between TCP and what the clients say, with TLS: handshakes, records, alerts
//   engine_flush.cpp    segments out, timers, ends
//
// Sans-I/O: frames come as bytes and leave through net::IpLayer, time is an argument. One instance, one thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/config/runtime_config.h"
#include "dataplane/http/accept_key.h"
#include "dataplane/net/frame_io.h"
#include "dataplane/net/ip_layer.h"
#include "dataplane/tcp/context.h"
#include "dataplane/wire/frame.h"
#include "load/ledger.h"
#include "load/message_reader.h"
#include "load/settings.h"
#include "load/tables.h"
#include "load/tls_unit.h"

namespace millrace::load {

/// How a connection ended.
enum class End : uint8_t {
    closed,       ///< as close() asked
    refused,      ///< the SYN was answered with a reset
    timed_out,    ///< the peer does not answer any more
    reset,        ///< by the peer
    peer_closed,  ///< by the peer, in order
    bad_answer,   ///< what came is no upgrade, or no WebSocket
    tls_failed,   ///< no TLS was agreed on, or what came is none
};

/// Whom the engine tells what happens. Called within receive() and poll(); every call may use the engine.
class Observer {
  public:
    virtual ~Observer() = default;
    /// Messages can be sent on it now.
    virtual void on_upgraded(Ref ref) = 0;
    /// A sound message that was expected. Requests that the server's end answered by itself are told, too.
    virtual void on_message(Ref ref, const Message& message) = 0;
    /// Some of what was sent has been acknowledged.
    virtual void on_acknowledged(Ref ref) = 0;
    /// Once for each connection that was opened or upgraded; it is as good as gone.
    virtual void on_end(Ref ref, End end) = 0;
};

enum class OpenResult : uint8_t {
    opened,
    no_tuple,  ///< every address and port is in use toward every target
    full,      ///< no record is left
};

class Engine {
  public:
    Engine(const Settings& settings, const config::RuntimeConfig& config, net::FrameSink& sink,
           std::vector<MacAddress> macs, Tables& tables, Observer& observer);

    void receive(std::span<const net::InboundFrame> frames, TimeUs now);
    /// Timers, and everything that is ready to be sent. True when there was something to do.
    bool poll(TimeUs now);

    /// Opens a connection of the clients. `transient`: the server shall not push to it.
    OpenResult open(uint32_t id, bool transient);
    /// Sends a message on an open connection; `token` comes back with a reply. False when memory is short or the
    /// connection is not open.
    bool send(Ref ref, Kind kind, uint32_t length, TimeUs sent_us, uint64_t token);
    /// Ends a connection: with a FIN behind what was sent, or with a RST instead of what was not. on_end() follows.
    void close(Ref ref, bool by_reset);

    /// Room for another message: the devices take what is sent.
    bool can_send() const { return tables_.ready.size() < ready_max; }
    /// Nothing waits to be sent.
    bool settled() const { return tables_.ready.empty(); }
    Connection& at(Ref ref) { return tables_.at(ref); }
    store::RecordPool<Connection>& pool(Role role) { return tables_.pool(role); }
    bool is_open(Ref ref) { return pool(ref.role()).is_live(ref.index()) && at(ref).phase == Phase::open; }
    /// Bytes in chunks: what is under way.
    uint64_t bytes_under_way() const { return tables_.chunks.bytes_in_use(); }
    TimeUs now() const { return now_; }

    Ledger& ledger() { return ledger_; }
    const tcp::Counters& tcp_counters() const { return tcp_counters_; }
    const net::IpLayer& ip() const { return ip_; }
    uint16_t last_status() const { return last_status_; }  ///< of an answer that was no 101
    /// Null without TLS.
    const Handshakes* handshakes() const { return tls_ == nullptr ? nullptr : &tls_->handshakes; }

  private:
    static constexpr uint32_t ready_max = 256;
    struct Pong {
        std::array<uint8_t, ws::control_payload_bytes_max> payload;
        uint8_t length;
    };
    /// What one segment brought: acted upon when TCP is done with it.
    struct Arrived {
        bool upgraded = false;
        bool broken = false;
        bool plain = false;  ///< server: a request that is no upgrade
        bool close = false;  ///< a close frame
        bool tls_begins = false;
        bool tls_failed = false;
        std::vector<uint8_t> tls_output;  ///< of the handshake
        http::AcceptKey accept{};
        std::vector<Message> messages;
        std::vector<Pong> pongs;

        void clear();
    };

    tcp::Context context() {
        return {.chunks = tables_.chunks,
                .options = tcp_options_,
                .counters = tcp_counters_,
                .secrets = tables_.secrets,
                .budgets = budgets_,
                .now = now_};
    }

    // engine.cpp
    std::optional<Ref> find(uint32_t hash, const wire::TcpSegment& segment);
    void on_frame(const net::InboundFrame& frame, uint32_t hash);
    void on_segment(const wire::TcpSegment& segment, uint32_t hash);
    void segment_for(Ref ref, const wire::TcpSegment& segment);
    void consume(Connection& connection, Role role, std::span<const uint8_t> bytes);
    void read(Connection& connection, Role role, std::span<const uint8_t> bytes);
    void act(Ref ref);
    void act_on_messages(Ref ref);
    size_t send_bytes(Ref ref, std::span<const uint8_t> bytes);
    void send_frame(Ref ref, ws::Opcode opcode, std::span<const uint8_t> payload);

    // engine_open.cpp
    bool next_tuple(tcp::Tuple& tuple, uint16_t& local_id, uint32_t& hash);
    void segment_for_nobody(const wire::TcpSegment& segment, uint16_t local_id);
    void accept(const tcp::HalfOpen& entry, const wire::TcpSegment& segment);
    void reset_stranger(const wire::TcpSegment& segment, uint16_t local_id);

    // engine_upgrade.cpp
    void write_request_template(const Settings& settings);
    void begin_upgrade(Ref ref);
    void send_answer(Ref ref);
    size_t take_head(Connection& connection, Role role, std::span<const uint8_t> bytes);
    void on_head(Connection& connection, Role role, std::span<const uint8_t> head);
    void on_request(Connection& connection, std::span<const uint8_t> head);
    void on_response(Connection& connection, std::span<const uint8_t> head);

    // engine_tls.cpp
    bool has_tls(Ref ref) const { return tls_ != nullptr && ref.role() == Role::client; }
    TlsEnd& tls_end(Ref ref) { return tables_.tls_ends[ref.index()]; }
    void begin_handshake(Ref ref);
    void consume_tls(Ref ref, std::span<const uint8_t> bytes);
    void step_handshake(Ref ref, std::span<const uint8_t> bytes);
    void consume_records(Ref ref, std::span<const uint8_t> bytes);
    size_t take_record(Ref ref, std::span<const uint8_t> bytes);
    size_t keep_raw(TlsEnd& end, std::span<const uint8_t> bytes, size_t whole);
    void free_raw(TlsEnd& end);
    void open_record(Ref ref, std::span<const uint8_t, tls::record_header_bytes> header, tls::Pieces pieces);
    void act_on_handshake(Ref ref);
    void act_on_verdict(Ref ref);
    bool send_sealed(Ref ref, size_t payload_bytes, tcp::FunctionRef<size_t(uint8_t* out)> seal);
    void send_alert(Ref ref, tls::Alert alert);
    size_t send_records(Ref ref, std::span<const uint8_t> bytes);
    void end_tls(Ref ref);

    // engine_flush.cpp
    void mark_ready(Ref ref);
    void flush(Ref ref);
    net::PathState path_to(const IpAddress& peer);
    void schedule(Ref ref, Connection& connection);
    void on_timer(Ref ref, uint32_t generation);
    void on_events(Ref ref, const tcp::Events& events);
    void sweep();
    void unpark();
    void tell_end(Ref ref, End end);
    void finish_sending(Ref ref);
    void abort(Ref ref);
    void finish(Ref ref);

    const config::RuntimeConfig& config_;
    Tables& tables_;
    Observer& observer_;
    net::IpLayer ip_;
    std::vector<MacAddress> macs_;
    std::vector<uint16_t> client_ids_;  // local ids of the clients' addresses
    std::vector<Target> targets_;
    uint16_t server_port_low_, server_port_high_;
    tcp::Options tcp_options_;
    tcp::Counters tcp_counters_;
    tcp::Budgets budgets_;
    Ledger ledger_;
    TimeUs now_ = 0;
    TimeUs ticked_at_ = 0, unparked_at_ = 0;
    uint64_t seen_neighbour_changes_ = 0;
    uint32_t sweep_at_[2] = {0, 0};
    uint64_t tuple_at_ = 0;
    uint64_t random_state_;
    IpAddress path_peer_{};  // the peer that path_ leads to; unspecified: none
    net::Path path_{};
    uint16_t last_status_ = 0;
    std::string request_;  // with a place for the id
    size_t request_id_at_ = 0;
    http::AcceptKey accept_;  // what the 101 must say
    Arrived arrived_;
    std::unique_ptr<TlsUnit> tls_;  // null without TLS
    wire::ParsedFrame parsed_;
    std::vector<uint8_t> scratch_;  // one frame
};

}  // namespace millrace::load
