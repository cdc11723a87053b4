// Whether a packet is the one that a script expects, and both in words.
#pragma once

#include <string>
#include <vector>

#include "tests/tools/segment_script/flow.h"

namespace millrace::script {

/// What differs, one entry each; empty when the packet is the expected one. Options are compared without padding and in
/// any order. A tick of 0 µs leaves the TSval of ours out.
std::vector<std::string> compare(const SegmentSpec& spec, const Packet& packet, const Flow& flow, int64_t ts_tick_us,
                                 int64_t tolerance_us);

/// The segment in the notation of scripts, without direction.
std::string text_of(const SegmentSpec& spec);

}  // namespace millrace::script
