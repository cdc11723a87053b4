#include "tls/handshake/key_bundle.h"

#include <gtest/gtest.h>

#include "pki.h"

namespace millrace::tls {
namespace {

TEST(KeyBundle, ComesBackAsItWas) {
    std::string staple("\0\x01\xff der", 7);
    ListenerKeys keys{.listener = "wss", .slot = 7, .context = {.identities = {identity(KeyKind::ecdsa)}}};
    keys.context.identities[0].ocsp_der = staple;
    keys.context.identities.push_back(identity(KeyKind::rsa));
    keys.context.version_min = Version::tls13;
    keys.context.ciphers12 = "a";
    keys.context.suites13 = "b";
    keys.context.groups = "c";
    keys.context.protocols = {"http/1.1", "mqtt"};
    keys.context.tickets = 3;
    keys.context.client_certificates = ClientCertificates::optional;
    keys.context.client_ca_pem = "d";
    keys.ticket_keys = std::string(2 * ticket_key_bytes, '\x80');
    KeyBundle bundle;
    std::string error;
    ASSERT_TRUE(parse_bundle(to_text({7, {keys, keys}}), bundle, error)) << error;
    EXPECT_EQ(bundle.generation, 7u);
    ASSERT_EQ(bundle.listeners.size(), 2u);
    EXPECT_EQ(bundle.listeners[1].listener, "wss");
    EXPECT_EQ(bundle.listeners[1].slot, 7);
    EXPECT_EQ(bundle.listeners[1].ticket_keys, keys.ticket_keys);
    const ContextSettings& context = bundle.listeners[1].context;
    ASSERT_EQ(context.identities.size(), 2u);
    EXPECT_EQ(context.identities[0].chain_pem, keys.context.identities[0].chain_pem);
    EXPECT_EQ(context.identities[0].key_pem, keys.context.identities[0].key_pem);
    EXPECT_EQ(context.identities[0].ocsp_der, staple);
    EXPECT_EQ(context.version_min, Version::tls13);
    EXPECT_EQ(context.version_max, Version::tls13);
    EXPECT_EQ(context.ciphers12 + context.suites13 + context.groups + context.client_ca_pem, "abcd");
    EXPECT_EQ(context.protocols, keys.context.protocols);
    EXPECT_EQ(context.tickets, 3u);
    EXPECT_EQ(context.client_certificates, ClientCertificates::optional);
    EXPECT_EQ(context.session_scope, "wss\n1\nd") << "sessions don't outlive what clients are asked for";
}

TEST(KeyBundle, BackendsComeBackAsTheyWere) {
    const BackendKeys keys{.backend = "quotes",
                           .slot = 9,
                           .context = {.identities = {identity(KeyKind::ecdsa, "balancer")}, .groups = "X25519"},
                           .verify = false,
                           .ca_pem = authority_pem(),
                           .server_name = "quotes.example.com",
                           .resume = false,
                           .servers = {{.slot = 3, .name = "a", .host = "a.example.com"}, {.slot = 4, .name = "b"}}};
    KeyBundle bundle;
    std::string error;
    ASSERT_TRUE(parse_bundle(to_text({.generation = 7, .backends = {keys}}), bundle, error)) << error;
    EXPECT_TRUE(bundle.listeners.empty());
    ASSERT_EQ(bundle.backends.size(), 1u);
    const BackendKeys& back = bundle.backends[0];
    EXPECT_EQ(back.backend, "quotes");
    EXPECT_EQ(back.slot, 9);
    EXPECT_EQ(back.context.identities.at(0).key_pem, keys.context.identities[0].key_pem);
    EXPECT_EQ(back.context.groups, "X25519");
    EXPECT_FALSE(back.verify);
    EXPECT_FALSE(back.resume);
    EXPECT_EQ(back.ca_pem, authority_pem());
    EXPECT_EQ(back.server_name, "quotes.example.com");
    ASSERT_EQ(back.servers.size(), 2u);
    EXPECT_EQ(back.servers[0].host, "a.example.com");
    EXPECT_EQ(back.servers[1].slot, 4);
    EXPECT_EQ(back.servers[1].name, "b");
}

TEST(KeyBundle, ServersAreMadeOfWhatIsPossible) {
    const BackendKeys good{
        .backend = "quotes", .ca_pem = authority_pem(), .servers = {{.slot = 3, .name = "a", .host = "a.example.com"}}};
    std::string error;
    const auto servers = make_servers(good, error);
    ASSERT_NE(servers, nullptr) << error;
    EXPECT_EQ(servers->name_of({3, IpAddress::v4(198, 18, 1, 10)}), "a.example.com");
    BackendKeys bad = good;
    bad.ca_pem = "nothing of the kind";
    EXPECT_EQ(make_servers(bad, error), nullptr);
    EXPECT_EQ(error.find("CA: "), 0u) << error;
    bad.verify = false;
    EXPECT_NE(make_servers(bad, error), nullptr) << "nobody needs it";
    bad.context.identities = {{identity(KeyKind::ecdsa).chain_pem, identity(KeyKind::rsa).key_pem}};
    EXPECT_EQ(make_servers(bad, error), nullptr);
    EXPECT_EQ(error.find("private key: "), 0u) << error;
}

TEST(KeyBundle, ACommentInAnyCodeDoesNoHarm) {
    ListenerKeys keys{.listener = "wss", .context = {.identities = {identity(KeyKind::ecdsa)}}};
    keys.context.identities[0].chain_pem.insert(0, "issued for M\xfcller\n");
    KeyBundle bundle;
    std::string error;
    ASSERT_TRUE(parse_bundle(to_text({7, {keys}}), bundle, error)) << error;
    EXPECT_NE(Context::server(bundle.listeners[0].context, error), nullptr) << error;
}

TEST(KeyBundle, WhatIsNone) {
    std::string good = to_text({7, {{.listener = "wss", .context = {.identities = {identity(KeyKind::ecdsa)}}}}});
    std::string version = good, ticket_keys = good;
    version.replace(version.find("\"version_min\":1"), 15, "\"version_min\":9");
    ticket_keys.replace(ticket_keys.find("\"ticket_keys\":\"\""), 16, "\"ticket_keys\":\"00\"");
    for (const std::string& text : {std::string(), std::string("[1]"), good.substr(1), version, ticket_keys}) {
        KeyBundle bundle;
        std::string error;
        EXPECT_FALSE(parse_bundle(text, bundle, error)) << text.substr(0, 80);
        EXPECT_EQ(error.find("no bundle of keys: "), 0u) << error;
    }
}

}  // namespace
}  // namespace millrace::tls
