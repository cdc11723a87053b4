// After every kind of handshake, in both roles, OpenSSL and our records understand each other.
#include <gtest/gtest.h>

#include "peer.h"
#include "tls/handshake/handshake.h"

namespace millrace::tls {
namespace {

struct Kind {
    Version version;
    const char* cipher;
    KeyKind key;
};

constexpr Kind kinds[] = {
    {Version::tls13, "TLS_AES_128_GCM_SHA256", KeyKind::ecdsa},
    {Version::tls13, "TLS_AES_256_GCM_SHA384", KeyKind::rsa},
    {Version::tls13, "TLS_CHACHA20_POLY1305_SHA256", KeyKind::ecdsa},
    {Version::tls12, "ECDHE-ECDSA-AES128-GCM-SHA256", KeyKind::ecdsa},
    {Version::tls12, "ECDHE-RSA-AES128-GCM-SHA256", KeyKind::rsa},
    {Version::tls12, "ECDHE-ECDSA-AES256-GCM-SHA384", KeyKind::ecdsa},
    {Version::tls12, "ECDHE-RSA-CHACHA20-POLY1305", KeyKind::rsa},
};

ContextSettings settings_of(const Kind& kind) {
    ContextSettings settings{
        .identities = {identity(kind.key)}, .version_min = kind.version, .version_max = kind.version};
    (kind.version == Version::tls13 ? settings.suites13 : settings.ciphers12) = kind.cipher;
    return settings;
}

/// Both ways, small and large, several times.
void converse(Joined& joined) {
    for (int round = 0; round < 3; ++round) {
        for (const size_t length : {1u, 128u, 16'384u}) {
            const std::string text(length, static_cast<char>('a' + round));
            joined.send(text);
            EXPECT_EQ(joined.peer.read(), text);
            joined.peer.write(text);
            EXPECT_EQ(joined.receive(), text);
        }
    }
}

class HandOver : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(All, HandOver, testing::ValuesIn(kinds), [](const auto& kind) {
    std::string name = kind.param.cipher;
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
});

TEST_P(HandOver, AsServer) {
    const auto context = server_context(settings_of(GetParam()));
    Joined joined(context);
    ASSERT_EQ(joined.shake(), Handshake::State::done) << joined.ours.error();
    EXPECT_EQ(joined.ours.cipher(), GetParam().cipher);
    EXPECT_EQ(joined.ours.version(), GetParam().version);
    joined.hand_over();
    converse(joined);
}

TEST_P(HandOver, AsClient) {
    ContextSettings settings = settings_of(GetParam());
    settings.identities.clear();
    const auto context = client_context(settings);
    Joined joined(context, {.server_name = "ticker.test"});
    ASSERT_EQ(joined.shake(), Handshake::State::done) << joined.ours.error();
    joined.hand_over();
    converse(joined);
    EXPECT_EQ(joined.verdict.kind, Verdict::Kind::carry_on) << "with the server's tickets in between";
}

TEST_P(HandOver, EveryByteByItself) {
    const auto context = server_context(settings_of(GetParam()));
    Joined joined(context);
    ASSERT_EQ(joined.shake(1), Handshake::State::done) << joined.ours.error();
    joined.hand_over();
    converse(joined);
}

// A client's first request often comes in the segment of its Finished.
TEST_P(HandOver, RecordsBehindTheHandshakeAreNotLost) {
    const auto context = server_context(settings_of(GetParam()));
    Joined joined(context);
    Buffer out;
    joined.peer.step();
    joined.ours.step(joined.peer.output(), out);
    joined.peer.take(out);
    joined.peer.step();
    if (GetParam().version == Version::tls12) {  // the client has to wait for the server's Finished
        Buffer finished;
        joined.ours.step(joined.peer.output(), finished);
        joined.peer.take(finished);
        ASSERT_TRUE(joined.peer.step());
        joined.peer.write("first");
    } else {
        joined.peer.write("first");
        Buffer tickets, flight = joined.peer.output();
        flight.resize(flight.size() - 3);  // the last record is not whole
        joined.ours.step(flight, tickets);
        joined.peer.take(tickets);
        joined.hand_over();
        EXPECT_EQ(joined.receive(), "");
        EXPECT_GT(joined.waiting.size(), 20u);
        return;
    }
    joined.hand_over();
    EXPECT_EQ(joined.receive(), "first");
}

TEST_P(HandOver, CloseNotifyBothWays) {
    const auto context = server_context(settings_of(GetParam()));
    Joined joined(context);
    joined.shake();
    joined.hand_over();
    Buffer record(control_record_bytes_max);
    record.resize(seal_alert(joined.crypto, joined.slot, Alert::close_notify, record.data()));
    joined.peer.take(record);
    EXPECT_EQ(joined.peer.read(), "");
    EXPECT_NE(SSL_get_shutdown(joined.peer.ssl()) & SSL_RECEIVED_SHUTDOWN, 0);
    SSL_shutdown(joined.peer.ssl());
    joined.receive();
    EXPECT_EQ(joined.verdict.kind, Verdict::Kind::closed);
}

// RFC 8446 §4.6.3: by the peer, with and without a request, and by us.
TEST(HandOver, KeyUpdatesInTheMiddleOfAStream) {
    const auto context = server_context();
    Joined joined(context);
    joined.shake();
    joined.hand_over();
    ASSERT_EQ(joined.slot.version, Version::tls13);
    for (const int kind : {SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_REQUESTED}) {
        ASSERT_EQ(SSL_key_update(joined.peer.ssl(), kind), 1);
        converse(joined);
        Buffer record(control_record_bytes_max);
        record.resize(seal_key_update(joined.crypto, joined.slot, record.data()));
        joined.peer.take(record);
        converse(joined);
    }
    EXPECT_EQ(joined.slot.flags & key_update_owed, 0);
}

// The number of tickets is the number of records that OpenSSL has sealed under the application's key.
TEST(HandOver, TicketsCount) {
    for (const uint32_t tickets : {0u, 1u, 4u}) {
        const auto context = server_context({.tickets = tickets});
        Joined joined(context);
        joined.shake();
        joined.hand_over();
        EXPECT_EQ(joined.slot.write.sequence, tickets);
        converse(joined);
    }
}

TEST(HandOver, ResumedInBothVersions) {
    for (const Version version : {Version::tls12, Version::tls13}) {
        const auto context = server_context({.version_min = version, .version_max = version});
        SSL_SESSION* session = nullptr;
        {
            Joined first(context);
            first.shake();
            EXPECT_FALSE(first.ours.resumed());
            first.hand_over();
            converse(first);  // the client has read its ticket
            session = SSL_get1_session(first.peer.ssl());
            SSL_set_shutdown(first.peer.ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        }
        Joined second(context);
        SSL_set_session(second.peer.ssl(), session);
        second.shake();
        ASSERT_EQ(second.ours.state(), Handshake::State::done) << second.ours.error();
        EXPECT_TRUE(second.ours.resumed());
        second.hand_over();
        converse(second);
        SSL_SESSION_free(session);
    }
}

// In TLS 1.3 its ticket comes behind the handshake, where the record layer reads it, too.
TEST(HandOver, AClientsSessionIsResumedInBothVersions) {
    std::array<unsigned char, 80> ticket_keys{7};
    for (const Version version : {Version::tls12, Version::tls13}) {
        const auto context = client_context({.version_min = version, .version_max = version});
        Joined first(context);
        SSL_CTX_set_tlsext_ticket_keys(first.peer.context(), ticket_keys.data(), ticket_keys.size());
        first.shake();
        EXPECT_EQ(first.ours.session() == nullptr, version == Version::tls13);
        first.ours.stay();
        const Buffer behind = first.waiting;
        first.hand_over();
        first.ours.read_along(behind);
        const Owned<SSL_SESSION> session = first.ours.session();
        ASSERT_NE(session, nullptr);
        converse(first);

        Joined second(context, {.session = session.get()});
        SSL_CTX_set_tlsext_ticket_keys(second.peer.context(), ticket_keys.data(), ticket_keys.size());
        second.shake();
        ASSERT_EQ(second.ours.state(), Handshake::State::done) << second.ours.error();
        EXPECT_TRUE(second.ours.resumed());
        second.hand_over();
        converse(second);
    }
}

// RFC 6066 §4.
TEST(HandOver, AgreedFragmentLength) {
    for (const Version version : {Version::tls12, Version::tls13}) {
        const auto context = server_context({.version_min = version, .version_max = version});
        Joined joined(context);
        SSL_set_tlsext_max_fragment_length(joined.peer.ssl(), TLSEXT_max_fragment_length_1024);
        joined.shake();
        joined.hand_over();
        ASSERT_EQ(payload_limit(joined.slot), 1024u);
        joined.send(std::string(1024, 'x'));
        EXPECT_EQ(joined.peer.read().size(), 1024u);
    }
}

// RFC 8446 §4.1.4.
TEST(HandOver, AfterAHelloRetryRequest) {
    const auto context = server_context({.groups = "P-384"});
    Joined joined(context);
    SSL_CTX_set1_groups_list(joined.peer.context(), "X25519:P-384");
    joined.shake();
    ASSERT_EQ(joined.ours.state(), Handshake::State::done) << joined.ours.error();
    EXPECT_EQ(joined.ours.group(), "secp384r1");
    joined.hand_over();
    converse(joined);
}

}  // namespace
}  // namespace millrace::tls
