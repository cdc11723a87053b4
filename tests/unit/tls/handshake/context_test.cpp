// What a configuration may not ask for is refused when it is read, with words that help.
#include "tls/handshake/context.h"

#include <gtest/gtest.h>

#include "pki.h"

namespace millrace::tls {
namespace {

std::string refusal(const ContextSettings& settings) {
    std::string error;
    EXPECT_EQ(Context::server(settings, error), nullptr);
    return error;
}

ContextSettings usual() {
    return {.identities = {identity(KeyKind::ecdsa)}};
}

TEST(Context, OnlyAeads) {
    ContextSettings settings = usual();
    settings.ciphers12 = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA256";
    EXPECT_EQ(
        refusal(settings),
        "cipher ECDHE-ECDSA-AES128-SHA256 is none of AES-128-GCM, AES-256-GCM and ChaCha20-Poly1305; take it out of "
        "the list");
    settings.ciphers12 = "";
    settings.suites13 = "TLS_AES_128_CCM_SHA256";
    EXPECT_NE(refusal(settings).find("TLS_AES_128_CCM_SHA256"), std::string::npos);
}

TEST(Context, UnknownNames) {
    ContextSettings settings = usual();
    settings.ciphers12 = "NONE-SUCH";
    EXPECT_EQ(refusal(settings), "ciphers \"NONE-SUCH\": no cipher match");
    settings = usual();
    settings.suites13 = "TLS_NONE_SUCH";
    EXPECT_EQ(refusal(settings), "suites \"TLS_NONE_SUCH\": no cipher match");
    settings = usual();
    settings.groups = "X25518";
    EXPECT_EQ(refusal(settings).substr(0, 17), "groups \"X25518\": ");
    settings = usual();
    settings.protocols = {""};
    EXPECT_EQ(refusal(settings), "protocol \"\": 1 to 255 bytes are possible");
}

TEST(Context, CertificatesAndKeys) {
    EXPECT_EQ(refusal({}), "a server needs a certificate and its key");
    EXPECT_EQ(refusal({.identities = {{"no text of such", identity(KeyKind::ecdsa).key_pem}}}),
              "certificate: no start line");
    EXPECT_EQ(refusal({.identities = {{identity(KeyKind::ecdsa).chain_pem, "nor this"}}}).substr(0, 13),
              "private key: ");
    EXPECT_EQ(
        refusal({.identities = {{identity(KeyKind::ecdsa).chain_pem, identity(KeyKind::ecdsa, "another").key_pem}}}),
        "private key: key values mismatch");
}

// A damaged certificate must not silently shorten the chain, and nobody is asked for a passphrase.
TEST(Context, DamagedAndEncryptedTexts) {
    const Identity& own = identity(KeyKind::ecdsa);
    std::string damaged = own.chain_pem + authority_pem();
    damaged[own.chain_pem.size() + 60] = '!';
    EXPECT_EQ(refusal({.identities = {{damaged, own.key_pem}}}).substr(0, 19), "certificate chain: ");
    EXPECT_EQ(
        refusal(
            {.identities = {{own.chain_pem,
                             "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGj\n-----END ENCRYPTED PRIVATE KEY-----\n"}}}),
        "private key: it is encrypted; store it without a passphrase, readable by the group of millrace-control alone");
    std::string error;
    const auto context = Context::client({}, error);
    EXPECT_FALSE(context->trust(authority_pem() + damaged, error));
}

TEST(Context, VersionsInOrder) {
    ContextSettings settings = usual();
    settings.version_min = Version::tls13;
    settings.version_max = Version::tls12;
    EXPECT_EQ(refusal(settings), "the lowest version is above the highest");
}

TEST(Context, Authorities) {
    std::string error;
    const auto context = Context::client({}, error);
    ASSERT_NE(context, nullptr) << error;
    EXPECT_FALSE(context->trust("", error));
    EXPECT_EQ(error, "CA: no PEM certificate in it");
    EXPECT_TRUE(context->trust(authority_pem(), error));
}

}  // namespace
}  // namespace millrace::tls
