#include "load/message.h"

#include <cstring>

#include <millrace/assert.h>

namespace millrace::load {
namespace {

constexpr uint32_t magic = 0x4d4c6400;  // "MLd" above the kind
constexpr uint64_t word_step = 0x9e3779b97f4a7c15;

uint64_t body_word(uint64_t token, uint32_t offset) {
    return token + word_step * (offset / 8);
}

uint64_t check_of(const Message& m) {
    uint64_t hash = mix((uint64_t{m.magic_and_kind} << 32 | m.id) + word_step);
    hash = mix(hash ^ (uint64_t{m.sequence} << 32 | m.length));
    return mix(mix(hash ^ m.sent_us) ^ m.token);
}

/// The mask of the eight bytes at an offset that is a multiple of four.
uint64_t mask_word(const ws::MaskingKey& mask) {
    uint32_t key;
    std::memcpy(&key, mask.bytes, 4);
    return uint64_t{key} << 32 | key;
}

uint8_t body_byte(uint64_t token, uint32_t offset) {
    return static_cast<uint8_t>(body_word(token, offset) >> 8 * (offset % 8));
}

}  // namespace

void seal(Message& message, Kind kind) {
    message.magic_and_kind = magic | static_cast<uint8_t>(kind);
    message.check = check_of(message);
}

bool is_sound(const Message& message) {
    const bool known =
        (message.magic_and_kind & ~0xffu) == magic && message.kind() >= Kind::request && message.kind() <= Kind::bulk;
    return known && message.length >= message_bytes_min && message.check == check_of(message);
}

bool body_matches(uint64_t token, uint32_t offset, std::span<const uint8_t> bytes, const ws::MaskingKey& mask) {
    uint64_t wrong = 0;
    size_t at = 0;
    const auto compare_byte = [&] {
        const uint8_t byte = bytes[at] ^ mask.bytes[offset % 4];
        wrong |= byte ^ body_byte(token, offset);
        ++at;
        ++offset;
    };
    while (at < bytes.size() && offset % 8 != 0) compare_byte();
    const uint64_t key = mask_word(mask);
    for (; bytes.size() - at >= 8; at += 8, offset += 8) {
        uint64_t word;
        std::memcpy(&word, bytes.data() + at, 8);
        wrong |= word ^ key ^ body_word(token, offset);
    }
    while (at < bytes.size()) compare_byte();
    return wrong == 0;
}

size_t write_message(const Message& message, const ws::MaskingKey* mask, std::span<uint8_t> out) {
    MILLRACE_ASSERT(message.length >= message_bytes_min && out.size() >= message.length + ws::frame_header_bytes_max);
    const size_t header =
        ws::write_frame_header(ws::Opcode::binary, true, message.length, mask, out.first<ws::frame_header_bytes_max>());
    uint8_t* payload = out.data() + header;
    std::memcpy(payload, &message, sizeof message);
    uint32_t offset = sizeof message;
    for (; message.length - offset >= 8; offset += 8) {
        const uint64_t word = body_word(message.token, offset);
        std::memcpy(payload + offset, &word, 8);
    }
    for (; offset < message.length; ++offset) payload[offset] = body_byte(message.token, offset);
    if (mask != nullptr) {
        const uint64_t key = mask_word(*mask);
        uint32_t at = 0;
        for (; message.length - at >= 8; at += 8) {
            uint64_t word;
            std::memcpy(&word, payload + at, 8);
            word ^= key;
            std::memcpy(payload + at, &word, 8);
        }
        for (; at < message.length; ++at) payload[at] ^= mask->bytes[at % 4];
    }
    return header + message.length;
}

}  // namespace millrace::load
