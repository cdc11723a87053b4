// Ten thousand WebSocket clients with TLS, OpenSSL's, thousands of them at once, through one balancer of two workers,
// over links that lose, repeat and reorder. They talk, change keys and ask for new ones at random, and end in every way
// that there is. What a client says comes back from the server; every byte of it is compared.
#include <algorithm>
#include <gtest/gtest.h>
#include <memory>
#include <vector>

#include "tests/sim/balancer.h"
#include "tests/sim/crowd.h"
#include "tests/sim/http_text.h"
#include "tests/sim/peer_tls.h"
#include "tests/sim/station.h"
#include "tests/sim/transfer.h"

namespace millrace::sim {
namespace {

using relay::TlsStats;
using relay::WorkerStats;

constexpr size_t session_count = 10'000;
constexpr uint64_t at_once_min = 5'000;
constexpr TimeUs arrival_us = 2'000;        // from one client to the next
constexpr TimeUs pause_us_max = 3'000'000;  // between two acts of one
constexpr TimeUs patience_us = 20'000'000;  // a reset that was lost is found out by saying one thing more
constexpr TimeUs run_us_max = 600'000'000;
constexpr uint16_t server_port = 8080;
constexpr MacAddress clients_mac{{2, 0, 0, 0, 1, 1}}, servers_mac{{2, 0, 0, 0, 2, 1}};

enum class Ending : uint8_t { notify, fin_alone, reset, server_fin, server_reset };

struct Session {
    uint64_t key = 0;  // of the stream that it says
    tls::Version version{};
    Ending ending{};
    uint64_t acts_left = 0;
    SocketId client = 0, server = SIZE_MAX;
    std::unique_ptr<PeerTls> tls;
    std::string received;  // of the head
    uint64_t said = 0, heard = 0, server_heard = 0;
    bool upgraded = false, ending_begun = false, client_fin = false, server_fin = false, notified = false;
    std::optional<End> client_end, server_end;

    bool over() const { return client_end && (server_end || server == SIZE_MAX); }
};

/// Both crowds and what they do.
class Talk {
  public:
    explicit Talk(uint64_t seed);

    /// Until every session is over and the balancer holds nothing.
    void run();
    void check();

  private:
    struct Clients : Crowd::Conduct {
        explicit Clients(Talk& in) : talk(in) {}
        void on_open(SocketId id) override { talk.crowd_.send(id, talk.sessions_[id].tls->start()); }
        void on_data(SocketId id, std::span<const uint8_t> bytes) override { talk.client_hears(id, bytes); }
        void on_fin(SocketId id) override { talk.client_sees_fin(talk.sessions_[id]); }
        void on_end(SocketId id, End how) override { talk.client_ends(talk.sessions_[id], how); }
        Talk& talk;
    };
    struct Servers : Crowd::Conduct {
        explicit Servers(Talk& in) : talk(in) {}
        void on_open(SocketId) override {}
        void on_data(SocketId id, std::span<const uint8_t> bytes) override { talk.server_hears(id, bytes); }
        void on_fin(SocketId id) override {
            if (Session* session = talk.session_of(id)) session->server_fin = true;
            talk.servers_.shutdown(id);
        }
        void on_end(SocketId id, End how) override {
            if (Session* session = talk.session_of(id)) session->server_end = how;
        }
        Talk& talk;
    };

    Session* session_of(SocketId server);
    void begin(size_t number);
    void act(Session& session);
    void end(Session& session);
    void ask_again(Session& session);
    void say(Session& session, size_t bytes);
    void client_hears(SocketId id, std::span<const uint8_t> bytes);
    void client_sees_fin(Session& session);
    void client_ends(Session& session, End how);
    void server_hears(SocketId id, std::span<const uint8_t> bytes);
    void expect(bool holds, const Session& session, const char* what);
    void check(const Session& session);

