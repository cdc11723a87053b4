// Frame boundaries are found wherever the relayed bytes are cut, and a broken frame is noticed once and for all.
#include "dataplane/ws/cursor.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "dataplane/ws/frame.h"
#include "guarded_bytes.h"

namespace millrace::ws {
namespace {

using namespace std::string_literals;
using test::GuardedBytes;

constexpr MaskingKey key = {{0x81, 0x7e, 0x00, 0xff}};  // bytes that look like headers

std::string frame(Opcode opcode, bool fin, size_t length, bool masked) {
    uint8_t header[frame_header_bytes_max];
    const size_t size = write_frame_header(opcode, fin, length, masked ? &key : nullptr, header);
    return std::string(reinterpret_cast<char*>(header), size) +
           std::string(length, '\x88');  // payload like a close frame
}

/// Advances by all of `text` in pieces of `piece` bytes, each at the edge of an unmapped page.
void feed(FrameCursor& cursor, const std::string& text, size_t piece) {
    GuardedBytes memory(text.size());
    for (size_t at = 0; at < text.size(); at += piece) cursor.advance(memory.copy_to_end(text.substr(at, piece)));
}

TEST(FrameCursor, StartsAtABoundary) {
    const FrameCursor cursor;
    EXPECT_TRUE(cursor.at_boundary());
    EXPECT_FALSE(cursor.in_message());
    EXPECT_FALSE(cursor.close_seen());
    EXPECT_FALSE(cursor.lost());
}

TEST(FrameCursor, FindsEveryBoundaryAtEveryCut) {
    for (bool masked : {false, true}) {
        std::string stream;
        std::vector<size_t> ends = {0};
        for (size_t length : std::initializer_list<size_t>{0, 1, 125, 126, 127, 300, 65535, 65536, 5}) {
            stream += frame(Opcode::binary, true, length, masked);
            ends.push_back(stream.size());
        }
        // Byte by byte: at_boundary holds exactly behind whole frames.
        FrameCursor cursor;
        size_t next_end = 1;
        for (size_t at = 0; at < stream.size(); ++at) {
            cursor.advance({reinterpret_cast<const uint8_t*>(&stream[at]), 1});
            ASSERT_EQ(cursor.at_boundary(), at + 1 == ends[next_end]) << at;
            if (cursor.at_boundary()) ++next_end;
        }
        EXPECT_EQ(next_end, ends.size());
        // Whole and in uneven pieces: the same end.
        for (size_t piece : {size_t{2}, size_t{3}, size_t{7}, size_t{1000}, stream.size()}) {
            FrameCursor again;
            feed(again, stream, piece);
            EXPECT_TRUE(again.at_boundary()) << piece;
            EXPECT_FALSE(again.lost()) << piece;
        }
    }
}

TEST(FrameCursor, FollowsFragmentsWithControlFramesBetween) {
    FrameCursor cursor;
    feed(cursor, frame(Opcode::text, false, 3, true), 1);
    EXPECT_TRUE(cursor.at_boundary());
    EXPECT_TRUE(cursor.in_message());
    EXPECT_EQ(cursor.last_opcode(), Opcode::text);
    feed(cursor, frame(Opcode::ping, true, 0, true), 1);
    EXPECT_TRUE(cursor.in_message());
    EXPECT_EQ(cursor.last_opcode(), Opcode::ping);
    feed(cursor, frame(Opcode::continuation, false, 0, true), 1);
    EXPECT_TRUE(cursor.in_message());
    feed(cursor, frame(Opcode::continuation, true, 200, true), 1);
    EXPECT_TRUE(cursor.at_boundary());
    EXPECT_FALSE(cursor.in_message());
    EXPECT_FALSE(cursor.lost());
}

TEST(FrameCursor, SeesTheCloseFrame) {
    FrameCursor cursor;
    feed(cursor, frame(Opcode::text, true, 10, false), 1);
    EXPECT_FALSE(cursor.close_seen()) << "only payload looks like a close frame";
    feed(cursor, frame(Opcode::close, true, 2, false), 1);
    EXPECT_TRUE(cursor.close_seen());
    EXPECT_EQ(cursor.last_opcode(), Opcode::close);
    EXPECT_TRUE(cursor.at_boundary());
}

TEST(FrameCursor, IsLostAfterAnImpossibleFrame) {
    struct Case {
        const char* what;
        std::string bytes;
        size_t good_bytes;  ///< after this many it is not lost yet
    };
    const std::string begun = frame(Opcode::text, false, 1, false);
    for (const Case& c : {
             Case{"reserved data opcode 3", "\x83\x00"s, 0},
             Case{"reserved data opcode 7", "\x87\x00"s, 0},
             Case{"reserved control opcode 11", "\x8b\x00"s, 0},
             Case{"reserved control opcode 15", "\x8f\x00"s, 0},
             Case{"RSV1 without extensions", "\xc1\x00"s, 0},
             Case{"RSV2 without extensions", "\xa1\x00"s, 0},
             Case{"RSV3 without extensions", "\x91\x00"s, 0},
             Case{"fragmented ping", "\x09\x00"s, 0},
             Case{"fragmented close", "\x08\x00"s, 0},
             Case{"ping of 126 bytes", "\x89\x7e\x00\x7e"s, 1},
             Case{"masked close of 64-bit length", "\x88\xff"s, 1},
             Case{"length 2^63", "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"s, 9},
             Case{"length 2^64 - 1", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"s, 9},
             Case{"continuation of nothing", "\x80\x00"s, 0},
             Case{"text inside a fragmented message", begun + "\x81\x00"s, begun.size()},
         }) {
        for (size_t piece : {size_t{1}, c.bytes.size()}) {
            FrameCursor good;
            feed(good, c.bytes.substr(0, c.good_bytes), piece);
            EXPECT_FALSE(good.lost()) << c.what;
            FrameCursor cursor;
            feed(cursor, c.bytes, piece);
            EXPECT_TRUE(cursor.lost()) << c.what;
            EXPECT_FALSE(cursor.at_boundary()) << c.what;
            feed(cursor, frame(Opcode::text, true, 5, false), piece);
            EXPECT_TRUE(cursor.lost()) << c.what << ": it must stay lost";
        }
    }
}

TEST(FrameCursor, LetsExtensionsUseReservedBits) {
    FrameCursor cursor(true);
    feed(cursor, "\xc1\x01x\xf2\x00"s, 1);
    EXPECT_TRUE(cursor.at_boundary());
    EXPECT_FALSE(cursor.lost());
    feed(cursor, "\xc3\x00"s, 1);
    EXPECT_TRUE(cursor.lost()) << "opcodes stay reserved";
}

TEST(FrameCursor, TakesTheLongestLength) {
    FrameCursor cursor;
    feed(cursor, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"s, 1);
    feed(cursor, std::string(1000, '\0'), 100);
    EXPECT_FALSE(cursor.lost());
    EXPECT_FALSE(cursor.at_boundary());
}

TEST(FrameCursor, LetsLongFormsOfShortLengthsPass) {
    FrameCursor cursor;
    feed(cursor, "\x82\x7e\x00\x01x\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x00"s, 1);
    EXPECT_TRUE(cursor.at_boundary());
}

}  // namespace
}  // namespace millrace::ws
