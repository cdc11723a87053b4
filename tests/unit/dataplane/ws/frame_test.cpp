// Frame headers against the RFC's examples (RFC 6455 §5.7) and the edges of the length forms.
#include "dataplane/ws/frame.h"

#include <gtest/gtest.h>
#include <string>

namespace millrace::ws {
namespace {

using namespace std::string_literals;

constexpr MaskingKey rfc_key = {{0x37, 0xfa, 0x21, 0x3d}};

std::string header(Opcode opcode, bool fin, uint64_t length, const MaskingKey* mask) {
    uint8_t out[frame_header_bytes_max];
    const size_t size = write_frame_header(opcode, fin, length, mask, out);
    return {reinterpret_cast<char*>(out), size};
}

TEST(FrameHeader, ExamplesOfTheRfc) {
    EXPECT_EQ(header(Opcode::text, true, 5, nullptr), "\x81\x05");
    EXPECT_EQ(header(Opcode::text, true, 5, &rfc_key), "\x81\x85\x37\xfa\x21\x3d");
    EXPECT_EQ(header(Opcode::text, false, 3, nullptr), "\x01\x03");
    EXPECT_EQ(header(Opcode::continuation, true, 2, nullptr), "\x80\x02");
    EXPECT_EQ(header(Opcode::pong, true, 5, &rfc_key), "\x8a\x85\x37\xfa\x21\x3d");
    EXPECT_EQ(header(Opcode::binary, true, 256, nullptr), "\x82\x7e\x01\x00"s);
    EXPECT_EQ(header(Opcode::binary, true, 65536, nullptr), "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"s);
}

TEST(FrameHeader, UsesTheShortestForm) {
    EXPECT_EQ(header(Opcode::close, true, 0, nullptr), "\x88\x00"s);
    EXPECT_EQ(header(Opcode::ping, true, 125, nullptr), "\x89\x7d");
    EXPECT_EQ(header(Opcode::binary, true, 126, nullptr), "\x82\x7e\x00\x7e"s);
    EXPECT_EQ(header(Opcode::binary, true, 65535, nullptr), "\x82\x7e\xff\xff");
    EXPECT_EQ(header(Opcode::binary, true, INT64_MAX, &rfc_key),
              "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x37\xfa\x21\x3d");
}

TEST(FrameHeaderDeathTest, AssertsOnOurOwnMistakes) {
    EXPECT_DEATH(header(Opcode::ping, true, 126, nullptr), "assertion failed");
    EXPECT_DEATH(header(Opcode::close, false, 0, nullptr), "assertion failed");
    EXPECT_DEATH(header(Opcode::binary, true, uint64_t{1} << 63, nullptr), "assertion failed");
}

TEST(Mask, ExampleOfTheRfcInPieces) {
    std::string text = "Hello";
    const auto bytes = std::span(reinterpret_cast<uint8_t*>(text.data()), text.size());
    apply_mask(rfc_key, 0, bytes.first(3));
    apply_mask(rfc_key, 3, bytes.subspan(3));
    EXPECT_EQ(text, "\x7f\x9f\x4d\x51\x58");
}

}  // namespace
}  // namespace millrace::ws