    Random random_;
    Network network_;
    std::unique_ptr<Balancer> balancer_;
    Clients client_conduct_{*this};
    Servers server_conduct_{*this};
    Crowd crowd_, servers_;
    std::vector<Session> sessions_;
    std::unordered_map<SocketId, std::string> heads_;  // of requests that are not whole
    std::unordered_map<SocketId, size_t> of_server_;
    tls::Owned<SSL_SESSION> earlier_[2];  // of TLS 1.2 and 1.3, to be resumed
    uint64_t at_once_ = 0;
    TimeUs checked_at_ = 0;
    std::vector<std::string> failures_;
};

Talk::Talk(uint64_t seed)
    : random_(seed),
      network_(seed),
      crowd_(clients_mac, Station::address_of(false, 1), balancer_mac, seed + 1, client_conduct_),
      servers_(servers_mac, Station::address_of(true, 1), balancer_mac, seed + 2, server_conduct_),
      sessions_(session_count) {
    SnapshotBuilder config = balancer_config({Station::address_of(true, 1)}, 2);
    add_tls_listeners(config);
    config.dataplane.relays_max = 32'768;
    config.dataplane.half_open_max = 4'096;
    config.dataplane.time_wait_max = 32'768;
    config.dataplane.chunk_bytes_max = 512u << 20;
    config.dataplane.tls_handshakes_max = 1'024;
    config.backends[0].connect_timeout_ms = config.backends[0].upgrade_timeout_ms = 60'000;
    for (ListenerRecord& listener : config.listeners) listener.head_timeout_ms = listener.handshake_timeout_ms = 60'000;
    balancer_ =
        std::make_unique<Balancer>(config, BalancerOptions{.seed = seed + 3, .tls_seats = 1'024}, network_.now());
    const LinkOptions link{.loss = 0.01, .duplicate = 0.002, .reorder = 0.01, .delay_us = 10'000};
    network_.attach(*balancer_, balancer_mac, link);
    network_.attach(crowd_, clients_mac, link);
    network_.attach(servers_, servers_mac, link);
    servers_.listen(server_port);
    for (size_t number = 0; number < session_count; ++number)
        crowd_.at(network_.now() + number * arrival_us, [this, number] { begin(number); });
}

Session* Talk::session_of(SocketId server) {
    const auto found = of_server_.find(server);
    return found == of_server_.end() ? nullptr : &sessions_[found->second];
}

void Talk::begin(size_t number) {
    Session& session = sessions_[number];
    session.key = random_.next();
    session.version = random_.chance(0.15) ? tls::Version::tls12 : tls::Version::tls13;
    session.ending = static_cast<Ending>(random_.below(5));
    session.acts_left = random_.between(6, 12);
    const tls::Owned<SSL_SESSION>& earlier = earlier_[session.version == tls::Version::tls13];
    session.tls = std::make_unique<PeerTls>(
        PeerTlsOptions{.version = session.version, .session = random_.chance(0.5) ? earlier.get() : nullptr});
    session.client = crowd_.connect(balancer_v4, https_port);
    ASSERT_EQ(session.client, number);
    session.tls->seal(upgrade_request("/" + std::to_string(number)));
}

void Talk::act(Session& session) {
    if (session.client_end) return;
    if (session.acts_left == 0) return end(session);
    --session.acts_left;
    const uint64_t what = random_.below(10);
    if (what < 3)
        crowd_.send(session.client, session.tls->key_update(random_.chance(0.5)));
    else
        say(session, what == 9 ? random_.between(1, 20'000) : random_.between(1, 500));
    crowd_.at(crowd_.now() + random_.below(pause_us_max), [&] { act(session); });
}

void Talk::say(Session& session, size_t bytes) {
    std::string text(bytes, '\0');
    for (char& byte : text) byte = static_cast<char>(stream_byte(session.key, session.said++));
    crowd_.send(session.client, session.tls->seal(text));
}

void Talk::end(Session& session) {
    // A server that ends the stream first waits until it owes nothing.
    if (session.ending == Ending::server_fin && session.heard != session.said)
        return crowd_.at(crowd_.now() + 50'000, [&] {
            if (!session.client_end) end(session);
        });
    session.ending_begun = true;
    crowd_.at(crowd_.now() + patience_us, [&] { ask_again(session); });
    switch (session.ending) {
        case Ending::notify:
            crowd_.send(session.client, session.tls->close());
            return crowd_.shutdown(session.client);
        case Ending::fin_alone:
            return crowd_.shutdown(session.client);
        case Ending::reset:
            crowd_.abort(session.client);
            return client_ends(session, End::reset);
        case Ending::server_fin:
            return servers_.shutdown(session.server);
        case Ending::server_reset:
            servers_.abort(session.server);
            session.server_end = End::reset;
            return;
    }
}

/// A reset is not repeated, so who missed it has to be told that its connection is gone.
void Talk::ask_again(Session& session) {
    if (session.over()) return;
    const bool reset = session.ending == Ending::reset || session.ending == Ending::server_reset;
    if (reset && !session.client_end) say(session, 1);
    if (reset && session.server != SIZE_MAX && !session.server_end) servers_.send(session.server, "?");
    crowd_.at(crowd_.now() + patience_us, [&] { ask_again(session); });
}

void Talk::client_hears(SocketId id, std::span<const uint8_t> bytes) {
    Session& session = sessions_[id];
    crowd_.send(id, session.tls->take(bytes, session.received));
    if (!session.upgraded) {
        const size_t head = head_length(session.received);
        if (head == 0) return;
        expect(status_of(session.received) == 101, session, "it is upgraded");
        session.upgraded = true;
        session.received.erase(0, head);
        crowd_.at(crowd_.now() + random_.below(pause_us_max), [&] { act(session); });
    }
    for (const char byte : session.received)
        expect(static_cast<uint8_t>(byte) == stream_byte(session.key, session.heard++), session,
               "what comes back was said");
    session.received.clear();
}

void Talk::client_sees_fin(Session& session) {
    session.client_fin = true;
    session.notified = session.tls->notified();
    if (session.ending != Ending::fin_alone) crowd_.send(session.client, session.tls->close());
    crowd_.shutdown(session.client);
}

void Talk::client_ends(Session& session, End how) {
    session.client_end = how;
    session.notified = session.notified || session.tls->notified();
    if (session.notified) earlier_[session.version == tls::Version::tls13].reset(SSL_get1_session(session.tls->ssl()));
    session.tls.reset();
}

void Talk::server_hears(SocketId id, std::span<const uint8_t> bytes) {
    Session* session = session_of(id);
    if (session != nullptr) {
        for (const uint8_t byte : bytes)
            expect(byte == stream_byte(session->key, session->server_heard++), *session, "what arrives was said");
        return servers_.send(id, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    std::string& head = heads_[id];
    head.append(bytes.begin(), bytes.end());
    if (head_length(head) == 0) return;
    const size_t number = std::stoul(head.substr(head.find('/') + 1));
    of_server_[id] = number;
    sessions_[number].server = id;
    servers_.send(id, upgrade_answer());
    const std::string rest = head.substr(head_length(head));
    heads_.erase(id);
    if (!rest.empty()) server_hears(id, {reinterpret_cast<const uint8_t*>(rest.data()), rest.size()});
}

void Talk::expect(bool holds, const Session& session, const char* what) {
    if (holds || failures_.size() >= 20) return;
    failures_.push_back("session " + std::to_string(&session - sessions_.data()) + ", ending " +
                        std::to_string(int(session.ending)) + ": not so: " + what);
}

void Talk::run() {
    const TimeUs end = network_.now() + run_us_max;
    size_t over = 0;  // all before this one
    const bool ended = network_.run(end, [&] {
        while (over < sessions_.size() && sessions_[over].over()) ++over;
        const TimeUs now = network_.now();
        if (now >= checked_at_) {
            balancer_->check(now);
            at_once_ = std::max(at_once_, balancer_->worker_total(&WorkerStats::relays_relaying));
            balancer_->events();
            checked_at_ = now + us_per_s;
        }
        return over == sessions_.size() && balancer_->idle();
    });
    EXPECT_TRUE(ended) << "session " << over << " is not over, or the balancer holds" << balancer_->leftovers();
}

void Talk::check(const Session& session) {
    expect(session.upgraded && session.ending_begun, session, "it lived until its end");
    expect(session.heard <= session.said && session.server_heard <= session.said, session, "nothing is made up");
    switch (session.ending) {
        case Ending::notify:
        case Ending::fin_alone:
        case Ending::server_fin:
            expect(session.heard == session.said && session.server_heard == session.said, session, "all came back");
            expect(session.client_fin && session.notified, session, "a close_notify and a FIN came");
            expect(session.client_end == End::closed && session.server_end == End::closed, session, "both ends closed");
            break;
        case Ending::reset:
            expect(session.server_end == End::reset, session, "the server is reset");
            break;
        case Ending::server_reset:
            expect(session.client_end == End::reset && !session.notified, session, "the client is reset");
            break;
    }
}

void Talk::check() {
    size_t alone = 0;
    for (const Session& session : sessions_) {
        check(session);
        alone += session.ending == Ending::fin_alone ? 1 : 0;
    }
    const auto total = [&](Counter TlsStats::*counter) {
        uint64_t sum = 0;
        for (uint16_t i = 0; i < balancer_->worker_count(); ++i)
            sum += (balancer_->stats(i).worker.tls.*counter).load();
        return sum;
    };
    EXPECT_EQ(total(&TlsStats::handshakes_tls12) + total(&TlsStats::handshakes_tls13), session_count);
    EXPECT_GT(total(&TlsStats::handshakes_resumed), session_count / 10);
    for (const auto counter : {&TlsStats::handshakes_failed, &TlsStats::handshakes_timed_out,
                               &TlsStats::handshakes_refused, &TlsStats::bad_records, &TlsStats::alerts_in})
        EXPECT_EQ(total(counter), 0u);
    EXPECT_EQ(total(&TlsStats::truncated), alone);
    EXPECT_GT(total(&TlsStats::key_updates_out), session_count / 2) << "asked for by clients";
    EXPECT_GE(at_once_, at_once_min);
    EXPECT_GT(network_.totals().lost, 1'000u);
    for (size_t i = 0; i < balancer_->shard_count(); ++i)
        for (const relay::TlsEnd& end : balancer_->shard(i).tls_of(relay::Side::client).ends)
            if (end.established()) ADD_FAILURE() << "keys of shard " << i << " outlived their relay";
    for (const std::string& failure : failures_) ADD_FAILURE() << failure;
    for (const std::string& violation : balancer_->violations()) ADD_FAILURE() << violation;
    for (const Crowd* crowd : {&crowd_, &servers_}) EXPECT_EQ(crowd->trouble(), "");
}

TEST(WssCrowd, TenThousandRelaysWithKeyUpdatesEndsAndLoss) {
    Talk talk(1);
    talk.run();
    talk.check();
}

}  // namespace
}  // namespace millrace::sim
