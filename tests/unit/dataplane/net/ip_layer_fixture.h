// An IpLayer on a recorded wire, with what its tests say to it and look for.
#pragma once

#include <functional>
#include <gtest/gtest.h>
#include <memory>

#include "config/compiled.h"
#include "dataplane/net/ip_layer.h"
#include "net/recording_sink.h"

namespace millrace::net {
using config::test::compiled;
using config::test::ip;
using wire::FrameKind;
using wire::ParsedFrame;

constexpr MacAddress front_mac{{2, 0, 0, 0, 0, 0x10}}, rear_mac{{2, 0, 0, 0, 0, 0x11}};
constexpr MacAddress peer_mac{{2, 0, 0, 0, 0, 0x20}}, other_mac{{2, 0, 0, 0, 0, 0x21}};

/// The sample's interfaces: 0, VLAN 7, with 198.18.0.1/24 and 2001:db8::1/64; 1, untagged, with 198.18.1.1/24. The
/// default route leads to 198.18.0.254 by 0. Everything was announced before a test begins.
class IpLayerTest : public ::testing::Test {
  protected:
    IpLayerTest() : ip_(sink_, {front_mac, rear_mac}, 64) {
        builder_.interfaces[1].vlan = 0;
        config_ = compiled(builder_);
        ip_.set_config(*config_, true);
        poll();
        sink_.frames = {};
        now_ += us_per_s;
    }

    void reload() {
        std::unique_ptr<const config::RuntimeConfig> next = compiled(builder_, config_.get());
        ip_.set_config(*next, true);
        config_ = std::move(next);
    }

    uint16_t vlan(uint16_t interface) const { return builder_.interfaces[interface].vlan; }

    /// `write` is given the room and the link header of a frame from peer_mac to `to`.
    void receive(uint16_t interface, const MacAddress& to,
                 const std::function<size_t(std::span<uint8_t>, const wire::LinkHeader&)>& write,
                 const MacAddress& from = peer_mac) {
        std::array<uint8_t, 256> room;
        const size_t length = write(room, {from, to, vlan(interface)});
        ASSERT_NE(length, 0u);
        const std::span<const uint8_t> bytes = std::span(room).first(length);
        ParsedFrame frame;
        ASSERT_NE(wire::parse_frame(bytes, {.vlan = vlan(interface)}, frame), FrameKind::dropped)
            << name(frame.drop_reason);
        ip_.on_frame({.bytes = bytes, .interface = interface, .learn_only = learn_only_}, frame, now_);
    }
    void receive_arp(uint16_t interface, const wire::ArpPacket& packet) {
        receive(interface, packet.is_request ? wire::broadcast_mac : front_mac,
                [&](auto room, auto& link) { return wire::write_arp(room, link, packet); });
    }
    void arp_reply(const char* sender, const MacAddress& mac = peer_mac) {
        receive_arp(0, {.is_request = false,
                        .sender_mac = mac,
                        .sender = ip(sender),
                        .target_mac = front_mac,
                        .target = ip("198.18.0.1")});
    }
    void advertisement(const wire::NdpMessage& message) {
        receive(0, front_mac,
                [&](auto room, auto& link) { return wire::write_ndp_advertisement(room, link, message); });
    }
    void solicitation(uint16_t interface, const wire::NdpMessage& message) {
        receive(interface, wire::multicast_mac(message.destination),
                [&](auto room, auto& link) { return wire::write_ndp_solicitation(room, link, message); });
    }

    std::vector<ParsedFrame> sent(uint16_t interface) { return sink_.take(interface, vlan(interface)); }
    bool silent() { return sink_.frames[0].empty() && sink_.frames[1].empty(); }

    /// As the loop does: every now and then, for `duration`.
    void poll(TimeUs duration = 2 * us_per_ms) {
        for (const TimeUs end = now_ + duration; now_ < end; now_ += us_per_ms) ip_.poll(now_);
    }
    PathState path(const char* peer) {
        path_ = {};
        return ip_.path(ip(peer), now_, path_);
    }
    /// Uses the way to a peer every 100 ms, as a relay that waits for it does.
    void use(const char* peer, TimeUs duration) {
        for (const TimeUs end = now_ + duration; now_ < end;) {
            path(peer);
            poll(100 * us_per_ms);
        }
    }
    void resolve(const char* peer) {
        ASSERT_EQ(path(peer), PathState::unresolved);
        arp_reply(peer);
        ASSERT_EQ(path(peer), PathState::ready);
        poll();
        sink_.frames = {};
    }

    SnapshotBuilder builder_ = millrace::test::sample_snapshot();
    std::unique_ptr<const config::RuntimeConfig> config_;
    test::RecordingSink sink_;
    IpLayer ip_;
    TimeUs now_ = 1000 * us_per_s;
    bool learn_only_ = false;
    Path path_;
};

}  // namespace millrace::net
