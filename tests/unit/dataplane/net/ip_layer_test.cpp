// The link and network layer against a recorded wire: what it answers, what it asks and when, what it announces.
#include "ip_layer_fixture.h"

namespace millrace::net {
namespace {

// ---- Answers ----

TEST_F(IpLayerTest, AnswersArpForItsAddresses) {
    receive_arp(0, {.is_request = true,
                    .sender_mac = peer_mac,
                    .sender = ip("198.18.0.9"),
                    .target_mac = {},
                    .target = ip("198.18.0.1")});
    const std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames.size(), 1u);
    ASSERT_EQ(frames[0].kind, FrameKind::arp);
    EXPECT_EQ(frames[0].source_mac, front_mac);
    EXPECT_EQ(frames[0].destination_mac, peer_mac);
    EXPECT_EQ(frames[0].vlan, 7);
    EXPECT_FALSE(frames[0].arp.is_request);
    EXPECT_EQ(frames[0].arp.sender, ip("198.18.0.1"));
    EXPECT_EQ(frames[0].arp.sender_mac, front_mac);
    EXPECT_EQ(frames[0].arp.target, ip("198.18.0.9"));
    EXPECT_EQ(frames[0].arp.target_mac, peer_mac);
    EXPECT_EQ(ip_.counters().arp_answered, 1u);
}

// RFC 5227 §2.1.1: whoever probes for an address of ours must hear of it.
TEST_F(IpLayerTest, AnswersAnArpProbe) {
    receive_arp(0, {.is_request = true,
                    .sender_mac = peer_mac,
                    .sender = ip("0.0.0.0"),
                    .target_mac = {},
                    .target = ip("198.18.0.1")});
    const std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].arp.sender, ip("198.18.0.1"));
}

TEST_F(IpLayerTest, LeavesArpForOthersAlone) {
    for (const char* target : {"198.18.0.2", "198.18.1.1" /* ours, but not on this link */})
        receive_arp(0, {.is_request = true,
                        .sender_mac = peer_mac,
                        .sender = ip("198.18.0.9"),
                        .target_mac = {},
                        .target = ip(target)});
    arp_reply("198.18.0.9");
    EXPECT_TRUE(silent());
}

TEST_F(IpLayerTest, AnswersNeighbourSolicitation) {
    wire::NdpMessage question;
    question.source = ip("2001:db8::9");
    question.target = ip("2001:db8::1");
    question.destination = wire::solicited_node_address(question.target);
    question.has_link_address = true;
    question.link_address = peer_mac;
    solicitation(0, question);
    const std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames.size(), 1u);
    ASSERT_EQ(frames[0].kind, FrameKind::ndp_advertisement);
    EXPECT_EQ(frames[0].destination_mac, peer_mac);
    EXPECT_EQ(frames[0].vlan, 7);
    const wire::NdpMessage& answer = frames[0].ndp;
    EXPECT_EQ(answer.source, ip("2001:db8::1"));
    EXPECT_EQ(answer.destination, ip("2001:db8::9"));
    EXPECT_EQ(answer.target, ip("2001:db8::1"));
    EXPECT_TRUE(answer.has_link_address);
    EXPECT_EQ(answer.link_address, front_mac);
    EXPECT_TRUE(answer.is_solicited);
    EXPECT_TRUE(answer.is_override);
    EXPECT_FALSE(answer.is_router);
    EXPECT_EQ(ip_.counters().ndp_answered, 1u);
}

// RFC 4861 §7.2.4, RFC 4862 §5.4: the asker has no address yet, so all nodes hear the answer.
TEST_F(IpLayerTest, AnswersDuplicateAddressDetectionToAllNodes) {
    wire::NdpMessage probe;
    probe.target = ip("2001:db8::1");
    probe.destination = wire::solicited_node_address(probe.target);
    solicitation(0, probe);
    const std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].destination_mac, (MacAddress{{0x33, 0x33, 0, 0, 0, 1}}));
    EXPECT_EQ(frames[0].ndp.destination, ip("ff02::1"));
    EXPECT_FALSE(frames[0].ndp.is_solicited);
    EXPECT_EQ(frames[0].ndp.link_address, front_mac);
}

