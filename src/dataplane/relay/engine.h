// The relay engine of one worker: accepts clients, reads their request, chooses and connects a server, checks its
// answer, relays, and ends what has ended. It joins tcp, http, ws and balance; each step has a file of its own:
//
//   engine.cpp            segments in: which connection they belong to
//   engine_accept.cpp     half-open connections, new relays, TIME_WAIT
//   engine_request.cpp    the client's head, routing
//   engine_connect.cpp    choosing a server and a source port, retries, ejection
//   engine_response.cpp   the server's head, answers of our own
//   engine_pump.cpp       relaying bytes
//   engine_memory.cpp     what happens when memory runs short
//   engine_close.cpp      ends
//   engine_icmp.cpp       ICMP errors
//   engine_flush.cpp      segments out, timers, the idle sweep
//   engine_stream.cpp     control's streams and listings
//   engine_inspect.cpp    one relay's TCP, pings and captures, for an operator
//   engine_move.cpp       shards that change their worker
//   engine_tls.cpp        records of a side with TLS
//   engine_tls_seats.cpp  handshakes in flight, and those that wait
//   engine_tls_client.cpp handshakes of clients
//   engine_tls_server.cpp our own with servers
//
// Sans-I/O: frames leave through net::IpLayer, time is an argument. No heap, no lock, no system call after start.
// One instance per worker, used by its thread alone but for what moves shards.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/balance/picker.h"
#include "dataplane/base/port_classes.h"
#include "dataplane/base/prefetch.h"
#include "dataplane/config/runtime_config.h"
#include "dataplane/http/request.h"
#include "dataplane/http/response.h"
#include "dataplane/net/ip_layer.h"
#include "dataplane/net/pinger.h"
#include "dataplane/relay/capture.h"
#include "dataplane/relay/control_link.h"
#include "dataplane/relay/handshakes.h"
#include "dataplane/relay/shard.h"
#include "dataplane/relay/statistics.h"
#include "dataplane/relay/tls_unit.h"
#include "dataplane/tcp/context.h"
#include "tls/record/record.h"

namespace millrace::relay {

/// What one worker remembers of a server slot between configurations.
struct ServerState {
    uint32_t consecutive_failures = 0;
    uint32_t reset_count = 0;  ///< ServerControl's at the last look
    TimeUs ejected_until = 0;
    uint32_t port_counter = 0;      ///< RFC 6056's counter for this destination
    TimeUs ports_scarce_until = 0;  ///< a search found no port a moment ago: the next one looks only briefly
    uint16_t source_at = 0;         ///< the source that the next search begins with
};

/// Everything that an engine is given at start. All of it outlives the engine.
struct EngineSetup {
    std::vector<Shard*> shards;  ///< those that this worker owns
    net::IpLayer& ip;
    const PortClasses& port_classes;
    StatsBlock& stats;
    std::span<const StatsBlock* const> other_stats;  ///< the other workers', for least_conn
    ControlLink& control;
    uint64_t random_seed;
    uint16_t worker;              ///< whose engine it is
    uint64_t connection_id_base;  ///< ids count up from here in steps of shard_max
    Handshakes* handshakes;       ///< this worker's; null: no listener has TLS
};

class Engine {
  public:
    Engine(const EngineSetup& setup, const config::RuntimeConfig& config);

    /// Takes a new configuration between two bursts. Relays keep their slots.
    void set_config(const config::RuntimeConfig& config);

    /// A shard changes its worker while every worker stands still: its old engine releases it, its new one takes it,
    /// and then each engine publishes its gauges and tries again what waits for a neighbour. On whichever thread made
    /// them stand still.
    void release_shard(Shard& shard, TimeUs now);
    void take_shard(Shard& shard, TimeUs now);
    void after_moves(TimeUs now);

    /// A TCP segment for one of our addresses (`local_id`), of a flow of `shard` with this `flow_hash`.
    void on_segment(Shard& shard, uint32_t flow_hash, const wire::TcpSegment& segment, uint16_t local_id, TimeUs now);

    /// An ICMP error that quotes TCP, of a flow of `shard`.
    void on_icmp_error(Shard& shard, const wire::IcmpError& error, TimeUs now);

