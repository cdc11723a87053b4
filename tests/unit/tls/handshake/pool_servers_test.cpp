// Handshakes of our own with servers: by what they are verified, and the sessions that they leave for later ones.
#include <gtest/gtest.h>

#include "peer.h"
#include "tls/handshake/pool.h"

namespace millrace::tls {
namespace {

constexpr uint16_t quotes_context = 300;
const ServerPeer quotes{5, IpAddress::v4(198, 18, 1, 10)};

/// A handshake with a server of the test's.
struct Visit {
    explicit Visit(unsigned char ticket_key = 1) {
        std::array<unsigned char, 80> keys{ticket_key};
        SSL_CTX_set_tlsext_ticket_keys(server.context(), keys.data(), keys.size());
    }

    Peer server{true};
    uint16_t seat = 0;
    Handshake::State state = Handshake::State::under_way;
    Slot slot{};
    bool resumed = false, ticket_wanted = false;
};

struct PoolWithServers : testing::Test {
    PoolWithServers() {
        pool.report_to([this](const std::string& line) { lines.push_back(line); });
        use(client_context());
    }
    ~PoolWithServers() override { EXPECT_EQ(free_seats(), 4u); }

    void use(std::shared_ptr<const Context> context,
             Servers::Settings settings = {.backend = "quotes", .server_name = "ticker.test"}) {
        pool.set_servers(quotes_context, std::make_shared<Servers>(std::move(context), std::move(settings)));
    }

    void step(Visit& visit) {
        pool.submit(0, visit.seat);
        ASSERT_TRUE(pool.serve(0));
        ASSERT_EQ(pool.poll(0), visit.seat);
        const Pool::Answer answer = pool.answer(0, visit.seat);
        visit.server.take(answer.output);
        visit.server.step();
        visit.state = answer.state;
        visit.resumed = answer.resumed;
        visit.ticket_wanted = answer.ticket_wanted;
        if (slot_set(answer.slot)) visit.slot = answer.slot;
    }
    static bool slot_set(const Slot& slot) { return (slot.flags & client_role) != 0; }
    void show(Visit& visit, Bytes bytes) {
        ASSERT_EQ(pool.put(0, visit.seat, bytes), bytes.size());
        step(visit);
    }
    /// Until it is done; what the server says then is not read yet.
    Handshake::State shake(Visit& visit, const ServerPeer& peer = quotes) {
        visit.seat = *pool.open(0, quotes_context, peer, 7);
        step(visit);
        while (visit.state == Handshake::State::under_way) {
            const Buffer bytes = visit.server.output();
            if (bytes.empty()) break;
            show(visit, bytes);
        }
        return visit.state;
    }
    void end(const Visit& visit) {
        pool.close(0, visit.seat);
        while (pool.serve(0)) EXPECT_EQ(pool.poll(0), std::nullopt);
    }
    /// A handshake that shows its tickets, if they are wanted.
    bool resumes(unsigned char ticket_key = 1, const ServerPeer& peer = quotes) {
        Visit visit(ticket_key);
        EXPECT_EQ(shake(visit, peer), Handshake::State::done) << (lines.empty() ? "" : lines.back());
        if (visit.ticket_wanted) show(visit, visit.server.output());
        EXPECT_FALSE(visit.ticket_wanted);
        end(visit);
        return visit.resumed;
    }
    size_t free_seats() {
        std::vector<uint16_t> seats;
        while (const auto seat = pool.open(0, 0, 0)) seats.push_back(*seat);
        for (const uint16_t seat : seats) pool.close(0, seat);
        return seats.size();
    }

