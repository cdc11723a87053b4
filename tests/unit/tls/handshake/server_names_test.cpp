// Which certificate a client is shown: by the name that it asks for and the kinds of keys that it takes.
#include <gtest/gtest.h>

#include "peer.h"
#include "tls/handshake/certificate.h"

namespace millrace::tls {
namespace {

std::string shown(const std::shared_ptr<const Context>& context, const char* host, const char* algorithms = nullptr,
                  std::string* staple = nullptr) {
    Joined joined(context);
    SSL* ssl = joined.peer.ssl();
    if (host != nullptr) SSL_set_tlsext_host_name(ssl, host);
    if (algorithms != nullptr) SSL_set1_sigalgs_list(ssl, algorithms);
    if (staple != nullptr) SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
    EXPECT_EQ(joined.shake(), Handshake::State::done) << joined.ours.error();
    joined.hand_over();
    const Owned<X509> certificate(SSL_get1_peer_certificate(ssl));
    if (!certificate) return "";
    const unsigned char* der = nullptr;
    const long length = SSL_get_tlsext_status_ocsp_resp(ssl, &der);
    if (staple != nullptr && length > 0)
        *staple = std::string(reinterpret_cast<const char*>(der), static_cast<size_t>(length));
    const bool rsa = EVP_PKEY_get_base_id(X509_get0_pubkey(certificate.get())) == EVP_PKEY_RSA;
    return names_of(certificate.get()).at(0) + (rsa ? " RSA" : " EC");
}

TEST(ServerNames, TheCertificateIsTheOneOfTheName) {
    const auto context = server_context(
        {.identities = {identity(KeyKind::ecdsa, "first.test"), identity(KeyKind::ecdsa, "*.second.test"),
                        identity(KeyKind::rsa, "first.test"), identity(KeyKind::rsa, "a.second.test")}});
    EXPECT_EQ(shown(context, nullptr), "first.test EC");
    EXPECT_EQ(shown(context, "first.test"), "first.test EC");
    EXPECT_EQ(shown(context, "first.test", "RSA-PSS+SHA256"), "first.test RSA");
    EXPECT_EQ(shown(context, "B.Second.test"), "*.second.test EC");
    EXPECT_EQ(shown(context, "a.second.test"), "a.second.test RSA") << "an exact name goes before a wildcard";
    EXPECT_EQ(shown(context, "b.a.second.test"), "first.test EC") << "a wildcard stands for one label";
    EXPECT_EQ(shown(context, "second.test"), "first.test EC");
    EXPECT_EQ(shown(context, "unknown"), "first.test EC");
}

TEST(ServerNames, EachCertificateHasItsStaple) {
    ContextSettings settings{
        .identities = {identity(KeyKind::ecdsa, "first.test"), identity(KeyKind::ecdsa, "second.test")}};
    const std::string response("\x30\x03\x0a\x01\x03", 5);  // "try later"
    settings.identities[1].ocsp_der = response;
    const auto context = server_context(settings);
    std::string staple;
    shown(context, "first.test", nullptr, &staple);
    EXPECT_EQ(staple, "");
    shown(context, "second.test", nullptr, &staple);
    EXPECT_EQ(staple, response);
    settings.identities[1].ocsp_der = "no response";
    std::string error;
    EXPECT_EQ(Context::server(settings, error), nullptr);
    EXPECT_EQ(error, "OCSP response: no such thing in DER");
}

}  // namespace
}  // namespace millrace::tls
