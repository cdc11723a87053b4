// The sessions and names of servers, by a clock of the test's own.
#include "tls/handshake/servers.h"

#include <gtest/gtest.h>

#include "peer.h"

namespace millrace::tls {
namespace {

constexpr uint64_t second = 1'000'000'000, minute = 60 * second;
const ServerPeer quotes{5, IpAddress::v4(198, 18, 1, 10)};
const ServerPeer another{5, IpAddress::v4(198, 18, 1, 11)};

Owned<SSL_SESSION> session(unsigned char id) {
    Owned<SSL_SESSION> made(SSL_SESSION_new());
    SSL_SESSION_set1_id(made.get(), &id, 1);
    return made;
}

struct ServersTest : testing::Test {
    /// Of the session that is offered; 0: none is.
    int offered(const ServerPeer& peer = quotes) const {
        const Owned<SSL_SESSION> found = servers.session(peer);
        unsigned length = 0;
        return found ? *SSL_SESSION_get_id(found.get(), &length) : 0;
    }
    /// A whole harvest.
    void take(unsigned char id, uint64_t now_ns) {
        ASSERT_TRUE(servers.harvest(quotes, std::nullopt, now_ns));
        servers.store(quotes, session(id), now_ns);
    }

    Servers servers{client_context(), {.backend = "quotes"}};
};

TEST_F(ServersTest, NamesByWhichServersAreVerified) {
    servers.know(5, {.name = "a", .host = "quotes.example.com"});
    servers.know(5, {.name = "b", .host = "other.example.com"});
    servers.know(6, {.name = "c"});
    EXPECT_EQ(servers.name_of(quotes), "quotes.example.com") << "what is known stays";
    EXPECT_EQ(servers.name_of({6, quotes.address}), "198.18.1.10");
    EXPECT_EQ(servers.name_of({7, *parse_ip_address("2001:db8::10")}), "2001:db8::10");
    Servers of_one_name(client_context(), {.server_name = "cluster.internal"});
    of_one_name.know(5, {.name = "a", .host = "quotes.example.com"});
    EXPECT_EQ(of_one_name.name_of(quotes), "cluster.internal");
}

TEST_F(ServersTest, OneHandshakeAtATimeHarvests) {
    EXPECT_EQ(offered(), 0);
    EXPECT_TRUE(servers.harvest(quotes, std::nullopt, 0));
    EXPECT_FALSE(servers.harvest(quotes, std::nullopt, 0));
    servers.store(quotes, session(1), 0);
    EXPECT_EQ(offered(), 1);
    EXPECT_FALSE(servers.harvest(quotes, std::nullopt, minute));
    EXPECT_EQ(offered(), 1);
}

TEST_F(ServersTest, AnOldSessionIsReplacedAndOfferedMeanwhile) {
    take(1, 0);
    EXPECT_FALSE(servers.harvest(quotes, std::nullopt, 10 * minute - 1));
    EXPECT_TRUE(servers.harvest(quotes, std::nullopt, 10 * minute));
    EXPECT_EQ(offered(), 1);
    servers.store(quotes, session(2), 10 * minute);
    EXPECT_EQ(offered(), 2);
}

TEST_F(ServersTest, ARefusedSessionIsDroppedUnlessThereIsANewOne) {
    take(1, 100);
    EXPECT_TRUE(servers.harvest(quotes, 200, 300));
    EXPECT_EQ(offered(), 0);
    servers.store(quotes, session(2), 400);
    EXPECT_FALSE(servers.harvest(quotes, 350, 500)) << "what was refused was offered before";
    EXPECT_EQ(offered(), 2);
}

TEST_F(ServersTest, WhoGivesUpLetsOthersTryLater) {
    EXPECT_TRUE(servers.harvest(quotes, std::nullopt, 0));
    servers.give_up(quotes, minute);
    EXPECT_FALSE(servers.harvest(quotes, std::nullopt, minute - 1));
    EXPECT_TRUE(servers.harvest(quotes, std::nullopt, minute));
}

TEST_F(ServersTest, AnotherServerOfTheSlotGetsNothingOfIt) {
    take(1, 0);
    EXPECT_EQ(offered(another), 0);
    EXPECT_TRUE(servers.harvest(another, std::nullopt, 1));
    servers.store(quotes, session(2), 2);  // it comes late
    servers.give_up(quotes, 2);
    EXPECT_EQ(offered(quotes), 0);
    EXPECT_FALSE(servers.harvest(another, std::nullopt, 3)) << "one is awaited still";
    servers.store(another, session(3), 4);
    EXPECT_EQ(offered(another), 3);
}

TEST_F(ServersTest, NothingIsKeptWhereNothingIsResumed) {
    Servers none(client_context(), {.resume = false});
    EXPECT_FALSE(none.harvest(quotes, std::nullopt, 0));
}

TEST_F(ServersTest, AFailedHandshakeEndsTheSession) {
    take(1, 0);
    servers.failed(quotes, "bad record mac", 1);
    EXPECT_EQ(offered(), 0);
    EXPECT_TRUE(servers.harvest(quotes, std::nullopt, 1));
}

TEST_F(ServersTest, FailuresAreToldOnceASecond) {
    servers.know(5, {.name = "a", .host = ""});
    EXPECT_EQ(servers.failed(quotes, "why", second), "no TLS with server quotes/a (198.18.1.10): why");
    EXPECT_EQ(servers.failed(quotes, "why", second + 1), std::nullopt);
    EXPECT_EQ(servers.failed({6, another.address}, "so", 2 * second - 1), std::nullopt);
    EXPECT_EQ(servers.failed({6, another.address}, "so", 2 * second),
              "no TLS with server 198.18.1.11: so, and 2 more of its backend before");
    EXPECT_EQ(servers.failed(quotes, "why", 4 * second), "no TLS with server quotes/a (198.18.1.10): why");
}

}  // namespace
}  // namespace millrace::tls
