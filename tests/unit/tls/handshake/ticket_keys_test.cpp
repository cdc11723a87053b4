// Sessions begun with one context are resumed with another that has the same keys, and with no other.
#include "tls/handshake/ticket_keys.h"

#include <gtest/gtest.h>

#include "peer.h"

namespace millrace::tls {
namespace {

/// The session that a client has after a handshake with the context.
Owned<SSL_SESSION> session_of(const std::shared_ptr<const Context>& context, int version) {
    Joined joined(context);
    SSL_CTX_set_min_proto_version(joined.peer.context(), version);
    SSL_CTX_set_max_proto_version(joined.peer.context(), version);
    EXPECT_EQ(joined.shake(), Handshake::State::done) << joined.ours.error();
    joined.hand_over();
    joined.send("a ticket came before this");
    EXPECT_NE(joined.peer.read(), "");
    SSL_set_shutdown(joined.peer.ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // else it is not resumable
    return Owned<SSL_SESSION>(SSL_get1_session(joined.peer.ssl()));
}

/// May be asked again of the same session.
bool resumes(const std::shared_ptr<const Context>& context, SSL_SESSION* session) {
    Joined joined(context);
    SSL_CTX_set_max_proto_version(joined.peer.context(), SSL_SESSION_get_protocol_version(session));
    SSL_set_session(joined.peer.ssl(), session);
    EXPECT_EQ(joined.shake(), Handshake::State::done) << joined.ours.error();
    // A connection that just ends spoils its session, and whatever asked next would not resume it.
    SSL_set_shutdown(joined.peer.ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    return joined.ours.resumed();
}

struct Versions : testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(TicketKeys, Versions, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(Versions, OutliveAContext) {
    const auto keys = std::make_shared<TicketKeys>();
    const auto session = session_of(server_context({.session_scope = "wss", .ticket_keys = keys}), GetParam());
    EXPECT_TRUE(resumes(server_context({.session_scope = "wss", .ticket_keys = keys}), session.get()));
    EXPECT_FALSE(resumes(server_context({.session_scope = "other", .ticket_keys = keys}), session.get()));
    EXPECT_FALSE(resumes(server_context({.session_scope = "wss"}), session.get()));
}

TEST_P(Versions, TheLastButOneStillOpens) {
    const auto keys = std::make_shared<TicketKeys>();
    const auto context = server_context({.ticket_keys = keys});
    const auto session = session_of(context, GetParam());
    keys->rotate();
    EXPECT_TRUE(resumes(context, session.get()));
    keys->rotate();
    EXPECT_FALSE(resumes(context, session.get()));
}

TEST_P(Versions, ThoseOfAFileAreTheSameOnEveryMachine) {
    const Buffer one(ticket_key_bytes, 1), two(ticket_key_bytes, 2);
    Buffer both = two;
    both.insert(both.end(), one.begin(), one.end());
    const auto here = std::make_shared<TicketKeys>(), there = std::make_shared<TicketKeys>();
    here->set(one);
    there->set(both);
    const auto session = session_of(server_context({.ticket_keys = here}), GetParam());
    EXPECT_TRUE(resumes(server_context({.ticket_keys = there}), session.get()));
    there->set(two);
    EXPECT_FALSE(resumes(server_context({.ticket_keys = there}), session.get()));
}

TEST(TicketKeys, Sizes) {
    EXPECT_TRUE(TicketKeys::valid_size(80));
    EXPECT_TRUE(TicketKeys::valid_size(16 * 80));
    for (const size_t bytes : {0u, 48u, 81u, 17u * 80u}) EXPECT_FALSE(TicketKeys::valid_size(bytes)) << bytes;
}

TEST(Tickets, NoneAreGivenWhereNoneAreWanted) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        const auto context = server_context({.tickets = 0});
        const auto session = session_of(context, version);
        EXPECT_FALSE(resumes(context, session.get()));
    }
}

}  // namespace
}  // namespace millrace::tls