    /// An echo reply to one of our addresses, whose asker is this worker (Pinger::asker).
    void on_echo_reply(const wire::IcmpEcho& reply, TimeUs now) { pinger_.on_reply(reply, now); }

    /// Who wants copies of the frames.
    Capture& capture() { return capture_; }

    /// The second look at a segment of a burst, when the bucket of its flow is near: brings the relay near.
    static void prefetch_relay(const Shard& shard, uint32_t flow_hash) {
        const auto value = shard.flows.find(flow_hash, [](uint32_t) { return true; });
        if (!value) return;
        shard.relays.prefetch(FlowValue::index(*value));
        for (const TlsEnds& tls : shard.tls)
            if (tls.used != 0) prefetch(&tls.ends[FlowValue::index(*value)]);
    }

    /// Timers, commands, the idle sweep, and everything that is ready to be sent. True when there was something to do.
    bool poll(TimeUs now);

    /// Copies the gauges into the statistics; call it every few milliseconds.
    void publish_gauges();

    /// Ends every relay with a reset; for a shutdown.
    void abort_all(TimeUs now);

  private:
    // A relay and where it lives; passed down instead of three arguments.
    struct Ref {
        Shard& shard;
        uint32_t index;
        Relay& relay;
    };
    struct Flow {
        const IpAddress& peer;
        uint16_t peer_port;
        uint16_t local_port;
        uint16_t local_id;
    };
    static constexpr uint32_t stream_max = 1024;
    struct StreamSlot {
        uint64_t id = 0;
        Shard* shard = nullptr;  // null: free, or the stream has ended
        store::Handle handle{};
    };
    // How long a side may take to read the last bytes and close; then it is reset.
    static constexpr TimeUs linger_us = 5 * us_per_s;
    // Chooses servers by address or header. Not a secret and not a region's: a client keeps its server across shards,
    // across restarts, and across balancers with the same servers.
    static constexpr SipKey balance_key{0x6d696c6c72616365, 0x62616c616e636572};
    // Which servers may be chosen: all that are enabled, of those the ones not down, of those the ones not ejected.
    enum class Tier : uint8_t { enabled, probed, healthy };
    // Who needs a seat for a handshake: a probe of control with its server, a relay with its server, or with its
    // client.
    enum class Seeker : uint8_t { probe, server, client };
    static constexpr std::array<Seeker, 3> seekers = {Seeker::probe, Seeker::server, Seeker::client};
    // Whose handshake has a seat.
    struct Seat {
        Shard* shard = nullptr;  // null: free
        uint32_t index = 0;
        Seeker seeker = Seeker::client;
        bool stepping = false;  // given away; poll_handshakes() gets it back
        TimeUs since = 0;       // when it came back: its peer is waited for
    };
    // Those for whose handshake there is no seat yet, the first come first; a queue for each kind of seeker.
    struct Waiting {
        Shard* shard;
        store::Handle handle;
    };
    struct WaitingQueue {
        std::vector<Waiting> places;
        uint32_t head = 0, count = 0;
        uint32_t gone = 0;  // at most so many of them have ended meanwhile

        const Waiting& front() const { return places[head]; }
        void push(const Waiting& entry) { places[(head + count++) % places.size()] = entry; }
        Waiting pop() {
            const Waiting first = front();
            head = static_cast<uint32_t>((head + 1) % places.size());
            --count;
            return first;
        }
    };
    enum class OpenResult : uint8_t { opened, no_port, unreachable };
    struct Failure {
        uint16_t status;
        CloseReason reason;
    };
    // What a flush left undone, the gravest last.
    enum class Outcome : uint8_t { done, wants_credit, unresolved, unreachable };

