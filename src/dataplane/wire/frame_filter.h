// Whether a frame is one that an operator wants to see (<millrace/capture.h>). Looks at raw bytes, damaged ones too: it
// has to be of use when parse_frame() is not. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>

#include <millrace/capture.h>

namespace millrace::wire {

/// Whether the program can be run: every test known, never fewer values than are needed, one at the end. A filter that
/// comes from outside is checked once, before matches().
bool is_sound(const CaptureFilter& filter);

/// The verdict of a sound filter. Ports and protocols behind IPv6 extension headers and on the first fragment count;
/// up to two VLAN tags are looked through.
bool matches(const CaptureFilter& filter, std::span<const uint8_t> frame);

}  // namespace millrace::wire