TEST_F(IpLayerTest, LeavesSolicitationsForOthersAlone) {
    wire::NdpMessage question;
    question.source = ip("2001:db8::9");
    question.target = ip("2001:db8::2");
    question.destination = wire::solicited_node_address(question.target);
    solicitation(0, question);
    question.target = ip("2001:db8::1");
    question.destination = wire::solicited_node_address(question.target);
    solicitation(1, question);  // ours, but not on this link
    EXPECT_TRUE(silent());
}

TEST_F(IpLayerTest, AnswersEcho) {
    const std::array<uint8_t, 5> payload{1, 2, 3, 4, 5};
    wire::IcmpEcho echo{
        .source = ip("198.18.0.9"), .destination = ip("198.18.0.1"), .id = 77, .sequence = 3, .payload = payload};
    receive(0, front_mac, [&](auto room, auto& link) { return wire::write_icmp_echo_request(room, link, echo, {}); });
    ASSERT_EQ(sink_.frames[0].size(), 1u);
    EXPECT_EQ(sink_.frames[0][0].back(), 5) << "the payload comes back";
    const std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames[0].kind, FrameKind::icmp_echo_reply);
    EXPECT_EQ(frames[0].destination_mac, peer_mac);
    EXPECT_EQ(frames[0].echo.source, ip("198.18.0.1"));
    EXPECT_EQ(frames[0].echo.destination, ip("198.18.0.9"));
    EXPECT_EQ(frames[0].echo.id, 77);
    EXPECT_EQ(frames[0].echo.sequence, 3);

    echo.source = ip("2001:db8::9");
    echo.destination = ip("2001:db8::1");
    receive(0, front_mac, [&](auto room, auto& link) { return wire::write_icmp_echo_request(room, link, echo, {}); });
    EXPECT_EQ(sent(0).at(0).kind, FrameKind::icmp_echo_reply);
    EXPECT_EQ(ip_.counters().echo_answered, 2u);

    echo.destination = ip("2001:db8::2");
    receive(0, front_mac, [&](auto room, auto& link) { return wire::write_icmp_echo_request(room, link, echo, {}); });
    EXPECT_TRUE(silent());
}

// Its connections go on: whoever knows the way already may ask again, but nobody new learns it.
TEST_F(IpLayerTest, AnswersForARemovedAddressOnlyThoseWhoKnowIt) {
    builder_.local_addresses[1].address = ip("2001:db8::2");
    reload();
    wire::NdpMessage question;
    question.source = ip("2001:db8::9");
    question.target = ip("2001:db8::1");
    question.destination = wire::solicited_node_address(question.target);
    solicitation(0, question);
    EXPECT_TRUE(silent());
    receive(0, front_mac, [&](auto room, auto& link) { return wire::write_ndp_solicitation(room, link, question); });
    EXPECT_EQ(ip_.counters().ndp_answered, 1u);
}

TEST_F(IpLayerTest, AnswersNothingWithoutRoom) {
    sink_.credits = {0, 0};
    receive_arp(0, {.is_request = true,
                    .sender_mac = peer_mac,
                    .sender = ip("198.18.0.9"),
                    .target_mac = {},
                    .target = ip("198.18.0.1")});
    EXPECT_TRUE(silent());
    EXPECT_EQ(ip_.counters().arp_answered, 0u);
}

TEST_F(IpLayerTest, LearnsFromACopyButNeverAnswersIt) {
    ASSERT_EQ(path("198.18.0.9"), PathState::unresolved);
    ASSERT_EQ(path("2001:db8::9"), PathState::unresolved);
    learn_only_ = true;
    receive_arp(0, {.is_request = true,
                    .sender_mac = peer_mac,
                    .sender = ip("198.18.0.9"),
                    .target_mac = {},
                    .target = ip("198.18.0.1")});
    wire::NdpMessage question;
    question.source = ip("2001:db8::9");
    question.target = ip("2001:db8::1");
    question.destination = wire::solicited_node_address(question.target);
    question.has_link_address = true;
    question.link_address = peer_mac;
    solicitation(0, question);
    const wire::IcmpEcho echo{.source = ip("198.18.0.9"), .destination = ip("198.18.0.1"), .payload = {}};
    receive(0, front_mac, [&](auto room, auto& link) { return wire::write_icmp_echo_request(room, link, echo, {}); });
    EXPECT_TRUE(silent());
    EXPECT_EQ(path("198.18.0.9"), PathState::ready);
    EXPECT_EQ(path("2001:db8::9"), PathState::ready);
}