    Ref ref(Shard& shard, uint32_t index) { return {shard, index, shard.relays.at(index)}; }
    tcp::Context context(Shard& shard);
    Setup& setup_of(Ref r) { return *reinterpret_cast<Setup*>(r.shard.chunks.capacity(r.relay.setup).data()); }
    WaitingQueue& waiting(Seeker seeker) { return waiting_[static_cast<size_t>(seeker)]; }
    TlsEnd& tls_end(Ref r, Side side) { return r.shard.tls_of(side).ends[r.index]; }
    ListenerStats& listener_stats(const Relay& relay) { return stats_.listeners[relay.listener_slot]; }
    ServerStats& server_stats(uint16_t slot) { return stats_.servers[slot]; }
    uint64_t random();
    void set_phase(Ref r, Phase phase, TimeUs deadline);
    Counter& phase_gauge(Phase phase);
    void count_phase(Ref r, int64_t by);
    void count_relay(Ref r, int64_t by);
    void count_server(Ref r, int64_t by);

    // engine.cpp
    std::optional<uint32_t> find(Shard& shard, uint32_t hash, const Flow& flow);
    void segment_for_relay(Shard& shard, uint32_t value, const wire::TcpSegment& segment);
    size_t consume(Ref r, Side side, std::span<const uint8_t> bytes);
    size_t consume_plain(Ref r, Side side, std::span<const uint8_t> bytes);
    void on_events(Ref r, Side side, const tcp::Events& events);
    void on_peer_fin(Ref r, Side side);
    void on_connection_lost(Ref r, Side side, const tcp::Events& events);
    bool linger(Ref r);
    void progress(Ref r);

    // engine_accept.cpp
    void segment_for_no_relay(Shard& shard, const wire::TcpSegment& segment, uint16_t local_id);
    void reset_stranger(const wire::TcpSegment& segment, uint16_t local_id);
    void on_half_open(Shard& shard, tcp::HalfOpen& entry, const wire::TcpSegment& segment);
    void accept(Shard& shard, const tcp::HalfOpen& entry, const wire::TcpSegment& segment);
    std::optional<Ref> make_relay(Shard& shard);
    void await_request(Ref r, const config::Listener& listener);
    void poll_half_open(Shard& shard);

    // engine_request.cpp
    size_t append(Ref r, store::ChunkId& buffer, std::span<const uint8_t> bytes);
    void read_request(Ref r);
    void route_request(Ref r, const config::Listener& listener, const http::RequestHead& request);
    std::string_view subject_of(Ref r);
    void send_request(Ref r);
    void send_early_bytes(Ref r);
    void on_client_fin_before_answer(Ref r);

    // engine_connect.cpp
    const config::Backend* backend_of(const Setup& setup) const;
    void connect_first(Ref r, const config::Backend& backend);
    void connect(Ref r, const config::Backend& backend, Failure failure);
    bool is_ejected(uint16_t slot) const;
    void read_other_counts();
    bool fill_candidates(const config::Backend& backend, Tier tier, const balance::ExcludedSlots& tried);
    std::optional<uint16_t> choose_server(const config::Backend& backend, const Setup& setup);
    OpenResult open_to(Ref r, const IpAddress& server, uint16_t port, uint16_t server_slot,
                       const config::Backend* backend);
    struct PortSearch {
        const IpAddress& server;
        uint16_t server_port;
        ServerState& state;
        uint32_t left;  // ports that may still be tried
    };
    OpenResult open_from(Ref r, uint16_t local_id, uint16_t port_low, uint16_t port_high, PortSearch& search);
    void on_server_connected(Ref r);
    void on_server_ready(Ref r);
    void on_server_unreachable(Ref r);
    void on_connect_failed(Ref r, CloseReason reason);
    void connect_next(Ref r, CloseReason reason);
    void count_success(uint16_t slot);
    TimeUs response_timeout(const Setup& setup) const;
    void count_bad_upgrade(Ref r);
    void count_failure(uint16_t slot, const config::Backend* backend);

    // engine_response.cpp
    void read_response(Ref r);
    bool send_response_head(Ref r, const http::ResponseHead& response);
    void pass_interim_response(Ref r, const http::ResponseHead& response, uint32_t head_length);
    void pass_response(Ref r, const http::ResponseHead& response, uint32_t head_length);
    void start_relaying(Ref r);
    void end_exchange(Ref r);
    void bad_response(Ref r, CloseReason reason);
    void answer_error(Ref r, uint16_t status, CloseReason reason);
    void close_client(Ref r);

