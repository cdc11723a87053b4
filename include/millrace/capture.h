// Copies of frames for an operator: what control tells a worker and what it gets back (the message types are in
// commands.h). Frames travel through the worker's reply ring, but only while plenty of room is left for answers; what
// finds none is dropped and counted. A worker ends a capture by itself when its time is over, so that none outlives a
// control process for long. A capture with another id replaces the one before.
#pragma once

#include <cstdint>

#include <millrace/address.h>

namespace millrace {

/// What a filter asks of a frame. A program in postfix order: a test pushes a truth value, `not_` changes the topmost
/// one, `and_` and `or_` replace the two topmost ones.
enum class CaptureTest : uint8_t {
    host = 0,  ///< source or destination, also of ARP
    port = 1,  ///< source or destination, of TCP or UDP
    tcp = 2,
    udp = 3,
    icmp = 4,  ///< of either family, neighbour discovery included
    arp = 5,
    not_ = 6,
    and_ = 7,
    or_ = 8,
};

struct CaptureStep {
    IpAddress address;  ///< of host
    CaptureTest test;
    uint8_t reserved;
    uint16_t port;  ///< of port
};
static_assert(sizeof(CaptureStep) == 20);

struct CaptureFilter {
    static constexpr uint32_t steps_max = 32;
    uint32_t count;  ///< of steps; 0: every frame
    CaptureStep steps[steps_max];
};

inline constexpr uint32_t capture_snaplen_max = 9216;
inline constexpr uint32_t capture_ms_max = 600'000;

struct CaptureStart {
    uint64_t id;
    uint32_t snaplen;      ///< bytes of a frame that are copied, 1…capture_snaplen_max
    uint32_t duration_ms;  ///< 1…capture_ms_max
    uint64_t frames_max;   ///< of this worker
    CaptureFilter filter;
};

struct CaptureStarted {
    uint8_t started;  ///< 0: the request made no sense
    uint8_t reserved[7];
};

struct CaptureStop {
    uint64_t id;
};

struct CaptureStopped {
    uint64_t recorded;
    uint64_t dropped;  ///< matched, but there was no room in the ring
};

enum class CaptureDirection : uint8_t { received = 0, sent = 1 };

/// In front of each frame's bytes, of which there are min(length, snaplen).
struct CapturedFrame {
    uint64_t time_us;  ///< CLOCK_MONOTONIC
    uint32_t length;   ///< on the wire, without the frame check sequence
    uint16_t interface;
    CaptureDirection direction;
    uint8_t reserved;
    uint64_t dropped;  ///< so far
};
static_assert(sizeof(CapturedFrame) == 24);

}  // namespace millrace
