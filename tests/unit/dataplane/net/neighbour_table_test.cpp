// The resolution cache in virtual time: every arrow of the drawing in neighbour_table.h, the pace of its questions, and
// who gives way when it is full.
#include "dataplane/net/neighbour_table.h"

#include <gtest/gtest.h>

namespace millrace::net {
namespace {

constexpr MacAddress mac_a{{2, 0, 0, 0, 0, 0xa}}, mac_b{{2, 0, 0, 0, 0, 0xb}};
const IpAddress peer = IpAddress::v4(198, 18, 0, 9);

class NeighbourTableTest : public ::testing::Test {
  protected:
    bool resolve(const IpAddress& address = peer) {
        const MacAddress* mac = table_.resolve(0, address, now_);
        mac_ = mac == nullptr ? MacAddress{} : *mac;
        return mac != nullptr;
    }
    void answer(const MacAddress& mac = mac_a, const IpAddress& address = peer) {
        table_.learn(0, address, {.mac = mac, .solicited = true}, now_);
    }
    void announce(const MacAddress& mac, const IpAddress& address = peer) {
        table_.learn(0, address, {.mac = mac}, now_);
    }
    std::vector<Solicitation> questions() {
        const std::vector<Solicitation> all(table_.questions().begin(), table_.questions().end());
        table_.clear_questions();
        return all;
    }
    /// Uses the neighbour every 100 ms; the times, in milliseconds from now, at which that led to a question.
    std::vector<int> use(uint32_t duration_ms) {
        std::vector<int> asked;
        for (uint32_t ms = 0; ms < duration_ms; ms += 100, wait(100)) {
            resolve();
            if (!questions().empty()) asked.push_back(static_cast<int>(ms));
        }
        return asked;
    }
    void wait(uint32_t ms) { now_ += ms * us_per_ms; }
    void make_reachable() {
        resolve();
        answer();
        questions();
    }
    std::vector<NeighbourRecord> list() {
        std::vector<NeighbourRecord> records(100);
        records.resize(table_.list(records, now_));
        return records;
    }
    NeighbourState state() { return list().at(0).state; }

    NeighbourTable table_{16};
    TimeUs now_ = 5000 * us_per_s;
    MacAddress mac_;
};

TEST_F(NeighbourTableTest, AsksForANewNeighbourAtItsFirstUse) {
    EXPECT_FALSE(resolve());
    EXPECT_EQ(state(), NeighbourState::incomplete);
    const std::vector<Solicitation> asked = questions();
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].target, peer);
    EXPECT_EQ(asked[0].interface, 0);
    EXPECT_EQ(asked[0].unicast_to, std::nullopt);
}

