// A non-blocking kernel socket with its queue of unsent bytes, and the few WebSocket pieces that both ends of ws-load
// need. For tests and measurements only: it shares no code with what it tests. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ws_load {

/// Microseconds of CLOCK_MONOTONIC.
uint64_t now_us();

/// A numeric address and port: "198.18.0.1:80" or "[2001:db8::1]:80". Throws std::runtime_error on anything else.
struct SocketAddress {
    explicit SocketAddress(const std::string& text);
    alignas(8) std::byte bytes[128];
    uint32_t length;
    int family;
};

class Socket {
  public:
    Socket(int fd, int epoll, uint32_t tag);
    ~Socket();
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    /// Queues bytes; they leave at the next flush().
    void write(std::string_view bytes) { unsent_.append(bytes); }
    std::string& unsent() { return unsent_; }
    size_t unsent_bytes() const { return unsent_.size() - sent_; }

    /// Sends what the kernel takes. False when the connection is broken.
    bool flush();

    /// Reads into `into`: the number of bytes, 0 at the peer's end, -1 when nothing waits, -2 when it is broken.
    long read(std::span<char> into);

    /// Whether new input is wanted: stops the peer by flow control when not.
    void want_input(bool wanted);

  private:
    void update();

    int fd_, epoll_;
    uint32_t tag_;
    uint32_t events_ = 0;
    bool input_wanted_ = true;
    std::string unsent_;
    size_t sent_ = 0;
};

/// Collects the header of one frame (RFC 6455 section 5.2), given in pieces.
class FrameHeader {
  public:
    /// Takes from the front of `input` what the header still needs; true when the header is whole.
    bool take(std::string_view& input);
    /// Forgets the header: the next frame begins.
    void reset() { have_ = 0; }

    uint8_t first_byte() const { return bytes_[0]; }
    uint8_t opcode() const { return bytes_[0] & 0x0f; }
    uint64_t length() const;
    bool masked() const { return bytes_[1] & 0x80; }
    const uint8_t* mask() const { return bytes_ + size() - 4; }

  private:
    size_t size() const;

    uint8_t bytes_[14];
    size_t have_ = 0;
};

/// Appends a frame header; `mask` is null for a server's frame.
void append_header(std::string& to, uint8_t first_byte, uint64_t length, const uint8_t* mask);

/// XORs with the four mask bytes, from `phase` bytes into the payload on.
void apply_mask(char* bytes, size_t count, const uint8_t* mask, uint64_t phase);

inline constexpr uint8_t frame_binary = 0x82, frame_close = 0x88;

}  // namespace ws_load
