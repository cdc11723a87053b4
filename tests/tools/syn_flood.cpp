// syn-flood: SYNs to one address and port at a steady rate, each from another address that does not answer, to measure
// how a server bears a flood (RFC 4987 §2). Sources lie in 198.18.0.0/15, which exists for measurements (RFC 2544), and
// destinations outside it are refused. Frames go out through an AF_PACKET socket past the queueing discipline; at the
// end one JSON line says how many went, and how fast.
//
// No part of Millrace. One thread.

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <random>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <millrace/address.h>

#include "dataplane/wire/write.h"

namespace {

using namespace millrace;
using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t stop = 0;

constexpr size_t batch = 64;
constexpr size_t frame_bytes_max = 96;

struct Flood {
    std::string interface = "mr-peer";
    std::string to = "198.18.0.1";
    uint16_t port = 80;
    std::string mac;
    std::string sources = "198.19.0.0/16";
    double rate = 200'000;
    double seconds = 30;
};

bool parse_mac(const std::string& text, MacAddress& mac) {
    std::array<unsigned, 6> parts{};
    if (std::sscanf(text.c_str(), "%x:%x:%x:%x:%x:%x", &parts[0], &parts[1], &parts[2], &parts[3], &parts[4],
                    &parts[5]) != 6)
        return false;
    for (size_t i = 0; i < 6; ++i) mac.bytes[i] = static_cast<uint8_t>(parts[i]);
    return true;
}

uint32_t host_order(const IpAddress& address) {
    return ntohl(address.v4_network_order());
}

bool for_measurements(const IpAddress& address) {
    return address.is_v4() && (host_order(address) & 0xfffe'0000) == 0xc612'0000;
}

/// The lowest source and how many there are; false when they are not all in 198.18.0.0/15.
bool parse_sources(const std::string& text, uint32_t& first, uint32_t& count) {
    const size_t slash = text.find('/');
    const auto network = parse_ip_address(text.substr(0, slash));
    if (slash == std::string::npos || !network || !for_measurements(*network)) return false;
    const int length = std::atoi(text.c_str() + slash + 1);
    if (length < 15 || length > 32) return false;
    count = uint32_t{1} << (32 - length);
    first = host_order(*network) & ~(count - 1);
    return true;
}

/// A SYN as Linux sends it: MSS, SACK, timestamps, window scale.
size_t write_syn(std::span<uint8_t> room, const wire::LinkHeader& link, uint32_t source, uint32_t random,
                 const IpAddress& to, uint16_t port) {
    wire::OutboundSegment syn;
    syn.header.source = IpAddress::v4(static_cast<uint8_t>(source >> 24), static_cast<uint8_t>(source >> 16),
                                      static_cast<uint8_t>(source >> 8), static_cast<uint8_t>(source));
    syn.header.destination = to;
    syn.header.source_port = static_cast<uint16_t>(1024 + random % 64000);
    syn.header.destination_port = port;
    syn.header.seq = random * 2654435761u;
    syn.header.flags = wire::tcp_syn;
    syn.header.window = 64240;
    syn.header.options = {.has_mss = true,
                          .has_window_scale = true,
                          .has_timestamps = true,
                          .sack_permitted = true,
                          .window_scale = 7,
                          .sack_count = 0,
                          .mss = 1460,
                          .ts_value = random,
                          .ts_echo = 0,
                          .sack = {}};
    return wire::write_tcp(room, link, syn, {});
}

int run(const Flood& flood) {
    MacAddress mac;
    uint32_t first = 0, count = 0;
    const auto to = parse_ip_address(flood.to);
    const unsigned index = if_nametoindex(flood.interface.c_str());
    if (!parse_mac(flood.mac, mac) || !to || !for_measurements(*to) || index == 0 ||
        !parse_sources(flood.sources, first, count)) {
        std::fprintf(stderr, "syn-flood: bad --mac, --interface, or an address outside 198.18.0.0/15\n");
        return 2;
    }
    const int packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    const int yes = 1;
    setsockopt(packet, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes);
    sockaddr_ll where{};
    where.sll_family = AF_PACKET;
    where.sll_ifindex = static_cast<int>(index);
    if (bind(packet, reinterpret_cast<sockaddr*>(&where), sizeof where) != 0) {
        std::perror("syn-flood: bind");
        return 1;
    }

    std::mt19937 random(1);
    std::vector<std::array<uint8_t, frame_bytes_max>> frames(batch);
    std::array<iovec, batch> pieces;
    std::array<mmsghdr, batch> messages{};
    const wire::LinkHeader link{MacAddress{{2, 0, 0, 0, 0x46, 0x4c}}, mac, 0};
    uint64_t sent = 0, refused = 0;
    const Clock::time_point begin = Clock::now();
    double elapsed = 0;
    while (stop == 0 && elapsed < flood.seconds) {
        elapsed = std::chrono::duration<double>(Clock::now() - begin).count();
        // What could not be sent in time is not made up for: that would be a burst, not a rate.
        const auto due = static_cast<uint64_t>(elapsed * flood.rate);
        if (sent + refused + batch > due) {
            std::this_thread::sleep_for(std::chrono::microseconds(50));
            continue;
        }
        if (due - sent - refused > 4096) refused = due - sent - batch;
        for (size_t i = 0; i < batch; ++i) {
            const auto number = static_cast<uint32_t>(random());
            const size_t length = write_syn(frames[i], link, first + (number & (count - 1)),
                                            static_cast<uint32_t>(random()), *to, flood.port);
            pieces[i] = {frames[i].data(), length};
            messages[i].msg_hdr.msg_iov = &pieces[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        const int done = sendmmsg(packet, messages.data(), batch, 0);
        if (done > 0) sent += static_cast<uint64_t>(done);
        if (done < static_cast<int>(batch)) refused += batch - static_cast<uint64_t>(std::max(done, 0));
    }
    close(packet);
    std::printf("{\"sent\": %llu, \"not_sent\": %llu, \"seconds\": %.2f, \"rate\": %.0f}\n",
                static_cast<unsigned long long>(sent), static_cast<unsigned long long>(refused), elapsed,
                static_cast<double>(sent) / elapsed);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    Flood flood;
    CLI::App app("A flood of SYNs from spoofed sources of 198.18.0.0/15, for measurements");
    app.add_option("--interface", flood.interface, "where they leave")->capture_default_str();
    app.add_option("--to", flood.to, "destination address")->capture_default_str();
    app.add_option("--port", flood.port, "destination port")->capture_default_str();
    app.add_option("--mac", flood.mac, "destination MAC address")->required();
    app.add_option("--sources", flood.sources, "NETWORK/LENGTH of the sources")->capture_default_str();
    app.add_option("--rate", flood.rate, "SYNs a second")->capture_default_str();
    app.add_option("--seconds", flood.seconds, "how long")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    std::signal(SIGTERM, [](int) { stop = 1; });
    std::signal(SIGINT, [](int) { stop = 1; });
    return run(flood);
}
