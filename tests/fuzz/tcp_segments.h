// Segments as bytes, for fuzz targets of TCP: a peer's segment is written with whatever options it is told, and read by
// the dataplane's own parser, so that a length which can't be is no special case.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "dataplane/wire/parse.h"

namespace millrace::fuzz {

/// Every byte of a stream is a function of its place, so any segment of it can be made and checked.
inline uint8_t stream_byte(uint8_t stream, uint32_t place) {
    return static_cast<uint8_t>(place * 167 + (place >> 8) + stream);
}

class SegmentBytes {
  public:
    /// `damage` != 0 changes one byte of the options: its low bits say which, the others how.
    SegmentBytes(const wire::TcpSegment& segment, uint8_t stream, uint32_t first_place, size_t payload,
                 uint16_t damage) {
        put(segment.source_port, 2);
        put(segment.destination_port, 2);
        put(segment.seq, 4);
        put(segment.ack, 4);
        put(0, 1);
        put(segment.flags, 1);
        put(segment.window, 2);
        put(0, 2);
        put(segment.urgent, 2);
        options(segment.options, segment.has(wire::tcp_syn));
        while (bytes_.size() % 4 != 0) put(1, 1);
        if (const size_t length = bytes_.size() - 20; damage != 0 && length > 0)
            bytes_[20 + damage % length] ^= static_cast<uint8_t>(damage >> 8);
        bytes_[12] = static_cast<uint8_t>(bytes_.size() / 4 << 4);
        // A copy of exactly this size, so that a read beyond it is seen.
        const size_t size = bytes_.size() + payload;
        exact_ = std::make_unique<uint8_t[]>(size);
        uint8_t* at = std::copy(bytes_.begin(), bytes_.end(), exact_.get());
        for (uint32_t i = 0; i < payload; ++i) *at++ = stream_byte(stream, first_place + i);
        packet_ = {.source = segment.source,
                   .destination = segment.destination,
                   .ecn = segment.ip_ecn,
                   .payload = {exact_.get(), size}};
    }

    std::optional<wire::TcpSegment> parse() const {
        wire::TcpSegment parsed;
        if (wire::parse_tcp(packet_, true, parsed) != wire::DropReason::none) return std::nullopt;
        return parsed;
    }

  private:
    void put(uint32_t value, unsigned length) {
        while (length-- > 0) bytes_.push_back(static_cast<uint8_t>(value >> 8 * length));
    }

    void options(const wire::TcpOptions& options, bool syn) {
        if (syn && options.has_mss) put(2 << 8 | 4, 2), put(options.mss, 2);
        if (syn && options.has_window_scale) put(3 << 16 | 3 << 8 | options.window_scale, 3);
        if (syn && options.sack_permitted) put(4 << 8 | 2, 2);
        if (options.has_timestamps) put(8 << 8 | 10, 2), put(options.ts_value, 4), put(options.ts_echo, 4);
        const unsigned blocks = options.has_timestamps && options.sack_count > 3 ? 3 : options.sack_count;
        if (syn || blocks == 0) return;
        put(5 << 8 | (2 + 8 * blocks), 2);
        for (unsigned i = 0; i < blocks; ++i) put(options.sack[i].left, 4), put(options.sack[i].right, 4);
    }

    std::vector<uint8_t> bytes_;
    std::unique_ptr<uint8_t[]> exact_;
    wire::IpPacket packet_;
};

}  // namespace millrace::fuzz
