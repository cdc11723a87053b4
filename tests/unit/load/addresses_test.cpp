#include "load/addresses.h"

#include <gtest/gtest.h>

#include <millrace/limits.h>

#include "dataplane/config/runtime_config.h"

namespace millrace::load {
namespace {

TEST(Addresses, RangesAndLists) {
    std::string error;
    const auto range = parse_addresses("198.18.4.254-198.18.5.1", error);
    ASSERT_TRUE(range);
    ASSERT_EQ(range->size(), 4u);
    EXPECT_EQ((*range)[1], IpAddress::v4(198, 18, 4, 255));
    EXPECT_EQ((*range)[2], IpAddress::v4(198, 18, 5, 0));
    const auto list = parse_addresses("2001:db8::fe-2001:db8::100,2001:db8::1", error);
    ASSERT_TRUE(list);
    EXPECT_EQ(list->size(), 4u);
    EXPECT_EQ(to_string(list->back()), "2001:db8::1");
}

TEST(Addresses, RefusesWhatIsNone) {
    for (const char* text : {"", "198.18.0", "198.18.0.2-198.18.0.1", "198.18.0.1-2001:db8::1", "198.18.0.1,",
                             "198.18.0.0-198.18.255.255", "2001:db8::-2001:db9::"}) {
        std::string error;
        EXPECT_FALSE(parse_addresses(text, error)) << text;
        EXPECT_FALSE(error.empty()) << text;
    }
}

TEST(Addresses, Targets) {
    const auto v4 = parse_target("198.18.0.1:80");
    ASSERT_TRUE(v4);
    EXPECT_EQ(v4->port, 80);
    const auto v6 = parse_target("[2001:db8::1]:8080");
    ASSERT_TRUE(v6);
    EXPECT_EQ(to_string(v6->address), "2001:db8::1");
    for (const char* text : {"", "198.18.0.1", "198.18.0.1:", "198.18.0.1:0", "198.18.0.1:65536", "host:80"})
        EXPECT_FALSE(parse_target(text)) << text;
}

/// As many addresses as ten million clients need, and more.
TEST(Addresses, ASnapshotHoldsThousandsOfThem) {
    std::string error;
    Settings settings;
    settings.client_interface = {Driver::memif, "/run/a.sock", true};
    settings.server_interface = InterfaceSettings{Driver::memif, "/run/b.sock", false};
    settings.clients = {*parse_addresses("198.18.16.1-198.18.23.255", error), 16, parse_ip_address("198.18.0.1")};
    settings.servers = {*parse_addresses("198.19.1.1-198.19.1.200", error), 24, std::nullopt};
    settings.targets = {*parse_target("198.19.200.1:80")};
    const auto config = config::RuntimeConfig::compile(make_snapshot(settings), nullptr, error);
    ASSERT_TRUE(config) << error;
    EXPECT_EQ(config->local_addresses().size(), 2247u);
    const auto to_target = config->routes().lookup(settings.targets[0].address);
    ASSERT_TRUE(to_target);
    EXPECT_EQ(to_target->interface, 0);
    EXPECT_EQ(to_target->address, *settings.clients.gateway);
    const auto to_balancer = config->routes().lookup(*parse_ip_address("198.19.1.250"));
    ASSERT_TRUE(to_balancer);
    EXPECT_EQ(to_balancer->interface, 1);
}

TEST(Addresses, OneInterfaceServesBothRoles) {
    std::string error;
    Settings settings;
    settings.client_interface = {Driver::af_packet, "veth0", false};
    settings.clients = {*parse_addresses("2001:db8::10", error), 64, std::nullopt};
    settings.servers = {*parse_addresses("2001:db8:1::10", error), 64, parse_ip_address("2001:db8:1::1")};
    settings.targets = {*parse_target("[2001:db8::1]:80")};
    const auto config = config::RuntimeConfig::compile(make_snapshot(settings), nullptr, error);
    ASSERT_TRUE(config) << error;
    EXPECT_EQ(config->snapshot().interfaces().size(), 1u);
    EXPECT_EQ(config->routes().lookup(*parse_ip_address("2001:db8:7::1"))->address, *settings.servers.gateway);
}

}  // namespace
}  // namespace millrace::load
