// The first messages that OpenSSL sends, and what is made of their pieces.
#include "tls/handshake/client_hello.h"

#include <gtest/gtest.h>

#include "peer.h"

namespace millrace::tls {
namespace {

/// A client's first bytes, fresh or with a session that an earlier connection has left.
Buffer hello(Version version, bool resuming) {
    const auto context = server_context({.version_min = version, .version_max = version});
    Joined first(context);
    if (!resuming) {
        first.peer.step();
        return first.peer.output();
    }
    first.shake();
    first.hand_over();
    first.send("x");
    first.peer.read();  // and the ticket before it
    SSL_SESSION* session = SSL_get1_session(first.peer.ssl());
    SSL_set_shutdown(first.peer.ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    Joined second(context);
    SSL_set_session(second.peer.ssl(), session);
    second.peer.step();
    SSL_SESSION_free(session);
    return second.peer.output();
}

TEST(ClientHello, ResumptionIsSeen) {
    for (const Version version : {Version::tls12, Version::tls13}) {
        EXPECT_TRUE(offers_resumption(hello(version, true)));
        EXPECT_FALSE(offers_resumption(hello(version, false)));
    }
}

TEST(ClientHello, PartsOfOneAreNone) {
    const Buffer whole = hello(Version::tls13, true);
    for (size_t length = 0; length < whole.size(); ++length)
        EXPECT_FALSE(offers_resumption(Bytes(whole).first(length)));
}

// The pre-shared key is the last extension, so any wrong length on the way hides it.
TEST(ClientHello, WrongLengthsAreNone) {
    const Buffer whole = hello(Version::tls13, true);
    for (const size_t at : {0u, 3u, 5u, 6u, 43u}) {  // record type, its length, message type, its length, session id
        Buffer wrong = whole;
        wrong[at] = 0xff;
        EXPECT_FALSE(offers_resumption(wrong)) << at;
    }
}

}  // namespace
}  // namespace millrace::tls
