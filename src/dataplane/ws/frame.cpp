// See frame.h.
#include "dataplane/ws/frame.h"

#include <cstring>

#include <millrace/assert.h>

namespace millrace::ws {

size_t write_frame_header(Opcode opcode, bool fin, uint64_t payload_length, const MaskingKey* mask,
                          std::span<uint8_t, frame_header_bytes_max> out) {
    MILLRACE_ASSERT(!is_control(opcode) || (fin && payload_length <= control_payload_bytes_max));
    MILLRACE_ASSERT(payload_length >> 63 == 0);
    const unsigned length_bytes = payload_length < 126 ? 0 : payload_length <= 0xffff ? 2 : 8;
    const uint8_t length_code = length_bytes == 0   ? static_cast<uint8_t>(payload_length)
                                : length_bytes == 2 ? 126
                                                    : 127;
    size_t size = 0;
    out[size++] = static_cast<uint8_t>((fin ? 0x80 : 0) | static_cast<uint8_t>(opcode));
    out[size++] = static_cast<uint8_t>((mask != nullptr ? 0x80 : 0) | length_code);
    for (unsigned i = length_bytes; i > 0; --i) out[size++] = static_cast<uint8_t>(payload_length >> (8 * (i - 1)));
    if (mask == nullptr) return size;
    std::memcpy(&out[size], mask->bytes, sizeof mask->bytes);
    return size + sizeof mask->bytes;
}

void apply_mask(const MaskingKey& mask, uint64_t offset, std::span<uint8_t> payload) {
    for (uint8_t& byte : payload) byte ^= mask.bytes[offset++ % 4];
}

}  // namespace millrace::ws
