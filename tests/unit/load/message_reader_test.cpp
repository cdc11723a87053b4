#include "load/message_reader.h"

#include <gtest/gtest.h>
#include <vector>

namespace millrace::load {
namespace {

constexpr ws::MaskingKey mask{{0xa1, 0xb2, 0xc3, 0xd4}};

void append_message(std::vector<uint8_t>& stream, uint32_t sequence, uint32_t length, bool masked) {
    Message message{.magic_and_kind = 0,
                    .id = 1,
                    .sequence = sequence,
                    .length = length,
                    .sent_us = 5,
                    .token = mix(sequence),
                    .check = 0};
    seal(message, Kind::bulk);
    std::vector<uint8_t> frame(length + ws::frame_header_bytes_max);
    frame.resize(write_message(message, masked ? &mask : nullptr, frame));
    stream.insert(stream.end(), frame.begin(), frame.end());
}

void append_control(std::vector<uint8_t>& stream, ws::Opcode opcode, size_t length) {
    std::array<uint8_t, ws::frame_header_bytes_max> header;
    const size_t size = ws::write_frame_header(opcode, true, length, nullptr, header);
    stream.insert(stream.end(), header.begin(), header.begin() + static_cast<std::ptrdiff_t>(size));
    stream.insert(stream.end(), length, uint8_t{'p'});
}

struct Seen {
    std::vector<uint32_t> sequences;
    std::vector<size_t> controls;
    size_t corrupted = 0;
    bool readable = true;
    ReaderState state{};
};

Seen read_in_pieces(std::span<const uint8_t> stream, size_t piece, bool masked) {
    Seen seen;
    while (!stream.empty() && seen.readable) {
        const auto part = stream.first(std::min(piece, stream.size()));
        seen.readable = read_frames(seen.state, part, masked, [&](const ReadFrame& frame) {
            if (frame.kind == ReadFrame::Kind::message) seen.sequences.push_back(frame.message.sequence);
            if (frame.kind == ReadFrame::Kind::corrupted) ++seen.corrupted;
            if (frame.kind == ReadFrame::Kind::control) seen.controls.push_back(frame.payload.size());
        });
        stream = stream.subspan(part.size());
    }
    return seen;
}

TEST(MessageReader, ReadsEveryFrameHoweverItIsCut) {
    for (const bool masked : {false, true}) {
        std::vector<uint8_t> stream;
        const uint32_t lengths[] = {40, 125, 126, 128, 65535, 65536, 41};
        for (uint32_t i = 0; i < std::size(lengths); ++i) append_message(stream, i, lengths[i], masked);
        for (const size_t piece : {size_t{1}, size_t{2}, size_t{7}, size_t{100}, size_t{1460}, stream.size()}) {
            const Seen seen = read_in_pieces(stream, piece, masked);
            EXPECT_EQ(seen.sequences, (std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 6})) << piece;
            EXPECT_EQ(seen.corrupted, 0u);
            EXPECT_TRUE(seen.readable && at_boundary(seen.state));
        }
    }
}

TEST(MessageReader, ControlFramesComeWhole) {
    std::vector<uint8_t> stream;
    append_control(stream, ws::Opcode::ping, 125);
    append_message(stream, 9, 64, false);
    append_control(stream, ws::Opcode::close, 0);
    for (const size_t piece : {size_t{1}, stream.size()}) {
        const Seen seen = read_in_pieces(stream, piece, false);
        EXPECT_EQ(seen.controls, (std::vector<size_t>{125, 0}));
        EXPECT_EQ(seen.sequences, std::vector<uint32_t>{9});
        EXPECT_TRUE(at_boundary(seen.state));
    }
}

TEST(MessageReader, AChangedByteSpoilsItsMessageAlone) {
    std::vector<uint8_t> stream;
    append_message(stream, 0, 100, false);
    append_message(stream, 1, 100, false);
    for (size_t at = 2; at < 102; ++at) {
        stream[at] ^= 1;
        const Seen seen = read_in_pieces(stream, 33, false);
        EXPECT_EQ(seen.corrupted, 1u) << at;
        EXPECT_EQ(seen.sequences, std::vector<uint32_t>{1});
        stream[at] ^= 1;
    }
}

TEST(MessageReader, ForeignFramesEndTheReading) {
    const std::vector<uint8_t> streams[] = {
        {0x02, 0x00},                          // a fragment
        {0xc2, 0x00},                          // a reserved bit
        {0x83, 0x00},                          // a reserved opcode
        {0x82, 0x80, 0, 0, 0, 0},              // masked where it must not be
        {0x82, 0x7f, 0, 0, 0, 1, 0, 0, 0, 0},  // an absurd length
        {0x89, 0x7e, 0, 126},                  // too long for a ping
    };
    for (const std::vector<uint8_t>& stream : streams) EXPECT_FALSE(read_in_pieces(stream, 1, false).readable);
    EXPECT_FALSE(read_in_pieces(std::vector<uint8_t>{0x82, 0x00}, 1, true).readable);
}

TEST(MessageReader, AShortForeignMessageIsCorrupted) {
    const Seen seen = read_in_pieces(std::vector<uint8_t>{0x82, 0x03, 'a', 'b', 'c', 0x82, 0x00}, 100, false);
    EXPECT_EQ(seen.corrupted, 2u);
    EXPECT_TRUE(at_boundary(seen.state));
}

}  // namespace
}  // namespace millrace::load
