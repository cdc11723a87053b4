#include "dataplane/relay/overtaken.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace millrace::relay {
namespace {

TEST(Overtaken, NearDeadlinesAreExact) {
    for (const uint64_t ahead : {0u, 1u, 200u, 511u})
        EXPECT_EQ(timer_entry_ms(100'000 + ahead, 100'000), 100'000 + ahead);
}

TEST(Overtaken, FarOnesAreEarlyButNotPast) {
    for (const uint64_t present : {0ull, 65'279ull, 65'280ull, 100'000ull, 0xffff'ff00ull, 0xffff'ffffull}) {
        for (uint64_t ahead = 512; ahead < 200'000; ahead += 77) {
            const uint64_t entry = timer_entry_ms(present + ahead, present);
            EXPECT_GT(entry, present);
            EXPECT_LE(entry, present + ahead);
            EXPECT_GT(entry + 2 * timer_slot_ms, present + std::min<uint64_t>(ahead, 64'000));
        }
    }
}

// Until the wheel has passed it, whatever the present is.
TEST(Overtaken, AFarEntryIsFoundAgain) {
    for (const uint64_t present : {0ull, 65'279ull, 65'280ull, 100'000ull, 0xffff'ff00ull, 0xffff'ffffull}) {
        for (uint64_t ahead = 512; ahead < 200'000; ahead += 77) {
            const uint64_t entry = timer_entry_ms(present + ahead, present);
            const uint8_t slot = overtaken_slot(entry);
            ASSERT_NE(slot, 0u);
            EXPECT_EQ(overtaken_slot(static_cast<uint32_t>(entry)), slot) << "the record keeps 32 bits of it";
            for (const uint64_t then : {present, (present + entry) / 2, entry - 1, entry})
                EXPECT_EQ(overtaken_ms(slot, then), entry) << present << ' ' << ahead << ' ' << then;
        }
    }
}

TEST(Overtaken, ExactEntriesCannotBeRemembered) {
    EXPECT_EQ(overtaken_slot(100'001), 0u);
    EXPECT_EQ(overtaken_slot(0), 0u);
}

}  // namespace
}  // namespace millrace::relay
