// Durations, sizes, ranges, the nearest word, quoting.
#include "control/config/text.h"

#include <gtest/gtest.h>
#include <vector>

namespace millrace::control {
namespace {

TEST(Text, Durations) {
    EXPECT_EQ(parse_duration_us("0s"), 0u);
    EXPECT_EQ(parse_duration_us("7us"), 7u);
    EXPECT_EQ(parse_duration_us("250ms"), 250'000u);
    EXPECT_EQ(parse_duration_us("2m30s"), 150'000'000u);
    EXPECT_EQ(parse_duration_us("1h"), 3'600'000'000u);
    EXPECT_EQ(parse_duration_us("1d1us"), 86'400'000'001u);
    EXPECT_EQ(parse_duration_us("213503982d"), 18'446'744'044'800'000'000u);
    for (const char* bad : {"", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "1.5s", "5S", "5sec", "30s2m", "1s1s",
                            "5sx", "213503983d", "99999999999999999999s", "0x5s"})
        EXPECT_FALSE(parse_duration_us(bad).has_value()) << bad;
}

TEST(Text, Sizes) {
    EXPECT_EQ(parse_size_bytes("512B"), 512u);
    EXPECT_EQ(parse_size_bytes("64KiB"), 65536u);
    EXPECT_EQ(parse_size_bytes("1MiB"), 1u << 20);
    EXPECT_EQ(parse_size_bytes("2GiB"), uint64_t{2} << 30);
    EXPECT_EQ(parse_size_bytes("16777215TiB"), uint64_t{16777215} << 40);
    for (const char* bad : {"", "64", "64KB", "64K", "64kib", "64 KiB", "16777216TiB", "-1B", "KiB"})
        EXPECT_FALSE(parse_size_bytes(bad).has_value()) << bad;
}

TEST(Text, FormatsReadBack) {
    for (uint64_t us : {uint64_t{0}, uint64_t{1}, uint64_t{1500}, uint64_t{90'000'000}, uint64_t{86'400'000'000}})
        EXPECT_EQ(parse_duration_us(format_duration_us(us)), us);
    EXPECT_EQ(format_duration_us(90'000'000), "90s");
    for (uint64_t bytes : {uint64_t{0}, uint64_t{1000}, uint64_t{65536}, uint64_t{1} << 40})
        EXPECT_EQ(parse_size_bytes(format_size_bytes(bytes)), bytes);
    EXPECT_EQ(format_size_bytes(65536), "64KiB");
}

TEST(Text, Ranges) {
    uint16_t low = 0, high = 0;
    ASSERT_TRUE(parse_range("200-399", low, high));
    EXPECT_EQ(low, 200);
    EXPECT_EQ(high, 399);
    ASSERT_TRUE(parse_range("65535", low, high));
    EXPECT_EQ(low, 65535);
    EXPECT_EQ(high, 65535);
    for (const char* bad : {"", "-", "1-", "-1", "2-1", "65536", "1-65536", "1--2", "1-2-3", "a", " 1"})
        EXPECT_FALSE(parse_range(bad, low, high)) << bad;
}

TEST(Text, Nearest) {
    const std::vector<std::string> known = {"port", "path", "address"};
    EXPECT_EQ(nearest("prot", known), "port");
    EXPECT_EQ(nearest("addres", known), "address");
    EXPECT_EQ(nearest("paht", known), "path");
    EXPECT_EQ(nearest("", known), "port");
    EXPECT_EQ(nearest(std::string(100'000, 'p'), known), "port");
    EXPECT_EQ(nearest("x", {}), "");
    // A swap of neighbours is one step, as is a replacement: "ab" is nearer to "ba" than to "cd".
    EXPECT_EQ(nearest("ab", std::vector<std::string>{"cd", "ba"}), "ba");
}

TEST(Text, Quoted) {
    EXPECT_EQ(in_quotes("a\x1b[2J\n"), "\"a\\x1b[2J\\x0a\"");
    EXPECT_EQ(in_quotes(std::string(65, 'x')), "\"" + std::string(64, 'x') + "...\"");
}

}  // namespace
}  // namespace millrace::control
