// The way that a segment came by: answers to strangers make no neighbour, and a completed handshake does.
#include "ip_layer_fixture.h"

namespace millrace::net {
namespace {

class NotedSender : public IpLayerTest {
  protected:
    void note(const char* source, uint16_t interface, const MacAddress& from) {
        ParsedFrame frame;
        frame.kind = FrameKind::tcp;
        frame.source_mac = from;
        frame.tcp.source = ip(source);
        ip_.note_sender(interface, frame);
    }
    void trust(const char* source, uint16_t interface, const MacAddress& from) {
        note(source, interface, from);
        ip_.trust_sender(now_);
    }
    void answer(const char* peer) {
        wire::OutboundSegment segment;
        segment.header.destination = ip(peer);
        ip_.send_or_drop(segment, now_);
    }
    uint32_t neighbours() { return ip_.neighbours().list({}, now_); }
};

TEST_F(NotedSender, IsAnsweredTheWayItCameWithoutAnEntryOrAQuestion) {
    note("198.18.0.9", 0, peer_mac);
    answer("198.18.0.9");
    ASSERT_EQ(sent(0).at(0).destination_mac, peer_mac);
    note("198.19.3.3", 0, other_mac);
    answer("198.19.3.3");
    EXPECT_EQ(sent(0).at(0).destination_mac, other_mac) << "by the gateway that brought it";
    poll();
    EXPECT_TRUE(silent());
    EXPECT_EQ(neighbours(), 0u) << "spoofed senders leave nothing behind";
    EXPECT_EQ(ip_.counters().unresolved_dropped, 0u);
}

TEST_F(NotedSender, IsNotTakenForAnotherPeerOrAnotherWay) {
    note("198.18.0.9", 0, peer_mac);
    answer("198.18.0.8");
    note("198.18.1.9", 0, peer_mac);
    answer("198.18.1.9");
    poll();
    EXPECT_TRUE(silent());
    EXPECT_EQ(ip_.counters().unresolved_dropped, 2u);
}

TEST_F(NotedSender, IsAnsweredByTheKnownWayFirst) {
    resolve("198.18.0.9");
    note("198.18.0.9", 0, other_mac);
    answer("198.18.0.9");
    EXPECT_EQ(sent(0).at(0).destination_mac, peer_mac);
}

TEST_F(NotedSender, TrustedIsReachedTheWayItCameAndVerified) {
    trust("198.18.0.9", 0, peer_mac);
    ASSERT_EQ(path("198.18.0.9"), PathState::ready);
    EXPECT_EQ(path_.link.destination_mac, peer_mac);
    poll();
    const std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].destination_mac, peer_mac);
}

TEST_F(NotedSender, TrustedIsReachedByTheGatewayThatBroughtIt) {
    trust("198.19.3.3", 0, other_mac);
    ASSERT_EQ(path("198.19.4.4"), PathState::ready);
    EXPECT_EQ(path_.link.destination_mac, other_mac);
    poll();
    EXPECT_EQ(sent(0).at(0).arp.target, ip("198.18.0.254"));
}

TEST_F(NotedSender, TeachesNothingWhenTheWayBackIsAnother) {
    trust("198.18.1.9", 0, peer_mac);
    trust("2001:db8:5::1", 0, peer_mac);
    EXPECT_EQ(path("198.18.1.9"), PathState::unresolved);
}

TEST_F(NotedSender, TeachesNothingWhenTheWayBackIsKnown) {
    resolve("198.18.0.9");
    trust("198.18.0.9", 0, other_mac);
    path("198.18.0.9");
    EXPECT_EQ(path_.link.destination_mac, peer_mac);
}

}  // namespace
}  // namespace millrace::net
