// Percentiles are those of the sorted values, to three significant digits, over the whole range.
#include "load/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace millrace::load {
namespace {

constexpr uint64_t hour_us = 3'600'000'000;
constexpr double percents[] = {0, 1, 50, 90, 99, 99.9, 99.99, 100};

std::string written(const Histogram& histogram) {
    char* text = nullptr;
    size_t size = 0;
    std::FILE* file = open_memstream(&text, &size);
    histogram.write(file);
    std::fclose(file);
    std::string result(text, size);
    std::free(text);
    return result;
}

/// The value of that rank, from a sorted list.
uint64_t exact(const std::vector<uint64_t>& sorted, double percent) {
    const double rank = std::ceil(percent / 100 * static_cast<double>(sorted.size()));
    return sorted[static_cast<size_t>(std::max(rank, 1.0)) - 1];
}

TEST(Histogram, IsZeroBeforeTheFirstValue) {
    const Histogram histogram;
    EXPECT_EQ(histogram.count(), 0u);
    EXPECT_EQ(histogram.max(), 0u);
    EXPECT_EQ(histogram.percentile(50), 0u);
    EXPECT_EQ(written(histogram), "# value_us percentile count\n");
}

TEST(Histogram, TellsSmallValuesExactly) {
    Histogram histogram;
    for (uint64_t us = 0; us < 2048; ++us) histogram.record(us);
    EXPECT_EQ(histogram.percentile(0), 0u);
    EXPECT_EQ(histogram.percentile(50), 1023u);
    EXPECT_EQ(histogram.percentile(99), 2027u);
    EXPECT_EQ(histogram.percentile(100), 2047u);
}

TEST(Histogram, TellsEveryValueToThreeDigitsAndNeverTooLow) {
    for (uint64_t us = 1; us < 9 * hour_us; us += us / 37 + 1) {
        Histogram histogram;
        histogram.record(us);
        histogram.record(10 * hour_us);  // so that the percentile is not cut off at the maximum
        const uint64_t told = histogram.percentile(50);
        EXPECT_GE(told, us);
        EXPECT_LE(told - us, us / 1000) << us;
    }
}

TEST(Histogram, TellsPercentilesOfASkewedSample) {
    std::mt19937_64 random(7);
    std::lognormal_distribution<double> latency(6, 2);
    std::vector<uint64_t> values(200'000);
    for (uint64_t& value : values) value = static_cast<uint64_t>(latency(random));
    Histogram histogram;
    for (const uint64_t value : values) histogram.record(value);
    std::sort(values.begin(), values.end());
    EXPECT_EQ(histogram.count(), values.size());
    EXPECT_EQ(histogram.max(), values.back());
    for (const double percent : percents) {
        const uint64_t expected = exact(values, percent);
        EXPECT_GE(histogram.percentile(percent), expected) << percent;
        EXPECT_LE(histogram.percentile(percent), expected + expected / 1000) << percent;
    }
}

TEST(Histogram, NeverTellsMoreThanTheMaximum) {
    Histogram histogram;
    histogram.record(1'000'001);
    EXPECT_EQ(histogram.percentile(99.99), 1'000'001u);
}

TEST(Histogram, KeepsWhatLiesBeyondItsRangeAsTheMaximum) {
    Histogram histogram;
    histogram.record(5);
    histogram.record(~uint64_t{0});
    EXPECT_EQ(histogram.count(), 2u);
    EXPECT_EQ(histogram.percentile(50), 5u);
    EXPECT_EQ(histogram.percentile(100), ~uint64_t{0});
}

TEST(Histogram, MergesAsIfOneHadSeenAll) {
    Histogram one, other, both;
    for (uint64_t i = 0; i < 10'000; ++i) {
        (i % 3 ? one : other).record(i * i);
        both.record(i * i);
    }
    one.merge(other);
    EXPECT_EQ(one.count(), both.count());
    EXPECT_EQ(one.max(), both.max());
    EXPECT_EQ(written(one), written(both));
}

TEST(Histogram, WritesALineForEachStepInUse) {
    Histogram histogram;
    for (int i = 0; i < 3; ++i) histogram.record(10);
    histogram.record(4'097);
    EXPECT_EQ(written(histogram), "# value_us percentile count\n10 75.000000 3\n4097 100.000000 4\n");
}

}  // namespace
}  // namespace millrace::load
