// What is told of the files of TLS, each with the line that names it.
#include "control/config/tls_files.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "control/config/publish.h"
#include "sample.h"
#include "tests/unit/tls/handshake/pki.h"

namespace millrace::control {
namespace {

using tls::KeyKind;

class TlsFiles : public testing::Test {
  protected:
    TlsFiles() {
        char path[] = "/tmp/millrace-tls-XXXXXX";
        folder_ = mkdtemp(path);
        write("a.pem", tls::identity(KeyKind::ecdsa).chain_pem);
        write("a.key", tls::identity(KeyKind::ecdsa).key_pem);
        write("b.key", tls::identity(KeyKind::ecdsa, "other.test").key_pem);
        write("ca.pem", tls::authority_pem());
        write("tickets", std::string(160, 'k'));
        write("short", std::string(48, 'k'));
        write("none", "nothing of the kind");
    }
    ~TlsFiles() override { std::filesystem::remove_all(folder_); }

    void write(const std::string& name, const std::string& text) {
        std::ofstream(folder_ + '/' + name, std::ios::binary) << text;
    }
    /// The sample with TLS for its first listener, where FOLDER stands for the folder.
    LoadResult load(std::string tls, bool check_only = false) {
        for (size_t at; (at = tls.find("FOLDER")) != tls.npos;) tls.replace(at, 6, folder_);
        return test::load(test::edited(test::sample_text, "port = 80\n", "port = 80\n[listener.tls]\n" + tls),
                          check_only);
    }
    std::string told(const std::string& more, bool check_only = false) { return told_of(load(more, check_only)); }
    std::string told_of(const LoadResult& result) {
        std::string text = test::diagnostics_of(result);
        for (size_t at; (at = text.find(folder_)) != text.npos;) text.replace(at, folder_.size(), "FOLDER");
        return text;
    }
    /// The sample with TLS toward the servers of its first backend, on one line.
    LoadResult load_backend(std::string tls, const std::string& dataplane = "") {
        for (size_t at; (at = tls.find("FOLDER")) != tls.npos;) tls.replace(at, 6, folder_);
        return test::load(
            test::edited(test::edited(test::sample_text, "cores = [0, 1]\n", "cores = [0, 1]\n" + dataplane),
                         "balance = \"maglev\"\n", "balance = \"maglev\"\ntls = { " + tls + " }\n"));
    }

