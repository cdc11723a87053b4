// Which interfaces carry the kernel's default route, by texts as /proc and a tree as /sys show them.
#include "dataplane/app/kernel_routes.h"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

#include "abi/snapshot_samples.h"

namespace millrace::app {
namespace {

using Names = std::set<std::string>;

constexpr const char* v4_head =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT  \n";

Names defaults(const std::string& v4, const std::string& v6) {
    std::istringstream v4_text(v4_head + v4), v6_text(v6);
    return default_route_interfaces(v4_text, v6_text);
}

TEST(DefaultRouteInterfaces, FindsThemInBothFamilies) {
    EXPECT_EQ(defaults("eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0   \n"
                       "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0   \n"
                       "eth1\t000300C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0   \n"
                       "eth2\t00000000\t010300C0\t0003\t0\t0\t50\t00000000\t0\t0\t0  \n",
                       ""),
              (Names{"eth0", "eth2"}));
    const std::string none(32, '0');
    EXPECT_EQ(
        defaults("", "fd000000000000000000000000000000 40 " + none + " 00 " + none +
                         " 00000100 00000001 00000000 00000001     eth0\n" + none + " 00 " + none +
                         " 00 fd000000000000000000000000000001 00000400 00000003 00000000 00000003     eth3\n" + none +
                         " 00 " + none + " 00 " + none + " ffffffff 00000001 00000000 00200200       lo\n"),
        Names{"eth3"});
}

// A route to half of the addresses is none to all of them.
TEST(DefaultRouteInterfaces, TellsPrefixesApart) {
    EXPECT_EQ(defaults("eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000080\t0\t0\t0   \n", ""), Names{});
    const std::string none(32, '0');
    EXPECT_EQ(defaults("", none + " 01 " + none + " 00 " + none + " 00000400 00000003 00000000 00000003     eth3\n"),
              Names{});
}

TEST(DefaultRouteInterfaces, SurviveNonsense) {
    EXPECT_EQ(defaults("\neth0\neth0 00000000\n\t\t\n", "\nzz\n"), Names{});
    EXPECT_EQ(defaults("", ""), Names{});
}

TEST(LowerDevices, AreFoundBelowEachOther) {
    char name[] = "/tmp/millrace-app-XXXXXX";
    const std::filesystem::path net = mkdtemp(name);
    const auto link = [&](const char* upper, const char* lower) {
        std::filesystem::create_directories(net / upper);
        std::filesystem::create_directories(net / lower);
        std::filesystem::create_directory_symlink(net / lower, net / upper / (std::string("lower_") + lower));
        std::filesystem::create_directory_symlink(net / upper, net / lower / (std::string("upper_") + upper));
    };
    link("br0", "bond0.7");
    link("bond0.7", "bond0");
    link("bond0", "eth0");
    link("bond0", "eth1");
    link("br1", "eth2");
    EXPECT_EQ(with_lower_devices({"br0"}, net), (Names{"br0", "bond0.7", "bond0", "eth0", "eth1"}));
    EXPECT_EQ(with_lower_devices({"eth0", "ppp0"}, net), (Names{"eth0", "ppp0"}));
    std::filesystem::remove_all(net);
}

TEST(LeavesReachable, RefusesToTakeTheDefaultRouteUnasked) {
    SnapshotBuilder b = millrace::test::sample_snapshot();  // veth0 by AF_XDP, a PCI device
    const auto verdict = [&](const Names& names, std::string& error) {
        const std::vector<std::byte> bytes = b.build(1);
        SnapshotView view;
        EXPECT_TRUE(view.open(bytes, error)) << error;
        return leaves_reachable(view, names, error);
    };
    std::string error;
    EXPECT_TRUE(verdict({"eth0"}, error));
    EXPECT_FALSE(verdict({"eth0", "veth0"}, error));
    EXPECT_EQ(error,
              "interface 'front': veth0 carries the kernel's default route, so taking it could cut this machine off; "
              "set take_over = true to take it all the same");
    b.interfaces[0].driver = Driver::af_packet;
    EXPECT_FALSE(verdict({"veth0"}, error));
    b.interfaces[0].take_over = 1;
    EXPECT_TRUE(verdict({"veth0"}, error));
    b.interfaces[0].take_over = 0;
    b.interfaces[0].driver = Driver::memif;
    b.interfaces[0].device = b.text("/run/veth0");
    EXPECT_TRUE(verdict({"/run/veth0"}, error)) << "no interface of the kernel";
}

}  // namespace
}  // namespace millrace::app