    // engine_pump.cpp
    size_t pump(Ref r, Side from, std::span<const uint8_t> bytes);
    size_t pump_exchange(Ref r, Side from, std::span<const uint8_t> bytes);
    void count_bytes(Ref r, Side from, size_t bytes);
    void check_bodies(Ref r);
    uint32_t receive_space(Ref r, Side side);

    // engine_memory.cpp
    uint32_t relay_space(Ref r, Side side);
    size_t enqueue(Ref r, Side to, std::span<const uint8_t> bytes);
    uint32_t slow_bytes(Ref r);
    bool holds_much(Ref r, Side side);
    uint32_t look_for_holders(Shard& shard);
    uint32_t slowest_drain(Shard& shard);
    void relieve(Shard& shard);

    // engine_close.cpp
    void abort_side(Ref r, Side side);
    void abort(Ref r, Closer closer, CloseReason reason);
    void side_done(Ref r, Side side);
    void finish(Ref r);
    void free_setup(Ref r);
    void write_event(Ref r, RelayEventKind kind);

    // engine_flush.cpp
    void turn_wheel(Shard& shard);
    void mark_ready(Ref r);
    bool flush_ready(Shard& shard);
    void flush(Ref r);
    Outcome flush_side(Ref r, Side side);
    void schedule(Ref r);
    TimeUs next_deadline(Ref r);
    void on_timer(Shard& shard, uint32_t index, uint32_t generation);
    void on_deadlines(Ref r);
    void on_phase_deadline(Ref r);
    void unpark(Shard& shard, uint32_t most);
    void sweep(Shard& shard);
    void sweep_one(Ref r);
    void drain(Ref r, uint32_t now_ms);
    bool keep_alive(Ref r, Side side, const KeepaliveRecord& settings);

    // engine_stream.cpp
    bool poll_commands();
    void on_list_connections(uint64_t request_id, const ListConnections& request);
    void on_list_neighbours(uint64_t request_id);
    void on_show_tcp(uint64_t request_id, const ShowTcp& request);
    void on_ping(uint64_t request_id, const Ping& request);
    void poll_pings();
    void on_capture_start(uint64_t request_id, const CaptureStart& request);
    void on_capture_stop(uint64_t request_id, const CaptureStop& request);
    ConnectionRecord describe(Ref r);
    std::optional<Ref> find_stream(uint64_t id);
    void on_stream_open(const StreamOpen& open);
    void on_stream_established(Ref r);
    size_t consume_stream(Ref r, std::span<const uint8_t> bytes);
    void on_stream_send(uint64_t id, std::span<const std::byte> bytes);
    void tell_stream_closed(Ref r, StreamEnd end);
    void close_stream(Ref r, StreamEnd end);

    // engine_tls.cpp
    size_t consume_records(Ref r, Side side, std::span<const uint8_t> bytes);
    size_t take_record(Ref r, Side side, std::span<const uint8_t> bytes);
    size_t keep_raw(Ref r, Side side, std::span<const uint8_t> bytes);
    void free_raw(Ref r, Side side);
    bool open_record(Ref r, Side side, std::span<const uint8_t, tls::record_header_bytes> header, tls::Pieces pieces);
    void note_verdict(Ref r, Side side, const tls::Verdict& verdict);
    bool judge_peer(Ref r, Side side, bool fin);
    void reject_peer(Ref r, Side side);
    bool send_record(Ref r, Side side, tls::ContentType type, std::span<const uint8_t> payload);
    void send_alert(Ref r, Side side, tls::Alert alert);
    bool send_key_update(Ref r, Side side);
    size_t send_records(Ref r, Side side, std::span<const uint8_t> bytes);
    size_t send_to(Ref r, Side side, std::span<const uint8_t> bytes);
    void finish_side(Ref r, Side side);
    bool client_has_finished(Ref r);
    void begin_tls(Ref r, Side side);
    void end_tls(Ref r, Side side);