// ---- Paths ----

TEST_F(IpLayerTest, TellsThreeKindsOfPaths) {
    EXPECT_EQ(path("2001:db8:5::1"), PathState::unreachable);
    EXPECT_EQ(path("198.18.0.9"), PathState::unresolved);
    const uint64_t changes = ip_.neighbours().changes();
    arp_reply("198.18.0.9");
    EXPECT_NE(ip_.neighbours().changes(), changes);
    EXPECT_EQ(path("198.18.0.9"), PathState::ready);
    EXPECT_EQ(path_.interface, 0);
    EXPECT_EQ(path_.link.source_mac, front_mac);
    EXPECT_EQ(path_.link.destination_mac, peer_mac);
    EXPECT_EQ(path_.link.vlan, 7);
}

TEST_F(IpLayerTest, ReachesStrangersByTheGatewaysAddress) {
    EXPECT_EQ(path("198.19.3.3"), PathState::unresolved);
    arp_reply("198.18.0.254", other_mac);
    EXPECT_EQ(path("198.19.3.3"), PathState::ready);
    EXPECT_EQ(path_.link.destination_mac, other_mac);
}

TEST_F(IpLayerTest, KeepsLinksApart) {
    ASSERT_EQ(path("198.18.1.9"), PathState::unresolved);
    arp_reply("198.18.1.9");  // on link 0, where nobody asked for it
    EXPECT_EQ(path("198.18.1.9"), PathState::unresolved);
}

TEST_F(IpLayerTest, SendsFromTheLocalAddressOfTheSegment) {
    resolve("198.18.0.9");
    wire::OutboundSegment segment;
    segment.header.destination = ip("198.18.0.9");
    segment.header.source_port = 80;
    segment.header.flags = wire::tcp_ack;
    segment.local_id = config_->local_id(ip("198.18.0.1"));
    ip_.send(path_, segment);
    const std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames.size(), 1u);
    ASSERT_EQ(frames[0].kind, FrameKind::tcp);
    EXPECT_EQ(frames[0].tcp.source, ip("198.18.0.1"));
    EXPECT_EQ(frames[0].destination_mac, peer_mac);
    EXPECT_EQ(frames[0].vlan, 7);
}

TEST_F(IpLayerTest, CountsWhatItDrops) {
    resolve("198.18.0.9");
    wire::OutboundSegment segment;
    segment.header.flags = wire::tcp_rst;
    segment.header.destination = ip("198.18.0.8");
    segment.local_id = config_->local_id(ip("198.18.0.1"));
    ip_.send_or_drop(segment, now_);
    EXPECT_EQ(ip_.counters().unresolved_dropped, 1u);
    segment.header.destination = ip("198.18.0.9");
    sink_.credits[0] = 0;
    ip_.send_or_drop(segment, now_);
    EXPECT_EQ(ip_.counters().no_credit_dropped, 1u);
    sink_.credits[0] = 1;
    ip_.send_or_drop(segment, now_);
    EXPECT_EQ(sent(0).size(), 1u);
    segment.header.destination = ip("2001:db8:5::1");
    segment.local_id = config_->local_id(ip("2001:db8::1"));
    ip_.send_or_drop(segment, now_);
    EXPECT_EQ(ip_.counters().unreachable_dropped, 1u);
}

// ---- Questions ----

TEST_F(IpLayerTest, AsksByBroadcast) {
    path("198.18.0.9");
    poll();
    const std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames.size(), 1u) << "at once: somebody waits";
    ASSERT_EQ(frames[0].kind, FrameKind::arp);
    EXPECT_EQ(frames[0].destination_mac, wire::broadcast_mac);
    EXPECT_EQ(frames[0].source_mac, front_mac);
    EXPECT_EQ(frames[0].vlan, 7);
    EXPECT_TRUE(frames[0].arp.is_request);
    EXPECT_EQ(frames[0].arp.sender, ip("198.18.0.1"));
    EXPECT_EQ(frames[0].arp.sender_mac, front_mac);
    EXPECT_EQ(frames[0].arp.target, ip("198.18.0.9"));
    EXPECT_EQ(ip_.counters().solicitations_sent, 1u);
}

