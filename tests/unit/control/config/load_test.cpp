// Loading: what a good file means, which defaults hold, how names resolve, and the bounds of the diagnostics.
#include "control/config/load.h"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

#include "sample.h"

namespace millrace::control {
namespace {

TEST(Load, SampleIsUnderstood) {
    const LoadResult result = test::load(test::sample_text);
    ASSERT_EQ(test::diagnostics_of(result), "");
    ASSERT_TRUE(result.ok());
    const Config& config = result.config;
    EXPECT_EQ(config.dataplane.cores, (std::vector<uint16_t>{0, 1}));
    ASSERT_EQ(config.interfaces.size(), 2u);
    EXPECT_EQ(config.interfaces[1].driver, Driver::pci);
    EXPECT_EQ(config.interfaces[1].device, "0000:3b:00.0");
    ASSERT_EQ(config.interfaces[0].addresses.size(), 2u);
    EXPECT_EQ(to_string(config.interfaces[0].addresses[1].address), "2001:db8::1");
    EXPECT_EQ(config.interfaces[0].addresses[1].prefix_length, 64);
    ASSERT_EQ(config.routes.size(), 1u);
    EXPECT_EQ(config.routes[0].destination.prefix_length, 0);
    EXPECT_EQ(config.routes[0].interface_index, 0);
    ASSERT_EQ(config.listeners.size(), 2u);
    EXPECT_EQ(config.listeners[0].routes[0].path, "/stream");
    EXPECT_TRUE(config.listeners[1].address.is_unspecified());
    EXPECT_EQ(config.listeners[1].mode, ListenerMode::tcp);
    ASSERT_EQ(config.backends.size(), 2u);
    EXPECT_EQ(config.backends[0].balance, Algorithm::maglev);
    ASSERT_TRUE(config.backends[0].health.has_value());
    EXPECT_EQ(config.backends[0].health->type, HealthType::http);
    EXPECT_FALSE(config.backends[1].health.has_value());
    EXPECT_EQ(config.backends[1].servers[0].host, "2001:db8::10");
    EXPECT_EQ(config.backends[1].servers[0].port, 8080);
}

TEST(Load, NamesResolveSortedAndDistinct) {
    const LoadResult result = test::load(test::sample_text);
    const Server& server = result.config.backends[0].servers[1];
    ASSERT_EQ(server.addresses.size(), 2u);
    EXPECT_EQ(to_string(server.addresses[0]), "198.18.1.11");
    EXPECT_EQ(to_string(server.addresses[1]), "198.18.1.12");
}

TEST(Load, AddressesThatCanNotBeReachedAreLeftOutOfAName) {
    const LoadResult result = test::load(test::edited(test::sample_text, "quotes.example.com", "mixed.example.com"));
    ASSERT_TRUE(result.ok());
    ASSERT_EQ(result.diagnostics.size(), 1u);
    EXPECT_EQ(result.diagnostics[0].severity, Severity::warning);
    ASSERT_EQ(result.config.backends[0].servers[1].addresses.size(), 1u);
    EXPECT_EQ(to_string(result.config.backends[0].servers[1].addresses[0]), "198.18.1.13");
}

TEST(Load, ValuesWithUnits) {
    const std::string text = test::edited(
        test::edited(test::sample_text, "cores = [0, 1]", "idle_sleep = \"50us\"\nchunk_memory = \"2GiB\""),
        "port = 80",
        "port = 80\nhead_timeout = \"2m30s\"\nidle_timeout = \"1d\"\nretry_after = \"1m\"\nhead_bytes_max = \"2KiB\"");
    const LoadResult result = test::load(text);
    ASSERT_EQ(test::diagnostics_of(result), "");
    EXPECT_EQ(result.config.dataplane.idle_sleep_us, 50u);
    EXPECT_EQ(result.config.dataplane.chunk_memory_bytes, uint64_t{2} << 30);
    EXPECT_EQ(result.config.listeners[0].head_timeout_ms, 150'000u);
    EXPECT_EQ(result.config.listeners[0].idle_timeout_ms, 86'400'000u);
    EXPECT_EQ(result.config.listeners[0].retry_after_s, 60u);
    EXPECT_EQ(result.config.listeners[0].head_bytes_max, 2048u);
}

TEST(Load, WithoutAdminSocketsThereIsTheDefaultOne) {
    const LoadResult result = test::load(test::sample_text);
    ASSERT_EQ(result.config.control.admin_sockets.size(), 1u);
    EXPECT_EQ(result.config.control.admin_sockets[0].path, "admin.sock");
    EXPECT_EQ(result.config.control.admin_sockets[0].mode, 0660u);
    EXPECT_EQ(result.config.control.admin_sockets[0].role, Role::admin);
}

TEST(Load, RouteHostsAreLowerCase) {
    const LoadResult result =
        test::load(test::edited(test::sample_text, "path = \"/stream\"", "host = \"*.Example.COM\""));
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result.config.listeners[0].routes[0].host, "*.example.com");
}

TEST(Load, LinkLocalGatewayOfANamedInterface) {
    const LoadResult result =
        test::load(test::edited(test::sample_text, "destination = \"0.0.0.0/0\"\ngateway = \"198.18.0.254\"",
                                "destination = \"::/0\"\ngateway = \"fe80::1\"\ninterface = \"front\""));
    EXPECT_EQ(test::diagnostics_of(result), "");
}

TEST(Load, CheckOnlyForgivesWhatDependsOnTheMachine) {
    std::string text = test::edited(test::sample_text, "[0, 1]", "[0, 9]");
    text = test::edited(text, "quotes.example.com", "absent.example.com");
    EXPECT_FALSE(test::load(text).ok());
    const LoadResult result = test::load(text, true);
    EXPECT_TRUE(result.ok());
    EXPECT_EQ(test::diagnostics_of(result),
              "f.toml:3:13: warning: core 9 does not exist; this machine has cores 0 to 1\n"
              "f.toml:42:11: warning: the name \"absent.example.com\" does not resolve: Name or service not known; "
              "correct it, or write an IP address\n");
}

TEST(Load, AnEmptyFile) {
    EXPECT_EQ(test::diagnostics_of(test::load("")),
              "f.toml:1:1: \"schema\" is missing in the file; add it, as schema = 1\n"
              "f.toml:1:1: there is no [[interface]]; add one with name, driver, device and addresses\n"
              "f.toml:1:1: warning: there is no [[listener]], so nothing is served; add one with name, address and "
              "port\n");
}

TEST(Load, DiagnosticsAreBounded) {
    std::string text(test::sample_text);
    for (int i = 0; i < 500; ++i) text += "[[backend.server]]\nname = 7\n";
    const LoadResult result = test::load(text);
    ASSERT_EQ(result.diagnostics.size(), Diagnostics::diagnostics_max + 1);
    EXPECT_NE(result.diagnostics.back().message.find("900 more are not shown"), std::string::npos)
        << result.diagnostics.back().message;
    EXPECT_FALSE(result.ok());
}

TEST(Load, TooManyTables) {
    std::string text(test::sample_text);
    for (int i = 0; i < 300; ++i) text += "[[route]]\n";
    EXPECT_NE(test::diagnostics_of(test::load(text)).find("there are 301 [[route]]; the most is 256"),
              std::string::npos);
}

TEST(Load, TextsOfOthersCanNotSpoilTheTerminal) {
    const LoadResult result = test::load("schema = 1\n\"\\u001b[2J\\u0000" + std::string(500, 'x') + "\" = 1\n");
    for (const Diagnostic& diagnostic : result.diagnostics) {
        EXPECT_LT(diagnostic.message.size(), 300u);
        for (char c : diagnostic.message) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
    }
}

TEST(Load, AFileThatCanNotBeRead) {
    test::FakeResolver resolver;
    EXPECT_EQ(test::diagnostics_of(load_config("/nowhere/f.toml", resolver)),
              "/nowhere/f.toml:1:1: can't be read: No such file or directory; name a readable TOML file\n");
    EXPECT_FALSE(load_config("/", resolver).ok());
}

TEST(Load, AFileOnDisk) {
    char path[] = "/tmp/millrace-config-XXXXXX";
    const int fd = mkstemp(path);
    ASSERT_GE(fd, 0);
    close(fd);
    std::ofstream(path) << "schema = 3\n";
    test::FakeResolver resolver;
    const LoadResult result = load_config(path, resolver);
    unlink(path);
    ASSERT_FALSE(result.ok());
    EXPECT_NE(test::diagnostics_of(result).find(std::string(path) + ":1:10: \"schema\" is 3; it must be 1\n"),
              std::string::npos);
}

TEST(SystemResolver, LiteralsAndUnknownNames) {
    SystemResolver resolver;
    std::string error;
    ASSERT_EQ(resolver.resolve("198.18.0.7", error).size(), 1u);
    EXPECT_EQ(to_string(resolver.resolve("198.18.0.7", error)[0]), "198.18.0.7");
    EXPECT_EQ(to_string(resolver.resolve("2001:db8::7", error)[0]), "2001:db8::7");
    EXPECT_TRUE(resolver.resolve("no name", error).empty());
    EXPECT_NE(error, "");
}

}  // namespace
}  // namespace millrace::control
