#include "tls/handshake/pool.h"

#include <atomic>
#include <gtest/gtest.h>
#include <thread>

#include "peer.h"

namespace millrace::tls {
namespace {

/// A worker's client: OpenSSL as the peer of one seat.
struct Client {
    explicit Client(SSL_SESSION* session = nullptr) {
        if (session != nullptr) SSL_set_session(peer.ssl(), session);
    }
    /// Puts what the peer says into the seat and submits it.
    void say(Pool& pool, uint32_t worker) {
        peer.step();
        const Buffer bytes = peer.output();
        ASSERT_EQ(pool.put(worker, *seat, bytes), bytes.size());
        pool.submit(worker, *seat);
    }
    /// Takes the answer; true when the handshake is over.
    bool hear(Pool& pool, uint32_t worker) {
        const Pool::Answer answer = pool.answer(worker, *seat);
        peer.take(answer.output);
        peer.step();
        state = answer.state;
        slot = answer.slot;
        resumed = answer.resumed;
        return state != Handshake::State::under_way;
    }

    Peer peer{false};
    std::optional<uint16_t> seat;
    Handshake::State state = Handshake::State::under_way;
    Slot slot{};
    bool resumed = false;
};

struct PoolOfOne : testing::Test {
    PoolOfOne() { pool.set_context(0, context); }

    void open(Client& client) {
        client.seat = pool.open(0, 0, 7);
        ASSERT_TRUE(client.seat);
        client.say(pool, 0);
    }
    void shake(Client& client) {
        open(client);
        while (true) {
            ASSERT_TRUE(pool.serve(0));
            ASSERT_EQ(pool.poll(0), client.seat);
            if (client.hear(pool, 0)) break;
            client.say(pool, 0);
        }
    }