    // engine_tls_seats.cpp
    store::ChunkId& handshake_words(Ref r, Side side);
    bool shakes_hands(Ref r, Side side);
    size_t consume_handshake(Ref r, Side side, std::span<const uint8_t> bytes);
    uint32_t handshake_room(Ref r, Side side);
    void feed_handshake(Ref r, Side side);
    void step_handshake(Ref r, Side side);
    static Side side_of(Seeker seeker) { return seeker == Seeker::client ? Side::client : Side::server; }
    static Seeker seeker_of(Ref r, Side side);
    static uint8_t waits_as(Seeker seeker) { return static_cast<uint8_t>(1 + static_cast<uint8_t>(seeker)); }
    bool may_sit(Seeker seeker) const;
    size_t quarter_of_seats() const;
    bool probes_have_enough() const;
    bool take_seat(Ref r, Seeker seeker);
    void wait_for_seat(Ref r, Seeker seeker);
    bool waits(const Waiting& entry, Seeker seeker) const;
    void drop_gone(Seeker seeker);
    void reclaim_seat(Side side);
    void release_idle_seat();
    void close_seat(Ref r, Side side);
    bool poll_handshakes();
    bool seat_waiting(Seeker seeker);
    void give_up_handshake(Ref r, Side side);
    void give_up_waiting(Shard& shard, Seeker seeker);
    void on_handshake_answer(uint16_t number);
    void take_leftover(Ref r, Side side, const Handshakes::Answer& answer, store::ChunkId held);
    bool handshake_goes_on(Ref r, Side side);
    void publish_handshakes();
    void give_up_handshakes(Shard& shard);

    // engine_tls_client.cpp
    void begin_client_handshake(Ref r, const config::Listener& listener);
    bool client_may_begin(Ref r);
    void end_client_handshake(Ref r, const Handshakes::Answer& answer);
    void fail_client_handshake(Ref r, bool own_fault);
    bool keep_subject(Ref r, const config::Listener& listener, std::string_view subject);
    void on_client_handshake_deadline(Ref r);

    // engine_tls_server.cpp
    void begin_server_handshake(Ref r);
    void end_server_handshake(Ref r, const Handshakes::Answer& answer);
    void fail_server_handshake(Ref r, CloseReason reason, bool blamed);
    void set_server_handshake_deadline(Ref r);
    void count_late_refusal(Ref r);
    void on_fin_in_server_handshake(Ref r);
    void on_server_handshake_deadline(Ref r);
    void harvest(Ref r, std::span<const uint8_t> bytes);

    // engine_move.cpp
    void give_up_streams(Shard& shard);
    void add_gauges(Gauges& gauges, int64_t sign);

    std::vector<Shard*> shards_;
    net::IpLayer& ip_;
    const PortClasses& port_classes_;
    StatsBlock& stats_;
    std::span<const StatsBlock* const> other_stats_;
    ControlLink& control_;
    net::Pinger pinger_;
    Capture capture_;
    const config::RuntimeConfig* config_;
    tcp::Options tcp_options_;
    tcp::Budgets budgets_;
    TimeUs now_ = 0;
    uint64_t random_state_;
    uint64_t connection_id_base_;
    uint64_t seen_neighbour_changes_ = 0;
    TimeUs unparked_at_ = 0;
    TimeUs ticked_at_ = 0;
    std::vector<ServerState> servers_;      // by slot
    std::vector<uint32_t> open_elsewhere_;  // by slot: relays of the other workers; least_conn's servers only
    size_t other_counts_at_ = 0;
    std::vector<int32_t> credits_;             // round robin, by index of ServerRecord
    std::vector<balance::Server> candidates_;  // scratch of one choice
    std::vector<uint8_t> scratch_;             // one rewritten head
    Handshakes* handshakes_;
    std::unique_ptr<TlsUnit> tls_;           // null without TLS
    bool tls_noted_ = false;                 // the records that came have left something to look at (on_events)
    std::vector<Seat> seats_;                // by number
    std::array<uint32_t, 3> seats_taken_{};  // by Seeker
    std::array<TimeUs, 2> reclaimed_at_{};   // by Side: when seats were looked through last
    size_t idle_seat_at_ = 0;                // which is looked at next
    std::array<WaitingQueue, 3> waiting_;    // by Seeker
    std::array<StreamSlot, stream_max> streams_;
    alignas(8) std::array<std::byte, message_payload_max> command_;  // one request, then its answer
};

}  // namespace millrace::relay
