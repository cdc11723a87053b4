// Pings on a recorded wire: the way there, the answer, and everything that is none.
#include "dataplane/net/pinger.h"

#include <cstring>

#include "net/ip_layer_fixture.h"

namespace millrace::net {
namespace {

class PingerTest : public IpLayerTest {
  protected:
    bool start(const char* address, uint16_t bytes = 56, uint32_t timeout_ms = 1000) {
        const Ping request{.address = ip(address), .payload_bytes = bytes, .reserved = 0, .timeout_ms = timeout_ms};
        return pinger_.start(next_id_++, request, 0x1122334455667788, now_);
    }
    void poll_pings() {
        pinger_.poll(ip_, now_);
        poll();
    }
    /// The only request that was sent on `interface`, with its payload.
    wire::IcmpEcho request(uint16_t interface) {
        wire::IcmpEcho echo;
        size_t count = 0;
        for (const std::vector<uint8_t>& frame : sink_.frames.at(interface)) {
            ParsedFrame parsed;
            if (wire::parse_frame(frame, {.vlan = vlan(interface)}, parsed) != FrameKind::icmp_echo_request) continue;
            ++count;
            echo = parsed.echo;
            payload_.assign(echo.payload.begin(), echo.payload.end());
            echo.payload = payload_;
        }
        sink_.frames[interface].clear();
        EXPECT_EQ(count, 1u);
        return echo;
    }
    static wire::IcmpEcho answer_to(const wire::IcmpEcho& question) {
        wire::IcmpEcho answer = question;
        std::swap(answer.source, answer.destination);
        return answer;
    }

    Pinger pinger_{3};
    uint64_t next_id_ = 1;
    std::vector<uint8_t> payload_;
};

TEST_F(PingerTest, ResolvesSendsAndMeasures) {
    ASSERT_TRUE(start("198.18.0.9"));
    poll_pings();
    EXPECT_EQ(sink_.take(0, 7).at(0).kind, FrameKind::arp) << "the neighbour first";
    EXPECT_FALSE(pinger_.take_finished());
    now_ += 2000;
    arp_reply("198.18.0.9");
    poll_pings();
    const wire::IcmpEcho question = request(0);
    EXPECT_EQ(question.source, ip("198.18.0.1"));
    EXPECT_EQ(question.destination, ip("198.18.0.9"));
    EXPECT_EQ(question.payload.size(), 56u);
    EXPECT_EQ(Pinger::asker(question), 3);
    now_ += 1234;  // and the two milliseconds of poll_pings()
    pinger_.on_reply(answer_to(question), now_);
    const auto finished = pinger_.take_finished();
    ASSERT_TRUE(finished);
    EXPECT_EQ(finished->request_id, 1u);
    EXPECT_EQ(finished->result.end, PingEnd::answered);
    EXPECT_EQ(finished->result.rtt_us, 3234u) << "without the time of the resolution";
    EXPECT_EQ(finished->result.interface, 0);
    EXPECT_EQ(finished->result.source, ip("198.18.0.1"));
    EXPECT_EQ(finished->result.next_hop, ip("198.18.0.9"));
    EXPECT_FALSE(pinger_.active());
    pinger_.on_reply(answer_to(question), now_);
    EXPECT_FALSE(pinger_.take_finished()) << "told once";
}

TEST_F(PingerTest, GoesByTheGatewayAndByIpv6) {
    ASSERT_TRUE(start("203.0.113.5"));
    poll_pings();
    arp_reply("198.18.0.254");
    sink_.frames[0].clear();
    poll_pings();
    EXPECT_EQ(request(0).destination, ip("203.0.113.5"));
    now_ += us_per_s;
    poll_pings();
    EXPECT_EQ(pinger_.take_finished()->result.next_hop, ip("198.18.0.254"));

    ASSERT_TRUE(start("2001:db8::9"));
    poll_pings();
    EXPECT_EQ(sink_.take(0, 7).at(0).kind, FrameKind::ndp_solicitation);
}

TEST_F(PingerTest, OnlyTheAnswerCounts) {
    ASSERT_TRUE(start("198.18.0.9"));
    poll_pings();
    arp_reply("198.18.0.9");
    sink_.frames[0].clear();
    poll_pings();
    const wire::IcmpEcho question = request(0);
    const wire::IcmpEcho good = answer_to(question);
    wire::IcmpEcho bad = good;
    bad.source = ip("198.18.0.8");
    pinger_.on_reply(bad, now_);
    bad = good;
    ++bad.id;
    pinger_.on_reply(bad, now_);
    bad = good;
    bad.sequence = static_cast<uint16_t>(bad.sequence + Pinger::outstanding_max);
    pinger_.on_reply(bad, now_);
    bad = good;
    bad.payload = bad.payload.first(20);
    pinger_.on_reply(bad, now_);
    std::vector<uint8_t> forged(good.payload.begin(), good.payload.end());
    forged[0] ^= 1;
    bad.payload = forged;
    pinger_.on_reply(bad, now_);
    bad = good;
    bad.destination = ip("198.18.1.1");
    pinger_.on_reply(bad, now_);
    EXPECT_FALSE(pinger_.take_finished());
    EXPECT_EQ(Pinger::asker({.id = 0x1234, .payload = {}}), std::nullopt);
    pinger_.on_reply(good, now_);
    EXPECT_TRUE(pinger_.take_finished());
}

TEST_F(PingerTest, EveryEndIsTold) {
    ASSERT_TRUE(start("198.18.0.9"));
    poll_pings();
    now_ += us_per_s;
    poll_pings();
    EXPECT_EQ(pinger_.take_finished()->result.end, PingEnd::no_neighbour);

    arp_reply("198.18.0.9");
    ASSERT_TRUE(start("198.18.0.9", 56, 300));
    poll_pings();
    now_ += 297 * us_per_ms;
    poll_pings();
    EXPECT_FALSE(pinger_.take_finished());
    now_ += us_per_ms;
    poll_pings();
    EXPECT_EQ(pinger_.take_finished()->result.end, PingEnd::timed_out);

    ASSERT_TRUE(start("2001:db9::1"));
    poll_pings();
    EXPECT_EQ(pinger_.take_finished()->result.end, PingEnd::no_route);

    ASSERT_TRUE(start("2001:db8::9", 1472));
    poll_pings();
    EXPECT_EQ(pinger_.take_finished()->result.end, PingEnd::too_long);
    EXPECT_FALSE(pinger_.active());
}

TEST_F(PingerTest, IsBoundedAndPaced) {
    resolve("198.18.0.9");
    for (uint32_t i = 0; i < Pinger::outstanding_max; ++i) EXPECT_TRUE(start("198.18.0.9", 8, 10'000));
    EXPECT_FALSE(start("198.18.0.9"));
    size_t sent = 0;
    for (int ms = 0; ms < 100; ++ms, now_ += us_per_ms) {
        pinger_.poll(ip_, now_);
        for (const auto& frame : sink_.take(0, 7)) sent += frame.kind == FrameKind::icmp_echo_request;
    }
    EXPECT_EQ(sent, 100 * us_per_ms / Pinger::interval_us);
}

TEST_F(PingerTest, WaitsForRoomInTheDevice) {
    ASSERT_TRUE(start("198.18.0.9"));
    poll_pings();
    arp_reply("198.18.0.9");
    sink_.frames[0].clear();
    sink_.credits[0] = 0;
    poll_pings();
    sink_.credits[0] = 10;
    poll_pings();
    EXPECT_EQ(request(0).destination, ip("198.18.0.9"));
}

}  // namespace
}  // namespace millrace::net
