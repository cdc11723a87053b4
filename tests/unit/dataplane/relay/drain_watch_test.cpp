#include "dataplane/relay/drain_watch.h"

#include <gtest/gtest.h>

namespace millrace::relay {
namespace {

size_t watched(DrainWatch& watch) {
    size_t count = 0;
    for (const DrainWatch::Entry& entry : watch.entries()) count += entry.since != 0 ? 1 : 0;
    return count;
}

TEST(DrainWatch, RateIsTheAverageSinceTheBeginning) {
    const DrainWatch::Entry entry{.since = 1'000'000, .acknowledged = tcp::Seq{0xfffffff0}};
    EXPECT_EQ(entry.rate(tcp::Seq{0xfffffff0}, 5'000'000), 0u);
    EXPECT_EQ(entry.rate(tcp::Seq{0xfffffff0} + 4096, 5'000'000), 1024u) << "over the end of the sequence space";
}

TEST(DrainWatch, APlaceIsTakenUntilItIsGivenUp) {
    DrainWatch watch;
    watch.add({.since = 10, .index = 3});
    watch.add({.since = 20, .index = 3 + DrainWatch::places});
    watch.add({.since = 20, .index = 4});
    EXPECT_EQ(watched(watch), 2u);
    EXPECT_EQ(watch.entries()[3].since, 10u);
    watch.entries()[3].since = 0;
    watch.add({.since = 30, .index = 3 + DrainWatch::places});
    EXPECT_EQ(watch.entries()[3].index, 3 + DrainWatch::places);
}

TEST(DrainWatch, ForgetsAll) {
    DrainWatch watch;
    watch.add({.since = 10, .index = 3});
    watch.clear();
    EXPECT_TRUE(watch.entries().empty());
    watch.add({.since = 20, .index = 5});
    EXPECT_EQ(watched(watch), 1u);
}

}  // namespace
}  // namespace millrace::relay