TEST_F(IpLayerTest, AsksTheSolicitedNodeGroup) {
    path("2001:db8::ab:cdef");
    poll();
    const std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames.size(), 1u);
    ASSERT_EQ(frames[0].kind, FrameKind::ndp_solicitation);
    EXPECT_EQ(frames[0].destination_mac, (MacAddress{{0x33, 0x33, 0xff, 0xab, 0xcd, 0xef}}));
    EXPECT_EQ(frames[0].vlan, 7);
    EXPECT_EQ(frames[0].ndp.source, ip("2001:db8::1"));
    EXPECT_EQ(frames[0].ndp.destination, ip("ff02::1:ffab:cdef"));
    EXPECT_EQ(frames[0].ndp.target, ip("2001:db8::ab:cdef"));
    EXPECT_TRUE(frames[0].ndp.has_link_address);
    EXPECT_EQ(frames[0].ndp.link_address, front_mac);
}

TEST_F(IpLayerTest, AsksOnTheRightLink) {
    path("198.18.1.9");
    poll();
    EXPECT_TRUE(sink_.frames[0].empty());
    const std::vector<ParsedFrame> frames = sent(1);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].kind, FrameKind::arp) << "untagged";
    EXPECT_EQ(frames[0].source_mac, rear_mac);
    EXPECT_EQ(frames[0].arp.sender, ip("198.18.1.1"));
}

// A host may ignore the question of an address that it has no route to.
TEST_F(IpLayerTest, AsksFromTheAddressOfTheTargetsNetwork) {
    builder_.local_addresses.push_back({ip("198.18.5.1"), 0, 24, {}});
    builder_.local_addresses.push_back({ip("2001:db8:5::1"), 0, 64, {}});
    reload();
    poll();
    sink_.frames = {};
    path("198.18.5.9");
    path("2001:db8:5::9");
    poll();
    const std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames.size(), 2u);
    EXPECT_EQ(frames[0].arp.sender, ip("198.18.5.1"));
    EXPECT_EQ(frames[1].ndp.source, ip("2001:db8:5::1"));
}

TEST_F(IpLayerTest, AsksOnceASecondWhileSomebodyWaits) {
    use("198.18.0.9", 5 * us_per_s);
    EXPECT_EQ(sent(0).size(), 5u);
    poll(3 * us_per_s);
    EXPECT_TRUE(silent()) << "nobody waits any more";
}

TEST_F(IpLayerTest, AsksAgainForAQuestionThatFoundNoRoom) {
    sink_.credits[0] = 0;
    path("198.18.0.9");
    poll();
    sink_.credits[0] = 100;
    use("198.18.0.9", 1100 * us_per_ms);
    EXPECT_EQ(sent(0).size(), 1u);
}

TEST_F(IpLayerTest, VerifiesAnOldNeighbourByUnicast) {
    resolve("198.18.0.9");
    now_ += 31 * us_per_s;
    EXPECT_EQ(path("198.18.0.9"), PathState::ready) << "and goes on meanwhile";
    poll();
    std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].destination_mac, peer_mac);
    EXPECT_EQ(frames[0].arp.target, ip("198.18.0.9"));
    arp_reply("198.18.0.9");
    use("198.18.0.9", 5 * us_per_s);
    EXPECT_TRUE(silent()) << "it answered";

    now_ += 31 * us_per_s;
    use("198.18.0.9", 3 * us_per_s);
    EXPECT_EQ(path("198.18.0.9"), PathState::unresolved) << "three questions, no answer";
    poll();
    frames = sent(0);
    ASSERT_EQ(frames.size(), 4u);
    EXPECT_EQ(frames[2].destination_mac, peer_mac);
    EXPECT_EQ(frames[3].destination_mac, wire::broadcast_mac);
}