    /// What a client keeps of a whole handshake; the caller frees it.
    SSL_SESSION* leave_session() {
        Client first;
        shake(first);
        Crypto crypto;
        Buffer record(100);
        const Bytes none[] = {Bytes()};
        record.resize(seal(crypto, first.slot, ContentType::application_data, none, record.data()));
        first.peer.take(record);
        first.peer.read();  // and the ticket before it
        SSL_set_shutdown(first.peer.ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        pool.close(0, *first.seat);
        settle();
        return SSL_get1_session(first.peer.ssl());
    }
    /// Serves the end of a closed seat, which goes before everything else.
    void settle_ends() {
        pool.serve(0);
        EXPECT_EQ(pool.poll(0), std::nullopt);
    }
    /// Until nobody has anything to do.
    void settle() {
        do pool.poll(0);
        while (pool.serve(0));
    }

    std::shared_ptr<const Context> context = server_context();
    Pool pool{{.workers = 1, .threads = 1, .seats = 4}};
};

TEST_F(PoolOfOne, HandshakeFromTheFirstByteToTheSlot) {
    Client client;
    shake(client);
    EXPECT_EQ(client.state, Handshake::State::done);
    EXPECT_EQ(pool.answer(0, *client.seat).owner, 7u);
    Crypto crypto;
    Buffer record(100);
    const Buffer text = bytes_of("hello");
    const Bytes pieces[] = {text};
    record.resize(seal(crypto, client.slot, ContentType::application_data, pieces, record.data()));
    client.peer.take(record);
    EXPECT_EQ(client.peer.read(), "hello");
    EXPECT_EQ(pool.counters(0).done, 1u);
    EXPECT_EQ(pool.counters(0).steps, 2u);
}

TEST_F(PoolOfOne, SeatsAreBoundedAndComeBack) {
    std::vector<uint16_t> seats;
    while (const auto seat = pool.open(0, 0, 0)) seats.push_back(*seat);
    EXPECT_EQ(seats.size(), 4u);
    pool.close(0, seats[2]);
    EXPECT_EQ(pool.open(0, 0, 0), seats[2]) << "without a step there is nothing to wait for";
}

TEST_F(PoolOfOne, ClosedSeatComesBackWhenItsThreadIsDone) {
    Client waiting, answered;
    open(answered);
    EXPECT_TRUE(pool.serve(0));
    EXPECT_EQ(pool.poll(0), answered.seat);
    pool.close(0, *answered.seat);  // OpenSSL's object is freed by its thread
    open(waiting);
    pool.close(0, *waiting.seat);  // before its step
    EXPECT_EQ(pool.poll(0), std::nullopt);
    settle();
    std::vector<uint16_t> seats;
    while (const auto seat = pool.open(0, 0, 0)) seats.push_back(*seat);
    EXPECT_EQ(seats.size(), 4u);
}

// What has been answered goes first, then who offers to resume a session.
TEST_F(PoolOfOne, FullHandshakesWaitForCheapSteps) {
    SSL_SESSION* session = leave_session();
    Client begun, fresh, resuming(session);
    open(begun);
    pool.serve(0);
    pool.poll(0);
    begun.hear(pool, 0);
    open(fresh);
    open(resuming);
    begun.say(pool, 0);
    EXPECT_EQ(pool.waiting(0), 3u);
    for (const auto& expected : {begun.seat, resuming.seat, fresh.seat}) {
        EXPECT_TRUE(pool.serve(0));
        EXPECT_EQ(pool.poll(0), expected);
    }
    resuming.hear(pool, 0);
    resuming.say(pool, 0);
    pool.serve(0);
    EXPECT_EQ(pool.poll(0), resuming.seat);
    resuming.hear(pool, 0);
    EXPECT_TRUE(resuming.resumed);
    SSL_SESSION_free(session);
}

// Anybody can offer a ticket, whatever it is worth.
TEST_F(PoolOfOne, OffersToResumeStarveNobody) {
    SSL_SESSION* session = leave_session();
    Client fresh, offers[3] = {Client(session), Client(session), Client(session)};
    for (Client& offer : offers) open(offer);
    open(fresh);
    uint32_t served = 0;
    for (bool reached = false; !reached; ++served) {
        ASSERT_TRUE(pool.serve(0));
        const auto seat = pool.poll(0);
        reached = seat == fresh.seat;
        if (reached) continue;
        pool.close(0, *seat);
        settle_ends();
        Client next(session);
        open(next);  // they never end
    }
    EXPECT_LE(served, 4u);
    SSL_SESSION_free(session);
}

TEST_F(PoolOfOne, WithoutItsContextAHandshakeFails) {
    Client client;
    client.seat = pool.open(0, 3, 0);
    client.say(pool, 0);
    pool.serve(0);
    EXPECT_EQ(pool.poll(0), client.seat);
    EXPECT_TRUE(client.hear(pool, 0));
    EXPECT_EQ(client.state, Handshake::State::failed);
    EXPECT_EQ(pool.counters(0).failed, 1u);
}

// A configuration that is replaced while a ClientHello is cut in two takes nothing away from it.
TEST_F(PoolOfOne, ContextLivesAsLongAsItsHandshakes) {
    pool.set_context(0, server_context({.protocols = {"http/1.1"}}));
    Client client;
    static constexpr unsigned char offered[] = "\x08http/1.1";
    SSL_set_alpn_protos(client.peer.ssl(), offered, sizeof offered - 1);
    client.peer.step();
    const Buffer hello = client.peer.output();
    client.seat = pool.open(0, 0, 0);
    for (const Bytes part : {Bytes(hello).first(100), Bytes(hello).subspan(100)}) {
        ASSERT_EQ(pool.put(0, *client.seat, part), part.size());
        pool.submit(0, *client.seat);
        ASSERT_TRUE(pool.serve(0));
        ASSERT_EQ(pool.poll(0), client.seat);
        pool.set_context(0, nullptr);
    }
    EXPECT_FALSE(client.hear(pool, 0));
    client.say(pool, 0);
    pool.serve(0);
    pool.poll(0);
    EXPECT_TRUE(client.hear(pool, 0));
    EXPECT_EQ(client.state, Handshake::State::done);
}

TEST_F(PoolOfOne, InputBeyondAStepIsLeftToTheCaller) {
    const auto seat = pool.open(0, 0, 0);
    const Buffer much(step_input_bytes_max + 10);
    EXPECT_EQ(pool.put(0, *seat, Bytes(much).first(100)), 100u);
    EXPECT_EQ(pool.put(0, *seat, much), step_input_bytes_max - 100);
    EXPECT_EQ(pool.put(0, *seat, much), 0u);
}

// Two workers and two crypto threads, all at once.
TEST(Pool, ThreadsServeAllWorkers) {
    constexpr uint32_t count = 40;
    Pool pool({.workers = 2, .threads = 2, .seats = 8});
    pool.set_context(0, server_context());
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < 2; ++i)
        threads.emplace_back([&, i] {
            while (!stop)
                if (!pool.serve(i)) std::this_thread::yield();
        });
    std::vector<std::thread> workers;
    std::atomic<uint32_t> done = 0;
    for (uint32_t worker = 0; worker < 2; ++worker)
        workers.emplace_back([&, worker] {
            std::vector<std::unique_ptr<Client>> clients(8);
            uint32_t begun = 0, ended = 0;
            while (ended < count) {
                while (begun < count) {
                    const auto seat = pool.open(worker, 0, begun);
                    if (!seat) break;
                    clients[*seat] = std::make_unique<Client>();
                    clients[*seat]->seat = seat;
                    clients[*seat]->say(pool, worker);
                    ++begun;
                }
                const auto seat = pool.poll(worker);
                if (!seat) {
                    std::this_thread::yield();
                    continue;
                }
                Client& client = *clients[*seat];
                if (!client.hear(pool, worker)) {
                    client.say(pool, worker);
                    continue;
                }
                done += client.state == Handshake::State::done;
                ++ended;
                pool.close(worker, *seat);
            }
        });
    for (std::thread& thread : workers) thread.join();
    stop = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(done, 2 * count);
    EXPECT_EQ(pool.counters(0).done + pool.counters(1).done, 2 * count);
    EXPECT_GT(pool.counters(0).done, 0u);
    EXPECT_GT(pool.counters(1).done, 0u);
}

}  // namespace
}  // namespace millrace::tls
