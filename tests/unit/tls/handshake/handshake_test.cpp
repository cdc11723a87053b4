#include "tls/handshake/handshake.h"

#include <gtest/gtest.h>

#include "peer.h"

namespace millrace::tls {
namespace {

TEST(Handshake, TellsWhatWasAgreed) {
    const auto context = server_context({.groups = "X25519", .protocols = {"http/1.1"}});
    Joined joined(context);
    static constexpr unsigned char offered[] = "\x02h2\x08http/1.1";
    SSL_CTX_set_alpn_protos(joined.peer.context(), offered, sizeof offered - 1);
    ASSERT_EQ(joined.shake(), Handshake::State::done) << joined.ours.error();
    EXPECT_EQ(joined.ours.version(), Version::tls13);
    EXPECT_EQ(joined.ours.group(), "x25519");
    EXPECT_EQ(joined.ours.protocol(), "http/1.1");
    EXPECT_EQ(joined.ours.peer_subject(), "");
}

TEST(Handshake, ChoosesTheKeyThatTheClientTakes) {
    const auto context = server_context({.identities = {identity(KeyKind::rsa), identity(KeyKind::ecdsa)}});
    for (const char* algorithms : {"ECDSA+SHA256", "rsa_pss_rsae_sha256"}) {
        Joined joined(context);
        SSL_CTX_set1_sigalgs_list(joined.peer.context(), algorithms);
        EXPECT_EQ(joined.shake(), Handshake::State::done) << algorithms << ": " << joined.ours.error();
    }
}

TEST(Handshake, WithoutACommonProtocolItFails) {
    const auto context = server_context({.protocols = {"http/1.1"}});
    Joined joined(context);
    static constexpr unsigned char offered[] = "\x02h2";
    SSL_CTX_set_alpn_protos(joined.peer.context(), offered, sizeof offered - 1);
    EXPECT_EQ(joined.shake(), Handshake::State::failed);
}

// The peer learns why: the alert is in what was put out.
TEST(Handshake, WithoutACommonVersionItFails) {
    const auto context = server_context({.version_min = Version::tls13});
    Joined joined(context);
    SSL_CTX_set_max_proto_version(joined.peer.context(), TLS1_2_VERSION);
    EXPECT_EQ(joined.shake(), Handshake::State::failed);
    EXPECT_EQ(joined.ours.error(), "unsupported protocol");
    EXPECT_EQ(SSL_get_error(joined.peer.ssl(), -1), SSL_ERROR_SSL);
    Slot slot;
    Buffer leftover;
    EXPECT_FALSE(joined.ours.hand_over(joined.crypto, slot, leftover));
}

TEST(Handshake, NoiseFails) {
    const auto context = server_context();
    using namespace std::literals;
    for (const std::string_view noise :
         {"GET / HTTP/1.1\r\n\r\n"sv, "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"sv, "\x15\x03\x03\x00\x02\x02\x28"sv}) {
        Handshake handshake(context, {});
        Buffer out;
        EXPECT_EQ(handshake.step(bytes_of(noise), out), Handshake::State::failed);
        EXPECT_FALSE(handshake.error().empty());
    }
}

TEST(Handshake, TakesNoMoreThanItsBound) {
    const auto context = server_context();
    Handshake handshake(context, {.bytes_max = 1000});
    Buffer out;
    const Buffer part = bytes_of(std::string("\x16\x03\x01\x3f\xff", 5) + std::string(495, 'x'));
    EXPECT_EQ(handshake.step(part, out), Handshake::State::under_way);
    EXPECT_EQ(handshake.step(Buffer(500, 'x'), out), Handshake::State::under_way);
    EXPECT_EQ(handshake.step(Buffer(1, 'x'), out), Handshake::State::failed);
}

TEST(Handshake, ServersNameIsChecked) {
    const auto context = client_context();
    Joined right(context, {.server_name = "ticker.test"}), wrong(context, {.server_name = "other.test"});
    EXPECT_EQ(right.shake(), Handshake::State::done) << right.ours.error();
    EXPECT_EQ(wrong.shake(), Handshake::State::failed);
    EXPECT_EQ(wrong.ours.error(), "certificate verify failed: hostname mismatch");
}

TEST(Handshake, ServersAddressIsChecked) {
    const auto context = client_context();
    for (const char* address : {"198.18.1.10", "2001:db8::10"}) {
        Joined right(context, {.server_name = address}), wrong(context, {.server_name = address});
        right.peer.use(identity(KeyKind::ecdsa, address));
        EXPECT_EQ(right.shake(), Handshake::State::done) << right.ours.error();
        EXPECT_EQ(SSL_get_servername(right.peer.ssl(), TLSEXT_NAMETYPE_host_name), nullptr);
        EXPECT_EQ(wrong.shake(), Handshake::State::failed);
        EXPECT_EQ(wrong.ours.error(), "certificate verify failed: IP address mismatch");
    }
}

TEST(Handshake, WithoutANameThatCanBeAskedForNothingBegins) {
    Joined joined(client_context(), {.server_name = std::string(300, 'x')});
    EXPECT_EQ(joined.shake(), Handshake::State::failed);
    EXPECT_EQ(joined.ours.error().find("the server's name is none: "), 0u) << joined.ours.error();
    EXPECT_TRUE(joined.peer.output().empty());
}

TEST(Handshake, UnknownAuthorityIsRefusedUnlessAnybodyIsTrusted) {
    std::string error;
    const std::shared_ptr<Context> context = Context::client({}, error);
    Joined strict(context);
    EXPECT_EQ(strict.shake(), Handshake::State::failed);
    context->trust_anybody();
    Joined lenient(context);
    EXPECT_EQ(lenient.shake(), Handshake::State::done) << lenient.ours.error();
}

TEST(Handshake, RequiredClientCertificate) {
    const auto context =
        server_context({.client_certificates = ClientCertificates::required, .client_ca_pem = authority_pem()});
    Joined without(context);
    EXPECT_EQ(without.shake(), Handshake::State::failed);
    const auto lenient =
        server_context({.client_certificates = ClientCertificates::optional, .client_ca_pem = authority_pem()});
    Joined without_but_optional(lenient);
    EXPECT_EQ(without_but_optional.shake(), Handshake::State::done) << without_but_optional.ours.error();
    Joined with(context);
    with.peer.use(identity(KeyKind::ecdsa, "trader"));
    EXPECT_EQ(with.shake(), Handshake::State::done) << with.ours.error();
    EXPECT_EQ(with.ours.peer_subject(), "CN=trader");
}

}  // namespace
}  // namespace millrace::tls
