#include "load/sizes.h"

#include <gtest/gtest.h>
#include <map>

#include "load/message.h"

namespace millrace::load {
namespace {

TEST(Sizes, OneSize) {
    std::string error;
    const auto sizes = Sizes::parse("128", error);
    ASSERT_TRUE(sizes);
    for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(sizes->draw(mix(i)), 128u);
    EXPECT_EQ(sizes->largest(), 128u);
}

TEST(Sizes, ARangeIsDrawnEvenly) {
    std::string error;
    const auto sizes = Sizes::parse("64-67", error);
    ASSERT_TRUE(sizes);
    std::map<uint32_t, int> seen;
    for (uint64_t i = 0; i < 4000; ++i) ++seen[sizes->draw(mix(i))];
    ASSERT_EQ(seen.size(), 4u);
    EXPECT_EQ(seen.begin()->first, 64u);
    for (const auto& [size, count] : seen) EXPECT_NEAR(count, 1000, 150) << size;
}

TEST(Sizes, AListIsDrawnByItsEntries) {
    std::string error;
    const auto sizes = Sizes::parse("64,64,1000-2000", error);
    ASSERT_TRUE(sizes);
    int small = 0;
    for (uint64_t i = 0; i < 3000; ++i) small += sizes->draw(mix(i)) == 64 ? 1 : 0;
    EXPECT_NEAR(small, 2000, 150);
    EXPECT_EQ(sizes->largest(), 2000u);
}

TEST(Sizes, RefusesWhatIsNone) {
    for (const char* text : {"", "x", "64-", "-64", "100-64", "64,", "39", "16777217", "64-100-200"}) {
        std::string error;
        EXPECT_FALSE(Sizes::parse(text, error)) << text;
        EXPECT_FALSE(error.empty()) << text;
    }
}

}  // namespace
}  // namespace millrace::load