    std::string folder_;
};

const std::string certificate = "[[listener.tls.certificate]]\nchain = \"FOLDER/a.pem\"\nkey = \"FOLDER/a.key\"\n";

TEST_F(TlsFiles, GoodOnesAreRead) {
    const LoadResult result = load(
        "ticket_keys = \"FOLDER/tickets\"\nclient_certificates = \"optional\"\n"
        "client_ca = \"FOLDER/ca.pem\"\nalpn = \"http/1.1,http/1.0\"\n" +
        certificate);
    ASSERT_EQ(test::diagnostics_of(result), "");
    const tls::ListenerKeys keys = keys_of(result.config.listeners[0], 5);
    EXPECT_EQ(keys.listener, "ticker");
    EXPECT_EQ(keys.slot, 5);
    EXPECT_EQ(keys.ticket_keys, std::string(160, 'k'));
    EXPECT_EQ(keys.context.identities.at(0).key_pem, tls::identity(KeyKind::ecdsa).key_pem);
    EXPECT_EQ(keys.context.client_ca_pem, tls::authority_pem());
    EXPECT_EQ(keys.context.protocols, (std::vector<std::string>{"http/1.1", "http/1.0"}));
}

TEST_F(TlsFiles, WithoutAlpnClientsOfHttpMayChooseHttpAlone) {
    const LoadResult result = load(certificate);
    ASSERT_EQ(test::diagnostics_of(result), "");
    EXPECT_EQ(keys_of(result.config.listeners[0], 0).context.protocols, std::vector<std::string>{"http/1.1"});
}

TEST_F(TlsFiles, WhatIsWrongHasItsPlace) {
    const auto pair = [](const std::string& chain, const std::string& key) {
        return "[[listener.tls.certificate]]\nchain = \"FOLDER/" + chain + "\"\nkey = \"FOLDER/" + key + "\"\n";
    };
    EXPECT_EQ(told(pair("a.pem", "b.key")), "f.toml:25:7: private key: key values mismatch\n");
    EXPECT_EQ(told(certificate + pair("none", "a.key")), "f.toml:27:9: certificate: no start line\n");
    EXPECT_EQ(told(pair("a.pem", "none")).substr(0, 27), "f.toml:25:7: private key: u");
    EXPECT_EQ(told(pair("", "a.key")), "f.toml:24:9: \"FOLDER/\" is no file\n");
    EXPECT_EQ(told("ciphers = \"ECDHE-RSA-AES128-SHA\"\n" + certificate).substr(0, 56),
              "f.toml:23:11: cipher ECDHE-RSA-AES128-SHA is none of AES");
    EXPECT_EQ(told("groups = \"P-25\"\n" + certificate).substr(0, 28), "f.toml:23:10: groups \"P-25\":");
    EXPECT_EQ(told("ticket_keys = \"FOLDER/short\"\n" + certificate),
              "f.toml:23:15: \"FOLDER/short\" has 48 bytes; 1 to 16 keys of 80 bytes are possible: openssl rand 80\n");
    EXPECT_EQ(told("client_certificates = \"required\"\nclient_ca = \"FOLDER/none\"\n" + certificate).substr(0, 17),
              "f.toml:24:13: CA:");
    EXPECT_EQ(told("alpn = \"h2\"\n" + certificate),
              "f.toml:23:8: \"h2\" can't be spoken in mode \"http\"; write \"http/1.1\"\n");
    EXPECT_EQ(
        told("client_subject_header = \"Content-Length\"\n" + certificate),
        "f.toml:23:25: \"Content-Length\" has a meaning of its own; take a name as \"X-SSL-Client-DN\"\n"
        "f.toml:23:25: warning: \"client_subject_header\" has no meaning while \"client_certificates\" is \"off\"; "
        "write \"optional\" there, or remove this\n");
    EXPECT_EQ(told("suites = \"TLS_AES_128_CCM_SHA256\"\n" + certificate).substr(0, 43),
              "f.toml:23:10: suite TLS_AES_128_CCM_SHA256 ");
    EXPECT_EQ(told(certificate + "ocsp = \"FOLDER/none\"\n"), "f.toml:26:8: OCSP response: no such thing in DER\n");
    EXPECT_EQ(told("min_version = \"1.3\"\nmax_version = \"1.2\"\n" + certificate),
              "f.toml:22:1: the lowest version is above the highest\n");
}

// They are loaded all the same.
TEST_F(TlsFiles, WhatIsOfNoUseIsWarnedOf) {
    write("old.pem", tls::expired_identity().chain_pem);
    write("old.key", tls::expired_identity().key_pem);
    const std::string old = "[[listener.tls.certificate]]\nchain = \"FOLDER/old.pem\"\nkey = \"FOLDER/old.key\"\n";
    EXPECT_EQ(told(certificate + old), "f.toml:27:9: warning: the certificate has expired; renew it\n");
    EXPECT_EQ(
        told_of(load_backend("verify = false, certificate = \"FOLDER/old.pem\", key = \"FOLDER/old.key\"")).substr(14),
        "warning: the certificate has expired; renew it\n");
    EXPECT_EQ(told("client_ca = \"FOLDER/ca.pem\"\n" + certificate),
              "f.toml:23:13: warning: \"client_ca\" has no meaning while \"client_certificates\" is \"off\"; write "
              "\"optional\" there, or remove this\n");
}

TEST_F(TlsFiles, BackendsGoodOnesAreRead) {
    const LoadResult result = load_backend(
        "ca = \"FOLDER/ca.pem\", server_name = \"quotes.internal\", certificate = \"FOLDER/a.pem\", "
        "key = \"FOLDER/a.key\", min_version = \"1.3\", groups = \"X25519\", resume = false");
    ASSERT_EQ(test::diagnostics_of(result), "");
    const tls::BackendKeys keys = keys_of(result.config.backends[0], 5);
    EXPECT_EQ(keys.backend, "quotes");
    EXPECT_EQ(keys.slot, 5);
    EXPECT_TRUE(keys.verify);
    EXPECT_FALSE(keys.resume);
    EXPECT_EQ(keys.ca_pem, tls::authority_pem());
    EXPECT_EQ(keys.server_name, "quotes.internal");
    EXPECT_EQ(keys.context.version_min, tls::Version::tls13);
    EXPECT_EQ(keys.context.groups, "X25519");
    EXPECT_EQ(keys.context.identities.at(0).key_pem, tls::identity(KeyKind::ecdsa).key_pem);
}

TEST_F(TlsFiles, ABundleHasTheServersWithTheirHosts) {
    const LoadResult result = load_backend("verify = false");
    ASSERT_EQ(test::diagnostics_of(result), "");
    const PublishResult published = to_snapshot(result.config, nullptr, [](SlotKind, uint16_t) { return true; });
    ASSERT_TRUE(published.snapshot.has_value()) << published.error;
    const std::vector<std::byte> bytes = published.snapshot->build(7);
    SnapshotView view;
    std::string error;
    ASSERT_TRUE(view.open(bytes, error)) << error;
    const tls::KeyBundle bundle = keys_of(result.config, view, 7);
    EXPECT_EQ(bundle.generation, 7u);
    EXPECT_TRUE(bundle.listeners.empty());
    ASSERT_EQ(bundle.backends.size(), 1u);
    EXPECT_EQ(bundle.backends[0].backend, "quotes");
    EXPECT_EQ(bundle.backends[0].slot, view.backends()[0].slot);
    const std::vector<tls::ServerName>& servers = bundle.backends[0].servers;
    ASSERT_EQ(servers.size(), 3u) << "a name with two addresses is two of them";
    EXPECT_EQ(servers[0].name + '=' + servers[0].host, "a=");
    EXPECT_EQ(servers[1].name + '=' + servers[1].host, "b=quotes.example.com");
    EXPECT_EQ(servers[2].host, "quotes.example.com");
    for (size_t i = 0; i < servers.size(); ++i) EXPECT_EQ(servers[i].slot, view.servers()[i].slot);
}

TEST_F(TlsFiles, WithoutVerificationNoAuthorityIsRead) {
    const LoadResult result = load_backend("verify = false");
    ASSERT_EQ(test::diagnostics_of(result), "");
    const tls::BackendKeys keys = keys_of(result.config.backends[0], 0);
    EXPECT_FALSE(keys.verify);
    EXPECT_EQ(keys.ca_pem, "");
    EXPECT_TRUE(keys.context.identities.empty());
    EXPECT_TRUE(keys.resume);
}

TEST_F(TlsFiles, WhatIsWrongWithBackendsHasItsPlace) {
    const auto told = [&](const std::string& tls) { return told_of(load_backend(tls)); };
    EXPECT_EQ(told("ca = \"FOLDER/none\""), "f.toml:34:14: CA: no PEM certificate in it\n");
    EXPECT_EQ(told("ca = \"FOLDER/\""), "f.toml:34:14: \"FOLDER/\" is no file\n");
    EXPECT_EQ(told("verify = false, key = \"FOLDER/b.key\", certificate = \"FOLDER/a.pem\""),
              "f.toml:34:31: private key: key values mismatch\n");
    EXPECT_EQ(told("verify = false, certificate = \"FOLDER/none\", key = \"FOLDER/b.key\""),
              "f.toml:34:39: certificate: no start line\n");
    EXPECT_EQ(told("verify = false, groups = \"P-25\"").substr(0, 28), "f.toml:34:34: groups \"P-25\":");
    EXPECT_EQ(told("verify = false, ciphers = \"AES128-SHA\"").substr(0, 36), "f.toml:34:35: cipher AES128-SHA is n");
    EXPECT_EQ(told("verify = false, min_version = \"1.3\", max_version = \"1.2\""),
              "f.toml:34:7: the lowest version is above the highest\n");
    EXPECT_EQ(told("verify = false, ca = \"FOLDER/ca.pem\""),
              "f.toml:34:30: warning: \"ca\" has no meaning while \"verify\" is false; remove one of them\n");
    EXPECT_EQ(told_of(load_backend("verify = false", "crypto_threads = 0\n")),
              "f.toml:35:7: TLS needs crypto threads; set \"crypto_threads\" of [dataplane] to 1 or more\n");
}

TEST_F(TlsFiles, OnAnotherMachineFilesMayBeMissing) {
    const std::string missing = "[[listener.tls.certificate]]\nchain = \"/no/such.pem\"\nkey = \"/no/such.key\"\n";
    EXPECT_EQ(told(missing, true),
              "f.toml:24:9: warning: \"/no/such.pem\" can't be read: No such file or directory; correct the path\n");
    EXPECT_FALSE(load(missing).ok());
}

}  // namespace
}  // namespace millrace::control
