#include "load/options.h"

#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "tests/unit/tls/handshake/pki.h"

namespace millrace::load {
namespace {

/// A command line that makes sense, with more behind it.
Options parse(std::vector<std::string> more) {
    std::vector<std::string> words{
        "millrace-load",      "storm",         "--client-interface", "memif:/run/a.sock,client",
        "--client-addresses", "198.18.1.1",    "--server-addresses", "198.18.1.2",
        "--target",           "198.18.0.1:443"};
    words.insert(words.end(), more.begin(), more.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    return parse_options(static_cast<int>(argv.size()), argv.data());
}

void expect_refusal(const std::vector<std::string>& more, const char* reason) {
    EXPECT_EXIT(parse(more), testing::ExitedWithCode(2), reason);
}

struct File {
    explicit File(const std::string& text) { std::ofstream(path) << text; }
    ~File() { std::remove(path.c_str()); }
    std::string path = testing::TempDir() + "load-options-test-" + std::to_string(getpid()) + ".pem";
};

TEST(Options, NoTlsUnlessAsked) {
    EXPECT_FALSE(parse({}).settings.tls);
}

TEST(Options, TlsWithoutVerification) {
    const Settings settings = parse({"--tls", "1.2", "--tls-insecure"}).settings;
    ASSERT_TRUE(settings.tls);
    EXPECT_EQ(settings.tls->version, tls::Version::tls12);
    EXPECT_EQ(settings.tls->resume_share, 0);
    EXPECT_EQ(settings.tls->name, "");
    EXPECT_EQ(settings.tls->ca_pem, "");
}

TEST(Options, TlsWithEverything) {
    const File ca(tls::authority_pem());
    const Settings settings =
        parse({"--tls", "1.3", "--tls-ca", ca.path, "--tls-name", "ticker.test", "--tls-resume", "0.75"}).settings;
    ASSERT_TRUE(settings.tls);
    EXPECT_EQ(settings.tls->version, tls::Version::tls13);
    EXPECT_EQ(settings.tls->resume_share, 0.75);
    EXPECT_EQ(settings.tls->name, "ticker.test");
    EXPECT_EQ(settings.tls->ca_pem, tls::authority_pem());
}

TEST(Options, TlsThatMakesNoSense) {
    expect_refusal({"--tls", "1.1", "--tls-insecure"}, "--tls: 1.1 not in");
    expect_refusal({"--tls", "1.3"}, "--tls needs either --tls-ca FILE, .* or --tls-insecure");
    expect_refusal({"--tls", "1.3", "--tls-insecure", "--tls-resume", "1.5"}, "--tls-resume: Value 1.5 not in range");
    expect_refusal({"--tls", "1.3", "--tls-insecure", "--tls-resume", "-0.1"}, "--tls-resume: Value -0.1 not in range");
    expect_refusal({"--tls", "1.3", "--tls-insecure", "--tls-name", "198.18.0.1"}, "'198.18.0.1' is an address");
    expect_refusal({"--tls", "1.3", "--tls-insecure", "--role", "server", "--server-interface", "memif:/run/b.sock"},
                   "--tls is for clients");
}

TEST(Options, TlsOptionsAloneAreRefused) {
    const File ca(tls::authority_pem());
    expect_refusal({"--tls-insecure"}, "--tls-insecure requires --tls");
    expect_refusal({"--tls-ca", ca.path}, "--tls-ca requires --tls");
    expect_refusal({"--tls-name", "ticker.test"}, "--tls-name requires --tls");
    expect_refusal({"--tls-resume", "0.5"}, "--tls-resume requires --tls");
}

TEST(Options, CaFilesThatAreNone) {
    expect_refusal({"--tls", "1.3", "--tls-ca", "/nonexistent.pem"}, "--tls-ca: File does not exist: /nonexistent.pem");
    {
        const File text("no certificate");
        expect_refusal({"--tls", "1.3", "--tls-ca", text.path}, "--tls-ca .*: CA: no PEM certificate in it");
        expect_refusal({"--tls", "1.3", "--tls-ca", text.path, "--tls-insecure"}, "--tls-ca excludes --tls-insecure");
    }
    const File empty("");
    expect_refusal({"--tls", "1.3", "--tls-ca", empty.path}, "is empty");
}

}  // namespace
}  // namespace millrace::load