// RFC 4861 §4.4: the answer to a unicast solicitation may leave the link-layer address out, and Linux does.
TEST_F(IpLayerTest, AcceptsAShortAnswerToAUnicastSolicitation) {
    wire::NdpMessage answer;
    answer.source = answer.target = ip("2001:db8::9");
    answer.destination = ip("2001:db8::1");
    answer.has_link_address = true;
    answer.link_address = peer_mac;
    answer.is_solicited = answer.is_override = true;
    ASSERT_EQ(path("2001:db8::9"), PathState::unresolved);
    advertisement(answer);
    ASSERT_EQ(path("2001:db8::9"), PathState::ready);
    poll();
    sink_.frames = {};

    now_ += 31 * us_per_s;
    path("2001:db8::9");
    poll();
    const std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].destination_mac, peer_mac);
    EXPECT_EQ(frames[0].ndp.destination, ip("2001:db8::9")) << "unicast";
    answer.has_link_address = false;
    advertisement(answer);
    use("2001:db8::9", 5 * us_per_s);
    EXPECT_TRUE(silent());
    EXPECT_EQ(path("2001:db8::9"), PathState::ready);
}

// ---- Announcements ----

TEST_F(IpLayerTest, AnnouncesItsAddressesAtStart) {
    IpLayer fresh(sink_, {front_mac, rear_mac}, 64);
    fresh.set_config(*config_, true);
    fresh.poll(now_);
    const std::vector<ParsedFrame> front = sent(0), rear = sent(1);
    ASSERT_EQ(front.size(), 2u);
    ASSERT_EQ(front[0].kind, FrameKind::arp);
    EXPECT_EQ(front[0].destination_mac, wire::broadcast_mac);
    EXPECT_EQ(front[0].vlan, 7);
    EXPECT_TRUE(front[0].arp.is_request);
    EXPECT_EQ(front[0].arp.sender, ip("198.18.0.1"));
    EXPECT_EQ(front[0].arp.target, ip("198.18.0.1"));
    EXPECT_EQ(front[0].arp.sender_mac, front_mac);
    ASSERT_EQ(front[1].kind, FrameKind::ndp_advertisement);
    EXPECT_EQ(front[1].ndp.target, ip("2001:db8::1"));
    EXPECT_EQ(front[1].ndp.destination, ip("ff02::1"));
    EXPECT_EQ(front[1].ndp.link_address, front_mac);
    EXPECT_TRUE(front[1].ndp.is_override);
    EXPECT_FALSE(front[1].ndp.is_solicited);
    ASSERT_EQ(rear.size(), 1u);
    EXPECT_EQ(rear[0].arp.sender_mac, rear_mac);
}

TEST_F(IpLayerTest, LeavesAnnouncingToTheWorkerThatIsToldTo) {
    IpLayer fresh(sink_, {front_mac, rear_mac}, 64);
    fresh.set_config(*config_, false);
    fresh.poll(now_);
    EXPECT_TRUE(silent());
}

TEST_F(IpLayerTest, AnnouncesWhatAReloadAdds) {
    reload();
    poll(20 * us_per_ms);
    EXPECT_TRUE(silent()) << "nothing is new";
    builder_.local_addresses.push_back({ip("198.18.0.2"), 0, 24, {}});
    reload();
    poll(20 * us_per_ms);
    const std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].arp.sender, ip("198.18.0.2"));
}

// Another host may have had it in between.
TEST_F(IpLayerTest, AnnouncesAnAddressThatComesBackOrMoves) {
    const LocalAddressRecord v6 = builder_.local_addresses[1];
    builder_.local_addresses[1].address = ip("2001:db8::2");
    reload();
    poll(20 * us_per_ms);
    sink_.frames = {};
    builder_.local_addresses[1] = v6;
    reload();
    poll(20 * us_per_ms);
    std::vector<ParsedFrame> frames = sent(0);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].ndp.target, v6.address);

    builder_.local_addresses[1].interface = 1;
    reload();
    poll(20 * us_per_ms);
    frames = sent(1);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].ndp.target, v6.address);
    EXPECT_TRUE(silent());
}

TEST_F(IpLayerTest, AnnouncesLaterWhatFindsNoRoom) {
    sink_.credits = {0, 100};
    IpLayer fresh(sink_, {front_mac, rear_mac}, 64);
    fresh.set_config(*config_, true);
    fresh.poll(now_);
    EXPECT_TRUE(sink_.frames[0].empty());
    EXPECT_EQ(sent(1).size(), 1u) << "a link without room holds no other up";
    sink_.credits = {100, 100};
    fresh.poll(now_ + 20 * us_per_ms);
    EXPECT_EQ(sent(0).size(), 2u);
    EXPECT_TRUE(silent());
}

}  // namespace
}  // namespace millrace::net
