// Handshakes beside the data path: a worker hands bytes to crypto threads and finds answers later, and waits for
// nothing.
//
// A handshake in flight has a *seat*: memory for its input and its answer. A seat belongs to the worker or to a crypto
// thread, never to both; it changes hands through rings that can't be full. The number of seats bounds the handshakes
// in flight and their memory: a worker that gets none lets the client wait, or refuses it.
//
//   worker:   open ─ put ─ submit ──►┐                                ┌──► poll ─ answer() ─ put ─ submit … close
//             (submit only while the state is under_way, or a ticket is wanted; close once)
//                                    ▼                                │
//   thread:                                       OpenSSL's step ───┘
//
// Handshakes are with clients, or our own with servers. One of these begins with a step that has no input. When it is
// done and shall bring a session for later ones (servers.h), but the ticket is still to come, the answer says so: then
// the worker may give the seat the records that come next, as they come, until an answer says no more. Keys and
// leftover are of the first answer that is done.
//
// Steps of handshakes that have had an answer, those with servers, whose clients wait already, and ends go first. Of
// the others three that offer to resume a session go for each that does not: an offer may be worth nothing, so it must
// not starve who is new.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "tls/handshake/handshake.h"
#include "tls/handshake/index_ring.h"
#include "tls/handshake/servers.h"

namespace millrace::tls {

/// Bytes of the peer that one step takes at most; more than nearly every client's whole flight.
inline constexpr size_t step_input_bytes_max = 4096;

/// Bytes behind a handshake in which a server's ticket is looked for: it sends tickets before anything else.
inline constexpr size_t ticket_search_bytes_max = 16'384;

/// What a crypto thread has counted. Written by it alone, read by whoever wants to.
struct CryptoCounters {
    std::atomic<uint64_t> steps = 0, done = 0, resumed = 0, failed = 0;
    std::atomic<uint64_t> busy_ns = 0;    ///< inside OpenSSL
    std::atomic<uint64_t> waited_ns = 0;  ///< of all steps together, from submit to their beginning
    std::atomic<uint64_t> waited_longest_ns = 0;
    Tally tally;
};

class Pool {
  public:
    struct Settings {
        uint32_t workers = 1;
        uint32_t threads = 1;
        uint32_t seats = 1024;  ///< of each worker, at most 65,535
    };

    explicit Pool(const Settings& settings);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// Takes lines for the log: why servers are not reached by TLS. Called on crypto threads; set before they serve.
    void report_to(std::function<void(const std::string&)> report) { report_ = std::move(report); }

    /// What handshakes that begin from now on use in place of number `context`: with clients, a server's; with servers,
    /// a client's; or null for none. From any thread but a worker's.
    void set_context(uint16_t context, std::shared_ptr<const Context> value);
    /// Likewise, for handshakes with servers of which more is known.
    void set_servers(uint16_t context, std::shared_ptr<Servers> value);

    // ---- a worker's side; `worker` is its number

    /// A seat for a new handshake with a client. Nothing while all are taken.
    std::optional<uint16_t> open(uint32_t worker, uint16_t context, uint64_t owner);
    /// Likewise with a server.
    std::optional<uint16_t> open(uint32_t worker, uint16_t context, const ServerPeer& peer, uint64_t owner);
    /// Adds bytes of the peer to the next step's input; returns how many had room. Only while the worker has the seat.
    size_t put(uint32_t worker, uint16_t seat, Bytes bytes);
    /// Gives the seat to its crypto thread.
    void submit(uint32_t worker, uint16_t seat);

    /// What a step has brought. Valid until submit() or close().
    struct Answer {
        uint64_t owner;
        Handshake::State state;
        Bytes output;      ///< to send, whatever the state
        const Slot& slot;  ///< of a handshake that is done
        Bytes leftover;    ///< likewise: records behind it
        bool resumed;
        std::string_view subject;  ///< likewise: of the client's certificate (RFC 2253), or empty
        bool ticket_wanted;        ///< likewise, with a server: its next records are
        bool own_fault;            ///< of one that failed: for want of keys
    };
    /// A seat that has come back from its thread, or nothing. A seat that was closed meanwhile is not shown.
    std::optional<uint16_t> poll(uint32_t worker);
    Answer answer(uint32_t worker, uint16_t seat) const;
    /// Ends the handshake, whoever has the seat.
    void close(uint32_t worker, uint16_t seat);
    /// Steps that wait for a crypto thread.
    uint32_t waiting(uint32_t worker) const;

