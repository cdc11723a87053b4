// One health probe of one server, sans-I/O: bytes of the stream go in, bytes to send and finally a verdict come out. It
// knows no clock and no stream; checker.h opens the stream, times the probe out and closes it.
//
//   tcp        the connection opens; where probes speak TLS, which is the carrier's affair, its handshake is done
//   http       GET (RFC 9110), the final status lies in a range; the body is not read
//   websocket  the opening handshake with a fresh key (RFC 6455 §4), then our ping gets its pong (§5.5.2); frames that
//              the server pushes before the pong are skipped
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <millrace/commands.h>

#include "control/config/model.h"
#include "dataplane/ws/cursor.h"

namespace millrace::control {

enum class Verdict : uint8_t {
    pending,
    pass,
    fail,
    inconclusive,  ///< our own limits, not the server: neither counts for nor against it
};

class Probe {
  public:
    /// `check.host` is never empty here. `check` must outlive the probe. `seed` makes the WebSocket key, mask and ping
    /// payload; fresh for every probe.
    Probe(const HealthCheck& check, uint64_t seed) : check_(check), seed_(seed) {}

    /// The stream is open. Returns what to send.
    std::vector<std::byte> opened();
    /// Bytes from the server. Returns what to send.
    std::vector<std::byte> received(std::span<const std::byte> bytes);
    void closed(StreamEnd end);
    /// Ends it without a verdict on the server.
    void give_up(std::string reason) { end(Verdict::inconclusive, std::move(reason)); }

    Verdict verdict() const { return verdict_; }
    /// Why it failed, for people; what it saw when it passed. Empty while pending.
    const std::string& reason() const { return reason_; }

  private:
    void end(Verdict verdict, std::string reason);
    std::string websocket_key() const;
    std::vector<std::byte> ping() const;
    std::vector<std::byte> judge_head(std::span<const uint8_t> head);
    void take_frames(std::span<const uint8_t> bytes);

    const HealthCheck& check_;
    uint64_t seed_;
    Verdict verdict_ = Verdict::pending;
    std::string reason_;
    std::vector<uint8_t> head_;
    uint32_t scanned_ = 0;
    bool head_done_ = false;
    ws::FrameCursor cursor_;
    std::vector<uint8_t> frame_;  // of the current frame, as much as a control frame may have
};

/// Words of a stream's end, for people.
const char* describe(StreamEnd end);

}  // namespace millrace::control