    Pool pool{{.workers = 1, .threads = 1, .seats = 4}};
    std::vector<std::string> lines;  // of the log
};

TEST_F(PoolWithServers, HandshakeFromNothingToTheSlot) {
    Visit visit;
    ASSERT_EQ(shake(visit), Handshake::State::done);
    EXPECT_EQ(pool.answer(0, visit.seat).owner, 7u);
    EXPECT_EQ(pool.answer(0, visit.seat).subject, "");
    EXPECT_STREQ(SSL_get_servername(visit.server.ssl(), TLSEXT_NAMETYPE_host_name), "ticker.test");
    Crypto crypto;
    Buffer record(100);
    const Buffer text = bytes_of("hello");
    const Bytes pieces[] = {text};
    record.resize(seal(crypto, visit.slot, ContentType::application_data, pieces, record.data()));
    visit.server.take(record);
    EXPECT_EQ(visit.server.read(), "hello");
    EXPECT_EQ(pool.counters(0).done, 1u);
    end(visit);
}

TEST_F(PoolWithServers, EachServerIsVerifiedByItsHostOrItsAddress) {
    auto servers = std::make_shared<Servers>(client_context(), Servers::Settings{.backend = "quotes"});
    servers->know(5, {.name = "a", .host = "ticker.test"});
    servers->know(6, {.name = "b", .host = "other.test"});
    pool.set_servers(quotes_context, servers);
    Visit by_host, by_wrong_host, by_address, by_wrong_address;
    EXPECT_EQ(shake(by_host), Handshake::State::done);
    EXPECT_EQ(shake(by_wrong_host, {6, quotes.address}), Handshake::State::failed);
    by_address.server.use(identity(KeyKind::ecdsa, "198.18.1.10"));
    EXPECT_EQ(shake(by_address, {7, quotes.address}), Handshake::State::done);
    EXPECT_EQ(SSL_get_servername(by_address.server.ssl(), TLSEXT_NAMETYPE_host_name), nullptr);
    EXPECT_EQ(shake(by_wrong_address, {7, quotes.address}), Handshake::State::failed);
    EXPECT_EQ(lines, std::vector<std::string>{"no TLS with server quotes/b (198.18.1.10): certificate verify failed: "
                                              "hostname mismatch"});
    EXPECT_EQ(pool.counters(0).failed, 2u);
    for (const Visit* visit : {&by_host, &by_wrong_host, &by_address, &by_wrong_address}) end(*visit);
}

TEST_F(PoolWithServers, OnlyWhomTheAuthorityHasSignedIsTaken) {
    std::string error;
    std::shared_ptr<Context> context = Context::client({}, error);
    use(context);
    Visit strict, lenient;
    EXPECT_EQ(shake(strict), Handshake::State::failed);
    EXPECT_EQ(SSL_get_error(strict.server.ssl(), -1), SSL_ERROR_SSL) << "the server is told";
    EXPECT_EQ(lines, std::vector<std::string>{"no TLS with server 198.18.1.10: certificate verify failed: unable to "
                                              "get local issuer certificate"});
    context = Context::client({}, error);
    context->trust_anybody();
    use(context);
    EXPECT_EQ(shake(lenient), Handshake::State::done);
    end(strict);
    end(lenient);
}

TEST_F(PoolWithServers, OwnCertificateForServersThatAskForOne) {
    use(client_context({.identities = {identity(KeyKind::ecdsa, "balancer")}}));
    Visit visit;
    SSL_CTX_set_verify(visit.server.context(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    const Owned<X509> authority(PEM_read_bio_X509(reader(authority_pem()).get(), nullptr, no_passphrase, nullptr));
    X509_STORE_add_cert(SSL_CTX_get_cert_store(visit.server.context()), authority.get());
    ASSERT_EQ(shake(visit), Handshake::State::done);
    EXPECT_TRUE(visit.server.step()) << "the server is content";
    end(visit);
}

TEST_F(PoolWithServers, SessionsAreResumedInBothVersions) {
    for (const Version version : {Version::tls12, Version::tls13}) {
        use(client_context({.version_min = version, .version_max = version}));
        EXPECT_FALSE(resumes());
        EXPECT_TRUE(resumes());
        EXPECT_TRUE(resumes());
        EXPECT_FALSE(resumes(1, {6, quotes.address})) << "sessions are of one server";
        EXPECT_TRUE(resumes(1, {6, quotes.address}));
    }
    EXPECT_EQ(pool.counters(0).resumed, 6u);
}

TEST_F(PoolWithServers, OneHandshakeWaitsForTheTicket) {
    Visit first, second, third;
    shake(first);
    EXPECT_TRUE(first.ticket_wanted);
    shake(second);
    EXPECT_FALSE(second.ticket_wanted);
    const Buffer tickets = first.server.output();
    show(first, Bytes(tickets).first(10));
    EXPECT_TRUE(first.ticket_wanted) << "in pieces, as they come";
    show(first, Bytes(tickets).subspan(10));
    EXPECT_FALSE(first.ticket_wanted);
    EXPECT_TRUE(pool.answer(0, first.seat).output.empty());
    EXPECT_TRUE(pool.answer(0, first.seat).leftover.empty());
    shake(third);
    EXPECT_TRUE(third.resumed);
    EXPECT_FALSE(third.ticket_wanted);
    for (const Visit* visit : {&first, &second, &third}) end(*visit);
}

TEST_F(PoolWithServers, WhoEndsBeforeTheTicketLeavesItToTheNext) {
    Visit first, second;
    shake(first);
    EXPECT_TRUE(first.ticket_wanted);
    end(first);
    shake(second);
    EXPECT_TRUE(second.ticket_wanted);
    end(second);
}

TEST_F(PoolWithServers, AServerWithoutTicketsIsNotWaitedForForEver) {
    Visit first, second;
    SSL_CTX_set_num_tickets(first.server.context(), 0);
    shake(first);
    EXPECT_TRUE(first.ticket_wanted);
    size_t shown = 0;
    while (first.ticket_wanted && shown < 2 * ticket_search_bytes_max) {
        first.server.write(std::string(4000, 'x'));
        const Buffer record = first.server.output();
        show(first, record);
        shown += record.size();
    }
    EXPECT_FALSE(first.ticket_wanted);
    EXPECT_GE(shown, ticket_search_bytes_max);
    shake(second);
    EXPECT_FALSE(second.ticket_wanted) << "the next one looks a minute later";
    end(first);
    end(second);
}

// What a resumed handshake has been offered is not taken for a new session.
TEST_F(PoolWithServers, OnlyATicketIsANewSession) {
    for (const Version version : {Version::tls12, Version::tls13}) {
        const auto context = client_context({.version_min = version, .version_max = version});
        std::array<unsigned char, 80> keys{1};
        Owned<SSL_SESSION> session;
        for (const bool resumed : {false, true}) {
            Joined joined(context, {.session = session.get()});
            SSL_CTX_set_tlsext_ticket_keys(joined.peer.context(), keys.data(), keys.size());
            if (resumed) SSL_CTX_set_num_tickets(joined.peer.context(), 0);
            ASSERT_EQ(joined.shake(), Handshake::State::done) << joined.ours.error();
            joined.ours.stay();
            const Buffer behind = joined.waiting;
            joined.hand_over();
            joined.ours.read_along(behind);
            EXPECT_EQ(joined.ours.resumed(), resumed);
            if (resumed)
                EXPECT_EQ(joined.ours.session(), session);
            else
                session = joined.ours.session();
        }
    }
}

TEST_F(PoolWithServers, ARefusedSessionIsReplaced) {
    EXPECT_FALSE(resumes(1));
    EXPECT_TRUE(resumes(1));
    EXPECT_FALSE(resumes(2)) << "it has other keys now";
    EXPECT_TRUE(resumes(2));
}

TEST_F(PoolWithServers, ANewContextForgetsSessions) {
    EXPECT_FALSE(resumes());
    EXPECT_TRUE(resumes());
    Visit begun;
    shake(begun);
    use(client_context());
    EXPECT_FALSE(resumes());
    EXPECT_TRUE(resumes());
    end(begun);
}

TEST_F(PoolWithServers, ALateTicketGoesToTheContextThatItIsOf) {
    Visit begun;
    shake(begun);
    ASSERT_TRUE(begun.ticket_wanted);
    use(client_context());
    show(begun, begun.server.output());
    EXPECT_FALSE(begun.ticket_wanted);
    end(begun);
    EXPECT_FALSE(resumes());
}

TEST_F(PoolWithServers, AServersFaultIsNotOurs) {
    use(client_context(), {.backend = "quotes", .server_name = "other.test"});
    Visit visit;
    EXPECT_EQ(shake(visit), Handshake::State::failed);
    EXPECT_FALSE(pool.answer(0, visit.seat).own_fault);
    end(visit);
}

TEST_F(PoolWithServers, ContextsAreOfOneRole) {
    pool.set_context(0, server_context());
    pool.set_context(quotes_context, client_context());  // of nothing but addresses
    Visit visit;
    visit.server.use(identity(KeyKind::ecdsa, "198.18.1.10"));
    EXPECT_EQ(shake(visit), Handshake::State::done);
    end(visit);
    for (const uint16_t context : {uint16_t{0}, uint16_t{7}}) {
        const auto seat = pool.open(0, context, quotes, 0);
        pool.submit(0, *seat);
        pool.serve(0);
        EXPECT_EQ(pool.poll(0), seat);
        EXPECT_EQ(pool.answer(0, *seat).state, Handshake::State::failed);
        EXPECT_TRUE(pool.answer(0, *seat).own_fault);
        pool.close(0, *seat);
        while (pool.serve(0)) pool.poll(0);
    }
    const auto seat = pool.open(0, quotes_context, 0);
    pool.submit(0, *seat);
    pool.serve(0);
    pool.poll(0);
    EXPECT_EQ(pool.answer(0, *seat).state, Handshake::State::failed) << "no client is served by a client's";
    pool.close(0, *seat);
    while (pool.serve(0)) pool.poll(0);
}

// Their own clients have waited already.
TEST_F(PoolWithServers, ServersGoBeforeNewClients) {
    pool.set_context(0, server_context());
    Peer client(false);
    client.step();
    const auto fresh = pool.open(0, 0, 0);
    const Buffer hello = client.output();
    pool.put(0, *fresh, hello);
    pool.submit(0, *fresh);
    const auto toward_server = pool.open(0, quotes_context, quotes, 0);
    pool.submit(0, *toward_server);
    for (const auto& expected : {toward_server, fresh}) {
        EXPECT_TRUE(pool.serve(0));
        EXPECT_EQ(pool.poll(0), expected);
        pool.close(0, *expected);
        pool.serve(0);
        pool.poll(0);
    }
    while (pool.serve(0)) pool.poll(0);
}

}  // namespace
}  // namespace millrace::tls