TEST_F(NeighbourTableTest, AsksOncePerSecondAsLongAsItIsUsed) {
    EXPECT_EQ(use(3500), (std::vector{0, 1000, 2000, 3000}));
    wait(10'000);
    EXPECT_TRUE(questions().empty());
    EXPECT_EQ(use(1000), std::vector{0});
}

TEST_F(NeighbourTableTest, BecomesReachableByAnAnswer) {
    resolve();
    EXPECT_EQ(table_.changes(), 0u);
    answer();
    EXPECT_EQ(table_.changes(), 1u);
    EXPECT_EQ(state(), NeighbourState::reachable);
    EXPECT_TRUE(resolve());
    EXPECT_EQ(mac_, mac_a);
    questions();
    EXPECT_TRUE(use(29'000).empty()) << "nothing to ask for 30 s";
}

TEST_F(NeighbourTableTest, LearnsNothingOfStrangers) {
    answer();
    announce(mac_a);
    EXPECT_TRUE(list().empty());
    resolve();
    table_.learn(1, peer, {.mac = mac_a, .solicited = true}, now_);
    EXPECT_FALSE(resolve()) << "another link";
}

// RFC 4861 §7.2.5: unasked for, it doesn't prove that the neighbour hears us.
TEST_F(NeighbourTableTest, UsesAnAnnouncementButHasItConfirmed) {
    resolve();
    questions();
    announce(mac_a);
    EXPECT_EQ(table_.changes(), 1u);
    EXPECT_EQ(state(), NeighbourState::stale);
    EXPECT_TRUE(resolve());
    EXPECT_TRUE(questions().empty()) << "one question a second";
    wait(1000);
    EXPECT_TRUE(resolve());
    const std::vector<Solicitation> asked = questions();
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].unicast_to, mac_a);
}

TEST_F(NeighbourTableTest, AnAnnouncementOfWhatIsKnownChangesNothing) {
    make_reachable();
    wait(29'000);
    announce(mac_a);
    EXPECT_EQ(state(), NeighbourState::reachable);
    wait(1001);
    resolve();
    EXPECT_EQ(state(), NeighbourState::stale) << "no confirmation either";
}

TEST_F(NeighbourTableTest, GoesStaleAfterThirtySecondsWhenUsed) {
    make_reachable();
    wait(30'000);
    resolve();
    EXPECT_EQ(state(), NeighbourState::reachable);
    wait(1);
    EXPECT_TRUE(resolve()) << "it is used while it is verified";
    EXPECT_EQ(state(), NeighbourState::stale);
    const std::vector<Solicitation> asked = questions();
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].unicast_to, mac_a);
    answer();
    EXPECT_EQ(state(), NeighbourState::reachable);
    EXPECT_EQ(table_.changes(), 1u) << "it never was unresolved";
}

TEST_F(NeighbourTableTest, NeedsNoAddressInAnAnswerToAUnicastQuestion) {
    make_reachable();
    wait(30'001);
    resolve();
    table_.learn(0, peer, {.mac = std::nullopt, .solicited = true}, now_);
    EXPECT_EQ(state(), NeighbourState::reachable);
    resolve();
    EXPECT_EQ(mac_, mac_a);
}

TEST_F(NeighbourTableTest, LearnsNothingFromAnAnswerWithoutAddressWhileUnresolved) {
    resolve();
    table_.learn(0, peer, {.mac = std::nullopt, .solicited = true}, now_);
    EXPECT_FALSE(resolve());
    EXPECT_EQ(table_.changes(), 0u);
}

TEST_F(NeighbourTableTest, IsUnresolvedAfterThreeUnansweredQuestions) {
    make_reachable();
    wait(30'001);
    EXPECT_EQ(use(3000), (std::vector{0, 1000, 2000}));
    EXPECT_EQ(state(), NeighbourState::stale);
    EXPECT_FALSE(resolve());
    EXPECT_EQ(state(), NeighbourState::incomplete);
    std::vector<Solicitation> asked = questions();
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].unicast_to, std::nullopt);
    answer(mac_b);
    EXPECT_TRUE(resolve());
    EXPECT_EQ(mac_, mac_b);
    EXPECT_EQ(table_.changes(), 2u);
    wait(30'001);
    EXPECT_EQ(use(3000).size(), 3u) << "three again";
}

TEST_F(NeighbourTableTest, IsSilentAfterThreeUnansweredBroadcasts) {
    use(3000);
    EXPECT_FALSE(table_.is_silent(0, peer, now_)) << "the third question has its second, too";
    resolve();
    EXPECT_TRUE(table_.is_silent(0, peer, now_));
    EXPECT_EQ(use(3000), (std::vector{0, 1000, 2000})) << "asked once a second nevertheless";
    answer();
    EXPECT_FALSE(table_.is_silent(0, peer, now_));
    wait(30'001);
    use(3000);
    resolve();
    EXPECT_EQ(state(), NeighbourState::incomplete);
    EXPECT_FALSE(table_.is_silent(0, peer, now_)) << "unicast questions are not broadcasts";
    EXPECT_FALSE(table_.is_silent(0, IpAddress::v4(198, 18, 0, 10), now_));
}

TEST_F(NeighbourTableTest, TellsWhatChangesAnEntry) {
    EXPECT_FALSE(table_.learn(0, peer, {.mac = mac_a}, now_)) << "nobody wants it";
    resolve();
    EXPECT_TRUE(table_.learn(0, peer, {.mac = mac_a, .solicited = true}, now_));
    EXPECT_FALSE(table_.learn(0, peer, {.mac = mac_a}, now_));
    EXPECT_FALSE(table_.learn(0, peer, {.mac = mac_b, .overrides = false}, now_));
    EXPECT_TRUE(table_.learn(0, peer, {.mac = mac_b}, now_));
}

TEST_F(NeighbourTableTest, FollowsANeighbourThatMoves) {
    make_reachable();
    wait(5000);
    announce(mac_b);
    EXPECT_EQ(state(), NeighbourState::stale);
    EXPECT_TRUE(resolve());
    EXPECT_EQ(mac_, mac_b);
    const std::vector<Solicitation> asked = questions();
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].unicast_to, mac_b);
}

// RFC 4861 §7.2.5: a proxy's advertisement, for one.
TEST_F(NeighbourTableTest, KeepsItsAddressAgainstAClaimThatDoesNotOverride) {
    make_reachable();
    for (const bool solicited : {false, true})
        table_.learn(0, peer, {.mac = mac_b, .solicited = solicited, .overrides = false}, now_);
    EXPECT_TRUE(resolve());
    EXPECT_EQ(mac_, mac_a);
    EXPECT_EQ(state(), NeighbourState::reachable);

    wait(30'001);
    resolve();
    table_.learn(0, peer, {.mac = mac_a, .solicited = true, .overrides = false}, now_);
    EXPECT_EQ(state(), NeighbourState::reachable) << "it contradicts nothing";
}

TEST_F(NeighbourTableTest, TakesAnyClaimWhileUnresolved) {
    resolve();
    table_.learn(0, peer, {.mac = mac_a, .solicited = true, .overrides = false}, now_);
    EXPECT_EQ(state(), NeighbourState::reachable);
}

TEST_F(NeighbourTableTest, SupposesASenderAndVerifiesIt) {
    table_.suppose(0, peer, mac_a, now_);
    EXPECT_EQ(state(), NeighbourState::stale);
    EXPECT_TRUE(resolve());
    EXPECT_EQ(mac_, mac_a);
    const std::vector<Solicitation> asked = questions();
    ASSERT_EQ(asked.size(), 1u);
    EXPECT_EQ(asked[0].unicast_to, mac_a);
    wait(1000);
    EXPECT_EQ(use(2000).size(), 2u);
    EXPECT_FALSE(resolve()) << "it was a lie";
}

TEST_F(NeighbourTableTest, SupposesNothingAgainstWhatItKnows) {
    make_reachable();
    table_.suppose(0, peer, mac_b, now_);
    resolve();
    EXPECT_EQ(mac_, mac_a);

    wait(30'001);
    use(3000);
    EXPECT_FALSE(resolve());
    table_.suppose(0, peer, mac_b, now_);
    EXPECT_FALSE(resolve()) << "it is being asked for";
    wait(30'001);
    table_.suppose(0, peer, mac_b, now_);
    EXPECT_TRUE(resolve()) << "long forgotten";
    EXPECT_EQ(mac_, mac_b);
}

TEST_F(NeighbourTableTest, ForgetsAnUnresolvedNeighbourThatNobodyWants) {
    resolve();
    wait(30'000);
    EXPECT_EQ(list().size(), 1u);
    wait(1);
    EXPECT_TRUE(list().empty());
    answer();
    EXPECT_FALSE(resolve());
}

TEST_F(NeighbourTableTest, BoundsItsQuestions) {
    NeighbourTable large(1024);
    std::vector<IpAddress> all;
    for (uint8_t i = 0; i < 40; ++i) all.push_back(IpAddress::v4(198, 18, 1, i));
    size_t asked = 0;
    for (const size_t expected : {16u, 16u, 8u, 0u}) {
        for (const IpAddress& address : all) large.resolve(0, address, now_);
        EXPECT_EQ(large.questions().size(), expected);
        asked += large.questions().size();
        large.clear_questions();
    }
    EXPECT_EQ(asked, all.size()) << "the later ones at their next use";
}

// Neighbours differ in their last bits, or, with addresses made from MACs (RFC 4291 §2.5.1), somewhere in the middle.
TEST_F(NeighbourTableTest, HoldsAWholeNetwork) {
    for (const size_t changing : {15u, 14u, 13u, 10u, 7u}) {
        for (const bool v4 : {true, false}) {
            if (v4 && changing < 13) continue;
            NeighbourTable table(1024);
            IpAddress address = v4 ? IpAddress::v4(198, 18, 1, 9) : *parse_ip_address("2001:db8::11:22ff:fe33:4455");
            for (unsigned i = 0; i < 256; ++i) {
                address.bytes[changing] = static_cast<uint8_t>(i);
                table.resolve(0, address, now_);
            }
            EXPECT_EQ(table.evicted_total(), 0u) << "byte " << changing << (v4 ? " of IPv4" : " of IPv6");
        }
    }
}

class FullNeighbourTable : public NeighbourTableTest {
  protected:
    static IpAddress nth(size_t i) { return IpAddress::v4(198, 18, 1, static_cast<uint8_t>(i)); }
    /// Fills the table; number 0 was used longest ago.
    void fill(bool proven) {
        for (size_t i = 0; i < 16; ++i, wait(10)) {
            resolve(nth(i));
            if (proven) answer(mac_a, nth(i));
        }
        ASSERT_EQ(list().size(), 16u);
        table_.clear_questions();
    }
    bool holds(const IpAddress& address) {
        for (const NeighbourRecord& record : list())
            if (record.address == address) return true;
        return false;
    }
};

TEST_F(FullNeighbourTable, GivesTheLongestUnusedAway) {
    fill(true);
    resolve(nth(0));
    wait(10);
    EXPECT_FALSE(resolve());
    EXPECT_TRUE(holds(peer));
    EXPECT_TRUE(holds(nth(0)));
    EXPECT_FALSE(holds(nth(1)));
    EXPECT_EQ(list().size(), 16u);
    EXPECT_EQ(table_.evicted_total(), 1u);
    EXPECT_FALSE(questions().empty());
}

// A flood of SYNs from spoofed neighbours must not push out those that we talk with.
TEST_F(FullNeighbourTable, GivesTheUnprovenAwayFirst) {
    fill(true);
    const IpAddress lie = nth(5);
    for (int i = 0; i < 3; ++i, wait(1000)) {
        announce(mac_b, lie);
        resolve(lie);
    }
    resolve(lie);
    wait(10);
    for (uint8_t i = 0; i < 200; ++i, wait(1)) table_.suppose(0, IpAddress::v4(198, 18, 2, i), mac_b, now_);
    for (size_t i = 0; i < 16; ++i) EXPECT_EQ(holds(nth(i)), nth(i) != lie) << i;
    EXPECT_EQ(table_.evicted_total(), 200u);
}

TEST_F(FullNeighbourTable, KeepsThoseWhoseAnswerIsAwaited) {
    fill(true);
    const auto newcomer = [](size_t i) { return IpAddress::v4(198, 18, 3, static_cast<uint8_t>(i)); };
    for (size_t i = 0; i < 3; ++i, wait(10)) EXPECT_FALSE(resolve(newcomer(i)));
    for (size_t i = 0; i < 3; ++i) {
        answer(mac_b, newcomer(i));
        EXPECT_TRUE(resolve(newcomer(i))) << i;
    }
}

TEST_F(FullNeighbourTable, HasNoPlaceWhileAllAreAwaited) {
    fill(false);
    EXPECT_FALSE(resolve());
    table_.suppose(0, peer, mac_a, now_);
    EXPECT_FALSE(holds(peer));
    EXPECT_EQ(table_.evicted_total(), 0u);
    for (size_t i = 0; i < 16; ++i) answer(mac_b, nth(i));
    EXPECT_FALSE(resolve());
    EXPECT_TRUE(holds(peer));
}

// Those who never answer hold their places no longer than others would need them.
TEST_F(FullNeighbourTable, GivesTheSilentAway) {
    fill(false);
    for (int second = 0; second < 5; ++second, wait(1000)) {
        for (size_t i = 0; i < 16; ++i) resolve(nth(i));
        questions();
    }
    resolve();
    EXPECT_TRUE(holds(peer));
}

TEST_F(FullNeighbourTable, TakesAForgottenPlaceFirst) {
    fill(false);
    wait(30'000);
    resolve(nth(3));
    EXPECT_FALSE(holds(nth(4))) << "not used for more than 30 s";
    resolve();
    EXPECT_TRUE(holds(nth(3)));
    EXPECT_EQ(table_.evicted_total(), 0u);
}

TEST_F(NeighbourTableTest, ListsWhatFitsAndCountsAll) {
    for (uint8_t i = 0; i < 5; ++i) resolve(IpAddress::v4(198, 18, 1, i));
    answer(mac_b, IpAddress::v4(198, 18, 1, 2));
    wait(1500);
    std::array<NeighbourRecord, 3> some{};
    EXPECT_EQ(table_.list(some, now_), 5u);
    const std::vector<NeighbourRecord> all = list();
    ASSERT_EQ(all.size(), 5u);
    for (const NeighbourRecord& record : all) {
        EXPECT_EQ(record.interface, 0);
        EXPECT_EQ(record.age_ms, 1500u);
        const bool answered = record.address == IpAddress::v4(198, 18, 1, 2);
        EXPECT_EQ(record.state, answered ? NeighbourState::reachable : NeighbourState::incomplete);
        EXPECT_EQ(record.mac, answered ? mac_b : MacAddress{});
    }
}

// Milliseconds are kept in 32 bits, which wrap after 49.7 days.
TEST_F(NeighbourTableTest, OutlivesTheWrapOfItsClock) {
    now_ = (uint64_t{1} << 32) * us_per_ms - 500 * us_per_ms;
    make_reachable();
    wait(29'000);
    resolve();
    EXPECT_EQ(state(), NeighbourState::reachable);
    wait(1001);
    EXPECT_EQ(use(2500), (std::vector{0, 1000, 2000}));
    EXPECT_EQ(state(), NeighbourState::stale);
}

TEST_F(NeighbourTableTest, SupposesWhatAnotherTableKnows) {
    NeighbourTable other(16);
    const IpAddress known = IpAddress::v4(198, 18, 0, 10), asked_for = IpAddress::v4(198, 18, 0, 11);
    for (const IpAddress& address : {peer, known, asked_for}) other.resolve(0, address, now_);
    for (const IpAddress& address : {peer, known}) other.learn(0, address, {.mac = mac_b, .solicited = true}, now_);
    make_reachable();
    table_.suppose_all(other, now_);
    EXPECT_TRUE(resolve());
    EXPECT_EQ(mac_, mac_a) << "what this one knows itself outweighs it";
    EXPECT_TRUE(resolve(known));
    EXPECT_EQ(mac_, mac_b);
    EXPECT_FALSE(resolve(asked_for)) << "nobody knows it";
    EXPECT_EQ(questions().size(), 2u) << "what was supposed is verified";
}

}  // namespace
}  // namespace millrace::net