    // ---- a crypto thread's side; `thread` is its number

    /// One step. False when there was nothing to do.
    bool serve(uint32_t thread);
    const CryptoCounters& counters(uint32_t thread) const { return threads_[thread].counters; }

  private:
    struct Seat {
        std::array<uint8_t, step_input_bytes_max> input;
        size_t input_bytes = 0;
        uint16_t context = 0;
        uint64_t owner = 0;
        uint64_t submitted_ns = 0;
        bool taken = false;        // of the worker: open() gave it out
        bool with_thread = false;  // of the worker: it has given the seat away
        bool closed = false;       // of the worker: nobody wants the answer
        bool ending = false;       // of whoever has it: the next step only frees
        Handshake::State state = Handshake::State::under_way;
        bool resumed = false;
        bool own_fault = false;  // of its thread
        bool begun = false;
        bool answered = false;  // of its thread: something of it has been put out
        uint16_t lane = 0;      // of the worker: whose thread it goes to
        std::unique_ptr<Handshake> handshake;
        std::vector<uint8_t> output, leftover;
        std::string subject;
        Slot slot{};
        // With a server:
        std::optional<ServerPeer> server;  // of the worker
        std::shared_ptr<Servers> servers;  // of its thread, from the first step on
        Owned<SSL_SESSION> offered;        // likewise
        uint64_t begun_ns = 0;             // likewise
        bool ticket_wanted = false;        // of whoever has it: the handshake stays
        size_t searched_bytes = 0;         // of its thread: for the ticket
    };
    /// What handshakes use: with clients a context, with servers the other one.
    struct Use {
        std::shared_ptr<const Context> context = nullptr;
        std::shared_ptr<Servers> servers = nullptr;
    };
    /// What a worker and a thread have between them.
    struct Lane {
        explicit Lane(uint32_t seats) : answered(seats), resuming(seats), fresh(seats), back(seats) {}
        uint32_t waiting() const { return answered.size() + resuming.size() + fresh.size(); }
        IndexRing answered, resuming, fresh, back;
    };
    struct alignas(64) Worker {
        std::vector<std::unique_ptr<Seat>> seats;
        std::vector<uint16_t> free;
        std::vector<std::unique_ptr<Lane>> lanes;  // by thread
        uint32_t polled = 0;                       // the lane that is looked at next
    };
    struct alignas(64) Thread {
        Crypto crypto;
        uint32_t served = 0;  // the worker that is served next
        uint32_t turn = 0;    // every fourth goes to fresh ones first
        CryptoCounters counters;
    };

    Seat& seat_of(uint32_t worker, uint16_t seat) { return *workers_[worker].seats[seat]; }
    Lane& lane_of(uint32_t worker, uint16_t seat) { return *workers_[worker].lanes[seat_of(worker, seat).lane]; }
    void set_use(uint16_t context, Use use);
    Use use(uint16_t context);
    bool serve(uint32_t thread, IndexRing Lane::*ring);
    void step(Thread& thread, Seat& seat);
    void begin(Thread& thread, Seat& seat, uint64_t now_ns);
    void shake(Thread& thread, Seat& seat, uint64_t now_ns);
    void finish(Thread& thread, Seat& seat, uint64_t now_ns);
    static void harvest(Seat& seat, uint64_t now_ns);
    static void search_ticket(Seat& seat, Bytes records, uint64_t now_ns);
    static void take_down(Seat& seat, uint64_t now_ns);
    void end(uint32_t worker, uint16_t seat);
    void release(uint32_t worker, uint16_t seat);

    std::vector<Worker> workers_;
    std::vector<Thread> threads_;
    std::function<void(const std::string&)> report_;
    std::mutex uses_mutex_;
    std::vector<Use> uses_;  // by the number of the context
};

}  // namespace millrace::tls
