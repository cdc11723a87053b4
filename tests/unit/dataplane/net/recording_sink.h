// A FrameSink that keeps what it is given, by interface, for a test to parse.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <millrace/assert.h>

#include "dataplane/net/frame_io.h"
#include "dataplane/wire/frame.h"

namespace millrace::net::test {

class RecordingSink final : public FrameSink {
  public:
    uint32_t credit(uint16_t interface) override { return credits.at(interface); }

    std::span<uint8_t> reserve(uint16_t interface) override {
        if (credits.at(interface) == 0) return {};
        return room_;
    }

    void commit(uint16_t interface, size_t length) override {
        MILLRACE_ASSERT(credits.at(interface) != 0 && length != 0 && length <= room_.size());
        --credits[interface];
        frames.at(interface).emplace_back(room_.begin(), room_.begin() + static_cast<ptrdiff_t>(length));
    }

    /// Parses and forgets what was sent on an interface of that VLAN. The payloads are gone with the frames.
    std::vector<wire::ParsedFrame> take(uint16_t interface, uint16_t vlan) {
        std::vector<wire::ParsedFrame> parsed;
        for (const std::vector<uint8_t>& frame : frames.at(interface)) {
            wire::parse_frame(frame, {.vlan = vlan}, parsed.emplace_back());
            parsed.back().tcp.payload = parsed.back().echo.payload = {};
        }
        frames[interface].clear();
        return parsed;
    }

    std::array<std::vector<std::vector<uint8_t>>, 2> frames;
    std::array<uint32_t, 2> credits{1000, 1000};

  private:
    std::array<uint8_t, 1600> room_{};
};

}  // namespace millrace::net::test
