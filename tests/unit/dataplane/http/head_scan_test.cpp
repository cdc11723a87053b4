// The end of the head is found, and hopeless input refused, at the same byte however the input is cut.
#include "dataplane/http/head_scan.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "heads.h"

namespace millrace::http {
namespace {

using namespace std::string_literals;
using millrace::test::GuardedBytes;

constexpr uint32_t limit = 64;

/// Feeds `text` so that scans happen at each of `cuts` and at the end, as an owner who accumulates would; every scan
/// sees memory that ends at an unmapped page.
HeadScan scan_in_pieces(const std::string& text, const std::vector<size_t>& cuts) {
    GuardedBytes memory(text.size());
    HeadScan scan;
    for (size_t i = 0; i <= cuts.size() && scan.outcome == ScanOutcome::incomplete; ++i) {
        const size_t length = i < cuts.size() ? cuts[i] : text.size();
        scan = scan_head(memory.copy_to_end(text.substr(0, length)), scan.scanned, limit);
        if (scan.outcome == ScanOutcome::incomplete) {
            EXPECT_EQ(scan.scanned, length) << "a byte would be scanned twice";
        }
    }
    return scan;
}

struct Case {
    const char* what;
    std::string text;
    ScanOutcome outcome;
    uint16_t status;  ///< of an error
    size_t decided;   ///< bytes after which the outcome is certain; for complete: the head's length
};

const Case cases[] = {
    {"plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ScanOutcome::complete, 0, 27},
    {"no fields", "GET / HTTP/1.0\r\n\r\n", ScanOutcome::complete, 0, 18},
    {"body follows", "GET / HTTP/1.0\r\n\r\n\r\n\r\n\n\0x"s, ScanOutcome::complete, 0, 18},
    {"one empty line first", "\r\nGET / HTTP/1.0\r\n\r\n", ScanOutcome::complete, 0, 20},
    {"horizontal tab and obs-text in a value", "GET / HTTP/1.0\r\na: b\tc\xe4\r\n\r\n", ScanOutcome::complete, 0, 27},
    {"exactly the limit", "GET / HTTP/1.1\r\nA: " + std::string(limit - 23, 'x') + "\r\n\r\n", ScanOutcome::complete, 0,
     limit},
    {"nothing", "", ScanOutcome::incomplete, 0, 0},
    {"half an end", "GET / HTTP/1.1\r\n\r", ScanOutcome::incomplete, 0, 17},
    {"two empty lines first", "\r\n\r\nGET / HTTP/1.0\r\n\r\n", ScanOutcome::error, 400, 4},
    {"line feed first", "\nGET / HTTP/1.0\r\n\r\n", ScanOutcome::error, 400, 1},
    {"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", ScanOutcome::error, 400, 15},
    {"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", ScanOutcome::error, 400, 24},
    {"bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", ScanOutcome::error, 400, 26},
    {"bare CR in the request line", "GET /\rHTTP/1.1\r\n\r\n", ScanOutcome::error, 400, 7},
    {"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", ScanOutcome::error, 400, 25},
    {"CR CR LF", "GET / HTTP/1.1\r\r\n\r\n", ScanOutcome::error, 400, 16},
    {"NUL", "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"s, ScanOutcome::error, 400, 24},
    {"vertical tab", "GET / HTTP/1.1\r\nHost:\va\r\n\r\n", ScanOutcome::error, 400, 22},
    {"escape", "GET / HTTP/1.1\r\nHost:\x1b\r\n\r\n", ScanOutcome::error, 400, 22},
    {"DEL", "GET /\x7f HTTP/1.1\r\n\r\n", ScanOutcome::error, 400, 6},
    {"a TLS ClientHello", "\x16\x03\x01\x02", ScanOutcome::error, 400, 1},
    {"leading space", " GET / HTTP/1.1\r\n\r\n", ScanOutcome::error, 400, 1},
    {"leading tab after the empty line", "\r\n\tGET / HTTP/1.1\r\n\r\n", ScanOutcome::error, 400, 3},
    {"obs-fold", "GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n", ScanOutcome::error, 400, 23},
    {"blank before the first field", "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", ScanOutcome::error, 400, 17},
    {"request line over the limit", "GET /" + std::string(limit, 'x'), ScanOutcome::error, 414, limit},
    {"request line over the limit after an empty line", "\r\nGET /" + std::string(limit, 'x'), ScanOutcome::error, 414,
     limit},
    {"fields over the limit", "GET / HTTP/1.1\r\na: " + std::string(limit, 'x'), ScanOutcome::error, 431, limit},
    {"one byte over the limit", "GET / HTTP/1.1\r\nA: " + std::string(limit - 22, 'x') + "\r\n\r\n", ScanOutcome::error,
     431, limit},
    {"bad byte just before the limit", "GET /" + std::string(limit - 6, 'x') + "\n", ScanOutcome::error, 400, limit},
    {"bad byte just after the limit", "GET /" + std::string(limit - 5, 'x') + "\n", ScanOutcome::error, 414, limit},
};

class HeadScanTest : public testing::TestWithParam<Case> {};

TEST_P(HeadScanTest, DecidesTheSameAtEveryCut) {
    const Case& expected = GetParam();
    const auto check = [&](const HeadScan& scan, const std::string& how) {
        EXPECT_EQ(scan.outcome, expected.outcome) << how;
        EXPECT_EQ(scan.status, expected.status) << how;
        EXPECT_EQ(scan.length, expected.outcome == ScanOutcome::complete ? expected.decided : 0) << how;
    };
    check(scan_in_pieces(expected.text, {}), "whole");
    std::vector<size_t> every_byte;
    for (size_t cut = 0; cut < expected.text.size(); ++cut) {
        check(scan_in_pieces(expected.text, {cut}), "cut at " + std::to_string(cut));
        every_byte.push_back(cut);
    }
    check(scan_in_pieces(expected.text, every_byte), "byte by byte");
}

TEST_P(HeadScanTest, DecidesAsSoonAsItCan) {
    const Case& expected = GetParam();
    if (expected.outcome == ScanOutcome::incomplete) return;
    EXPECT_EQ(scan_in_pieces(expected.text.substr(0, expected.decided - 1), {}).outcome, ScanOutcome::incomplete);
    EXPECT_EQ(scan_in_pieces(expected.text.substr(0, expected.decided), {}).outcome, expected.outcome);
}

INSTANTIATE_TEST_SUITE_P(, HeadScanTest, testing::ValuesIn(cases), test::name_of_case<Case>);

}  // namespace
}  // namespace millrace::http
