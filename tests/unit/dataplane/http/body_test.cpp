// Where bodies end: counted the same however the bytes are cut, never one byte too far, and strict about chunks.
#include "dataplane/http/body.h"

#include <gtest/gtest.h>
#include <string>

#include "guarded_bytes.h"

namespace millrace::http {
namespace {

using namespace std::string_literals;
using test::GuardedBytes;

struct Outcome {
    size_t bytes = 0;
    bool done = false, error = false;
    bool operator==(const Outcome&) const = default;
};

void PrintTo(const Outcome& outcome, std::ostream* out) {
    *out << outcome.bytes << " bytes" << (outcome.done ? ", done" : "") << (outcome.error ? ", error" : "");
}

/// Gives the cursor `text` in pieces of at most `piece` bytes after a first one of `first`.
Outcome walk(BodyFraming framing, const std::string& text, size_t first, size_t piece) {
    GuardedBytes memory(text.size());
    BodyCursor cursor(framing);
    Outcome outcome{.done = cursor.done()};
    for (size_t at = 0, next = first; at < text.size(); at += next, next = piece) {
        const auto step = cursor.advance(memory.copy_to_end(text.substr(at, next)));
        outcome.bytes += step.bytes;
        outcome.done = step.done;
        outcome.error = step.error;
        EXPECT_EQ(step.done, cursor.done());
    }
    return outcome;
}

void expect_at_every_cut(BodyFraming framing, const std::string& text, const Outcome& expected) {
    EXPECT_EQ(walk(framing, text, text.size(), text.size()), expected) << "whole: " << text;
    EXPECT_EQ(walk(framing, text, 1, 1), expected) << "byte by byte: " << text;
    const size_t stride = 1 + text.size() / 500;  // every cut of all but the longest
    for (size_t cut = 1; cut < text.size(); cut += stride)
        EXPECT_EQ(walk(framing, text, cut, text.size()), expected) << "cut at " << cut << ": " << text;
}

constexpr BodyFraming chunked = {BodyKind::chunked, 0};

TEST(Body, OfNothingTakesNothing) {
    expect_at_every_cut({}, "GET /", {0, true, false});
    EXPECT_TRUE(BodyCursor().done());
    EXPECT_TRUE(BodyCursor().complete_at_close());
}

TEST(Body, OfALengthTakesThatMuch) {
    expect_at_every_cut({BodyKind::length, 5}, "hello", {5, true, false});
    expect_at_every_cut({BodyKind::length, 5}, "helloGET /", {5, true, false});
    expect_at_every_cut({BodyKind::length, 5}, "hell", {4, false, false});
    expect_at_every_cut({BodyKind::length, uint64_t{1} << 62}, "hello", {5, false, false});
}

TEST(Body, UntilCloseTakesAll) {
    expect_at_every_cut({BodyKind::until_close, 0}, "hello\r\n\r\n", {9, false, false});
}

TEST(Body, OfChunksEndsAfterItsTrailers) {
    for (const std::string& body : {
             "0\r\n\r\n"s,
             "000\r\n\r\n"s,
             "5\r\nhello\r\n0\r\n\r\n"s,
             "A\r\n0123456789\r\n0d\r\n0\r\n\r\n\r\nabcdef\r\n0\r\n\r\n"s,
             "000000000000005\r\nhello\r\n0\r\n\r\n"s,
             "1;a=b;c=\"d e\"\r\nx\r\n0;end\r\n\r\n"s,
             "1\r\n\r\r\n0\r\nTrailer: x\r\nOther-One:\r\n\r\n"s,
             "1;" + std::string(BodyCursor::extension_bytes_max, 'e') + "\r\nx\r\n0\r\n\r\n",
             "0\r\na:" + std::string(BodyCursor::trailer_bytes_max - 2, 't') + "\r\n\r\n",
         }) {
        expect_at_every_cut(chunked, body, {body.size(), true, false});
        if (body.size() < 100) expect_at_every_cut(chunked, body + "GET /", {body.size(), true, false});
        EXPECT_EQ(walk(chunked, body.substr(0, body.size() - 1), 1, 1), (Outcome{body.size() - 1, false, false}));
    }
}

TEST(Body, OfChunksIsStrict) {
    struct Case {
        std::string body;
        size_t good_bytes;
    };
    for (const Case& c : {
             Case{"\r\n0\r\n\r\n", 0},              // no size
             Case{";x\r\n", 0},                     // no size before the extension
             Case{"g\r\n", 0},                      // not hexadecimal
             Case{"0x5\r\nhello\r\n", 1},           // C's notation
             Case{"-5\r\nhello\r\n", 0},            // signed
             Case{"+5\r\nhello\r\n", 0},            //
             Case{" 5\r\nhello\r\n", 0},            // blank before
             Case{"5 \r\nhello\r\n", 1},            // blank after
             Case{"5\nhello\r\n", 1},               // bare LF after the size
             Case{"5\rhello", 2},                   // bare CR after the size
             Case{"5;a\nhello", 3},                 // bare LF in an extension
             Case{"5;a\rb\r\nhello", 4},            // bare CR in an extension
             Case{"5;a\0\r\nhello"s, 3},            // NUL in an extension
             Case{"5\r\nhelloX\n", 8},              // longer than its size
             Case{"5\r\nhello\n0\r\n\r\n", 8},      // bare LF after the data
             Case{"5\r\nhello\rX", 9},              // bare CR after the data
             Case{"5\r\nhell\r\n0\r\n\r\n", 8},     // shorter than its size
             Case{"0000000000000005\r\n", 15},      // 16 digits
             Case{"ffffffffffffffff\r\n", 15},      // 2^64 - 1
             Case{"0\r\n\n", 3},                    // bare LF at the end
             Case{"0\r\n\rX", 4},                   // bare CR at the end
             Case{"0\r\nTrailer\r\n\r\n", 10},      // trailer without a colon
             Case{"0\r\nTrailer : x\r\n\r\n", 10},  // blank before the colon
             Case{"0\r\n: x\r\n\r\n", 3},           // no name
             Case{"0\r\n folded\r\n\r\n", 3},       // obs-fold
             Case{"0\r\na: x\n\r\n", 7},            // bare LF in trailers
             Case{"0\r\na: x\0y\r\n\r\n"s, 7},      // NUL in trailers
             Case{"1;" + std::string(BodyCursor::extension_bytes_max + 1, 'e'), 2u + BodyCursor::extension_bytes_max},
             Case{"0\r\na:" + std::string(BodyCursor::trailer_bytes_max, 't'), 3u + BodyCursor::trailer_bytes_max},
             Case{"0\r\na:b\r\n" + std::string(BodyCursor::trailer_bytes_max, 't'), 5u + BodyCursor::trailer_bytes_max},
         })
        expect_at_every_cut(chunked, c.body, {c.good_bytes, false, true});
}

TEST(Body, TakesTheLargestChunkSize) {
    BodyCursor cursor(chunked);
    const std::string start = "fffffffffffffff\r\n";
    EXPECT_EQ(walk(chunked, start + "hello", 1, 1), (Outcome{start.size() + 5, false, false}));
}

TEST(Body, BoundsEachExtensionAlone) {
    const std::string chunk = "1;" + std::string(200, 'e') + "\r\nx\r\n";
    const std::string body = chunk + chunk + chunk + "0\r\n\r\n";
    EXPECT_EQ(walk(chunked, body, 1, 1), (Outcome{body.size(), true, false}));
}

TEST(Body, KnowsWhetherAnEndIsCut) {
    const std::string text = "5\r\nhello\r\n0\r\n\r\n";
    const std::span bytes{reinterpret_cast<const uint8_t*>(text.data()), text.size()};
    BodyCursor cursor(chunked);
    EXPECT_FALSE(cursor.complete_at_close());
    cursor.advance(bytes.first(text.size() - 1));
    EXPECT_FALSE(cursor.complete_at_close());
    cursor.advance(bytes.last(1));
    EXPECT_TRUE(cursor.complete_at_close());
    EXPECT_TRUE(BodyCursor({BodyKind::until_close, 0}).complete_at_close());
    EXPECT_FALSE(BodyCursor({BodyKind::length, 1}).complete_at_close());
}

}  // namespace
}  // namespace millrace::http
