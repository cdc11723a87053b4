#include "load/message.h"

#include <cstring>
#include <gtest/gtest.h>
#include <vector>

namespace millrace::load {
namespace {

constexpr ws::MaskingKey no_mask{};

Message sealed(Kind kind, uint32_t length) {
    Message message{.magic_and_kind = 0,
                    .id = 7,
                    .sequence = 3,
                    .length = length,
                    .sent_us = 123'456'789,
                    .token = 0x0123'4567'89ab'cdef,
                    .check = 0};
    seal(message, kind);
    return message;
}

std::vector<uint8_t> frame_of(const Message& message, const ws::MaskingKey* mask) {
    std::vector<uint8_t> out(message.length + ws::frame_header_bytes_max);
    out.resize(write_message(message, mask, out));
    return out;
}

TEST(Message, IsSoundAsItWasSealed) {
    const Message message = sealed(Kind::push, 128);
    EXPECT_TRUE(is_sound(message));
    EXPECT_EQ(message.kind(), Kind::push);
}

TEST(Message, EveryChangedBitIsNoticed) {
    const Message message = sealed(Kind::request, 128);
    for (size_t bit = 0; bit < 8 * sizeof message; ++bit) {
        Message changed = message;
        auto* bytes = reinterpret_cast<uint8_t*>(&changed);
        bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ 1u << bit % 8);
        EXPECT_FALSE(is_sound(changed)) << bit;
    }
}

TEST(Message, ShorterThanItsHeaderIsNotSound) {
    EXPECT_FALSE(is_sound(sealed(Kind::push, message_bytes_min - 1)));
    EXPECT_TRUE(is_sound(sealed(Kind::push, message_bytes_min)));
}

TEST(Message, BodyMatchesInAnyPiecesAndUnderAMask) {
    constexpr ws::MaskingKey mask{{0x12, 0x34, 0x56, 0x78}};
    for (const uint32_t length : {40u, 41u, 47u, 48u, 49u, 128u, 131u, 1000u}) {
        for (const ws::MaskingKey* key : {static_cast<const ws::MaskingKey*>(nullptr), &mask}) {
            const Message message = sealed(Kind::bulk, length);
            const std::vector<uint8_t> frame = frame_of(message, key);
            const std::span<const uint8_t> payload = std::span(frame).last(length);
            for (size_t cut = message_bytes_min; cut <= length; ++cut) {
                const uint32_t at = static_cast<uint32_t>(cut);
                EXPECT_TRUE(body_matches(message.token, message_bytes_min,
                                         payload.subspan(message_bytes_min, cut - message_bytes_min),
                                         key == nullptr ? no_mask : *key));
                EXPECT_TRUE(body_matches(message.token, at, payload.subspan(cut), key == nullptr ? no_mask : *key));
            }
        }
    }
}

TEST(Message, EveryChangedBodyByteIsNoticed) {
    const Message message = sealed(Kind::push, 128);
    std::vector<uint8_t> frame = frame_of(message, nullptr);
    const std::span<uint8_t> body = std::span(frame).last(128 - message_bytes_min);
    for (uint8_t& byte : body) {
        byte ^= 0x10;
        EXPECT_FALSE(body_matches(message.token, message_bytes_min, body, no_mask));
        byte ^= 0x10;
    }
    EXPECT_FALSE(body_matches(message.token + 1, message_bytes_min, body, no_mask));
}

}  // namespace
}  // namespace millrace::load
