#include "load/ledger.h"

#include <gtest/gtest.h>

namespace millrace::load {
namespace {

struct Account {
    Account() { connection.id = 5; }

    bool take(uint32_t sequence, Kind kind = Kind::push, uint32_t id = 5, Role role = Role::client) {
        Message message{
            .magic_and_kind = 0, .id = id, .sequence = sequence, .length = 100, .sent_us = 1, .token = 2, .check = 0};
        seal(message, kind);
        return ledger.note_received(connection, role, message);
    }
    const MessageCounts& counts() const { return ledger.counts(); }

    Connection connection{};
    Ledger ledger;
};

TEST(Ledger, InOrderIsFaultless) {
    Account account;
    for (uint32_t i = 0; i < 10; ++i) EXPECT_TRUE(account.take(i));
    EXPECT_EQ(account.counts().received, 10u);
    EXPECT_EQ(account.counts().bytes, 1000u);
    EXPECT_TRUE(account.counts().faultless());
}

TEST(Ledger, AGapIsALoss) {
    Account account;
    account.take(0);
    EXPECT_TRUE(account.take(3));
    EXPECT_EQ(account.counts().lost, 2u);
    EXPECT_FALSE(account.counts().faultless());
}

TEST(Ledger, OneThatComesLateWasNotLostButReordered) {
    Account account;
    account.take(0);
    account.take(2);
    EXPECT_TRUE(account.take(1));
    EXPECT_EQ(account.counts().lost, 0u);
    EXPECT_EQ(account.counts().reordered, 1u);
    EXPECT_EQ(account.counts().received, 3u);
    EXPECT_FALSE(account.take(1));
    EXPECT_EQ(account.counts().duplicated, 1u);
}

TEST(Ledger, TheSameAgainIsADuplicate) {
    Account account;
    account.take(0);
    EXPECT_FALSE(account.take(0));
    EXPECT_EQ(account.counts().duplicated, 1u);
    EXPECT_EQ(account.counts().received, 1u);
    EXPECT_TRUE(account.take(1));
}

TEST(Ledger, AnothersMessageIsCrossedAndChangesNoSequence) {
    Account account;
    EXPECT_FALSE(account.take(7, Kind::push, 6));
    EXPECT_EQ(account.counts().crossed, 1u);
    EXPECT_TRUE(account.take(0));
    EXPECT_EQ(account.counts().lost, 0u);
}

TEST(Ledger, KindsHaveTheirDirections) {
    Account account;
    EXPECT_FALSE(account.take(0, Kind::request));
    EXPECT_FALSE(account.take(0, Kind::push, 5, Role::server));
    EXPECT_FALSE(account.take(0, Kind::reply, 5, Role::server));
    EXPECT_EQ(account.counts().corrupted, 3u);
    EXPECT_TRUE(account.take(0, Kind::bulk, 5, Role::server));
    EXPECT_TRUE(account.take(1, Kind::request, 5, Role::server));
}

}  // namespace
}  // namespace millrace::load
